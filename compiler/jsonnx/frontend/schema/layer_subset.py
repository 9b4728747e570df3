"""The editors' schema with chosen layers only, which is small enough for a prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from ...core.components import Json
from ...layers import LAYERS
from .editor_schema import editor_schema
from .structured_schema import known_layers

_REFERENCE = re.compile(r'"#/\$defs/([^"]+)"')


def layer_subset_text(layer_types: Sequence[str]) -> str:
    """The schema as text. Raises UsageError for an unknown layer."""
    return json.dumps(layer_subset(layer_types), indent=2) + "\n"


def layer_subset(layer_types: Sequence[str]) -> dict[str, Json]:
    """The editors' schema without the other layers, and without definitions that nothing refers to."""
    chosen = known_layers(layer_types)
    schema = editor_schema()
    others = {f"#/$defs/layer.{name}" for name in LAYERS.members if name not in chosen}
    names = [name for name, main in _main_names().items() if main in chosen]
    definitions = dict(schema["$defs"])
    call = definitions["layer_call"]
    rules = [rule for group in call["allOf"] for rule in group["then"]["allOf"] if rule["then"]["$ref"] not in others]
    known_types, *blocks = call["properties"]["type"]["anyOf"]
    library = [name for name in known_types["enum"] if name not in LAYERS.by_name]
    refused = {"not": {"enum": [name for name in LAYERS.by_name if name not in names]}}
    types = call["properties"]["type"] | {"anyOf": [known_types | {"enum": [*names, *library]}, *blocks], **refused}
    definitions["layer_call"] = call | {"properties": call["properties"] | {"type": types}, "allOf": rules}
    inner = definitions["layer"]
    inner_types = inner["properties"]["type"] | {"enum": names}
    definitions["layer"] = inner | {"properties": inner["properties"] | {"type": inner_types}}
    root = {key: value for key, value in schema.items() if key != "$defs"}
    return {**root, "$defs": _reachable(root, definitions)}


def _main_names() -> dict[str, str]:
    """The main name of each layer by all its names."""
    return {name: layer.type_name for name, layer in LAYERS.by_name.items()}


def _reachable(root: Json, definitions: Mapping[str, Json]) -> dict[str, Json]:
    """The definitions that the root refers to, in their order."""
    found: set[str] = set()
    pending = [root]
    while pending:
        names = {*_REFERENCE.findall(json.dumps(pending.pop()))} - found
        found |= names
        pending += [definitions[name] for name in names]
    return {name: schema for name, schema in definitions.items() if name in found}
