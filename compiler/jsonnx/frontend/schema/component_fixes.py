"""Fixes of the types of components, with the arguments that change with the type."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ... import library
from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...core.fixes import Edit, Fix, Suggestion, replace_value
from ...layers import LAYERS
from ..default_names import default_name
from .corrections import NO_VALUE, corrected_value, object_edits
from .fast_validator import is_valid
from .schema import ENTRY_KEYS, REGISTRIES, definition
from .schema_paths import schema_at, value_at

REGISTRY_BY_KIND = {registry.kind: registry for registry in (LAYERS, *REGISTRIES)}


def component_fix(kind: str, path: JsonPath, document: Json, suggestion: Suggestion) -> Fix | None:
    """The fix that writes a proposed component in place of an unknown one.

    `path` is that of its name, alone or as the `type` of an object, whose other keys are corrected, too. None if there
    are several proposals, or if the arguments of the component would not be valid.
    """
    if len(suggestion.replacements) != 1:
        return None
    replacement = suggestion.replacements[0]
    owner = value_at(document, path[:-1])
    if path[-1:] == ("type",) and isinstance(owner, dict) and isinstance(owner.get("type"), str):
        arguments = replacement if isinstance(replacement, dict) else {"type": replacement}
        if kind == "layer" and _refers_to_default_name(document, owner):
            return None
        edits = _typed_object_edits(kind, path[:-1], owner, arguments)
        return Fix(f"Write {arguments['type']!r}", tuple(edits), suggestion.is_safe) if edits else None
    is_complete = not isinstance(replacement, dict) or ... not in replacement.values()
    schema = schema_at(document, path)
    if schema is None or not is_complete or not is_valid(replacement, schema):
        return None
    return replace_value(path, replacement, suggestion.old, suggestion.is_safe)


def _typed_object_edits(
    kind: str, path: JsonPath, value: Mapping[str, Json], arguments: Mapping[str, Any]
) -> list[Edit]:
    """The edits that give an object a type and, unless it has them, the arguments; none if that is not
    certain."""
    name = arguments["type"]
    new_type = Edit("replace", (*path, "type"), name, old=value["type"])
    component = REGISTRY_BY_KIND[kind].by_name.get(name)
    if component is None:
        return [new_type] if _library_block_accepts(name, value) else []
    added = {key: item for key, item in arguments.items() if item is not ... and key not in value}
    schema = definition(f"{kind}.{component.type_name}")
    edits = object_edits(path, {**value, **added}, schema)
    if edits is None:
        return []
    return [new_type, *edits, *(Edit("add", (*path, key), item) for key, item in added.items())]


def _library_block_accepts(name: str, entry: Mapping[str, Json]) -> bool:
    """Whether the arguments of an entry are those of a block of the library."""
    if name not in library.block_types():
        return False
    parameters = next(iter(library.block_definitions(name).values())).get("parameters", {})
    required = {key for key, value in parameters.items() if isinstance(value, dict) and value.get("required")}
    return required <= entry.keys() - ENTRY_KEYS <= parameters.keys()


def _refers_to_default_name(document: Json, entry: Mapping[str, Json]) -> bool:
    """Whether a document may refer to a layer by a name that its wrong type gives it."""
    if "name" in entry or not isinstance(document, dict):
        return False
    entries = [item for item in document.get("layers", ()) if isinstance(item, dict)]
    references = [document.get(key) for key in ("outputs", "labels", "training")]
    references += [item.get(key) for item in entries for key in ("from", "use")]
    return re.search(rf'"{re.escape(default_name(entry["type"]))}(_[0-9]+)?[."]', json.dumps(references)) is not None


def type_key_fix(kind: str | None, path: JsonPath, value: Mapping[str, Json], key: str) -> Fix | None:
    """The fix that renames the key of an object which is meant to be its `type`."""
    registry = REGISTRY_BY_KIND.get(kind or "")
    name = value[key]
    component = registry.by_name.get(name) if registry and isinstance(name, str) else None
    if component is None or registry is None:
        return None
    typed = {"type": name, **{other: item for other, item in value.items() if other != key}}
    edits = object_edits(path, typed, definition(f"{registry.kind}.{component.type_name}"))
    if edits is None:
        return None
    return Fix("Rename the key to 'type'", (*edits, Edit("move", (*path, key), new_key="type")))


def name_as_layer_fix(path: JsonPath, value: Json, schema: Json) -> Fix | None:
    """The fix that writes a layer without arguments, given by its name alone, as an object."""
    if not isinstance(value, str) or value not in LAYERS.by_name:
        return None
    layer = corrected_value({"type": value}, schema)
    return None if layer is NO_VALUE else replace_value(path, layer)
