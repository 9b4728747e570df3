"""Keys and values that certainly stand for others: numbers in quotes, an item for a list, names of other programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...core.fixes import Edit, Fix, json_text
from ...core.spelling import similar_words
from ..foreign.foreign_help import key_correction
from .fast_validator import is_valid
from .schema import definition
from .schema_paths import allows_items

NO_VALUE: Any = object()
"""The result where no value is certain."""

_PYTHON_CONSTANTS = {"true": True, "false": False, "none": None, "null": None}


def corrected_value(value: Json, schema: Json) -> Json:
    """A valid value, or the one that an invalid value plainly stands for; NO_VALUE if there is none."""
    readings = [value, *_readings(value)]
    readings += [inner for reading in readings[1:] for inner in _readings(reading)]
    if allows_items(schema):
        readings += [[reading] for reading in readings if not isinstance(reading, (str, list, type(None)))]
    found = next((reading for reading in readings if is_valid(reading, schema)), NO_VALUE)
    if found is NO_VALUE and isinstance(value, str):
        similar = similar_words(value, _choices(schema))
        return similar[0] if len(similar) == 1 and is_valid(similar[0], schema) else NO_VALUE
    return found


def _choices(schema: Json) -> list[str]:
    """The texts among which a schema lets choose."""
    if not isinstance(schema, dict):
        return []
    if "$ref" in schema:
        return _choices(definition(schema["$ref"].removeprefix("#/$defs/"))) if "layer" not in schema["$ref"] else []
    inner = [choice for option in schema.get("anyOf", ()) for choice in _choices(option)]
    return [*(choice for choice in schema.get("enum", ()) if isinstance(choice, str)), *inner]


def _readings(value: Json) -> Iterator[Json]:
    """Yields what a value may have been written for, the likeliest first."""
    if isinstance(value, str):
        yield from _readings_of_text(value.strip())
    elif isinstance(value, float) and value.is_integer():
        yield int(value)
    elif isinstance(value, int) and not isinstance(value, bool) and value in (0, 1):
        yield bool(value)
    if isinstance(value, list) and len(value) == 1:
        yield value[0]
    elif isinstance(value, list):
        yield [next(_readings_of_text(item), item) if isinstance(item, str) else item for item in value]
    elif isinstance(value, dict):
        yield from _readings_of_object(value)


def _readings_of_text(text: str) -> Iterator[Json]:
    """Yields the number, constant or list that a text contains: `3`, `True`, `(3, 3)`, `3x3`."""
    if text.lower() in _PYTHON_CONSTANTS:
        yield _PYTHON_CONSTANTS[text.lower()]
    if re.fullmatch(r"[0-9]+(?:\s*[xX*]\s*[0-9]+)+", text):
        yield [int(size) for size in re.findall("[0-9]+", text)]
    bracketed = re.fullmatch(r"[(\[](.*?),?\s*[)\]]", text)
    try:
        parsed = json.loads(f"[{bracketed[1]}]" if bracketed else text)
    except (ValueError, RecursionError):
        return
    if isinstance(parsed, (int, float)) or (isinstance(parsed, list) and bracketed):
        yield parsed


def _readings_of_object(value: dict[str, Json]) -> Iterator[Json]:
    """Yields the name of a component without arguments, and a component as Keras writes it."""
    name = value.get("type", value.get("class_name", value.get("name")))
    if isinstance(name, str) and len(value) == 1:
        yield name
    if set(value) >= {"class_name", "config"} and isinstance(value["config"], dict):
        yield {"type": value["class_name"], **value["config"]}


def value_fix(path: JsonPath, value: Json, schema: Json) -> Fix | None:
    """The fix of a value that a schema does not allow, if one is certain."""
    corrected = corrected_value(value, schema)
    if corrected is NO_VALUE:
        return None
    return Fix(f"Write {json_text(corrected)}", (Edit("replace", path, corrected),))


def key_fix(
    path: JsonPath, key: str, value: Mapping[str, Json], properties: Mapping[str, Json], new_key: str
) -> Fix | None:
    """The fix that renames a key of an object, and corrects its value; None if that is not valid."""
    edits = _renaming(path, key, value, properties, new_key)
    return Fix(f"Rename the key to {new_key!r}", tuple(edits)) if edits else None


def _renaming(
    path: JsonPath, key: str, value: Mapping[str, Json], properties: Mapping[str, Json], new_key: str
) -> list[Edit]:
    corrected = corrected_value(value[key], properties[new_key])
    if corrected is NO_VALUE:
        return []
    replacement = [] if corrected is value[key] else [Edit("replace", (*path, key), corrected)]
    return [*replacement, Edit("move", (*path, key), new_key=new_key)]


def split_fix(
    path: JsonPath, key: str, value: Mapping[str, Json], properties: Mapping[str, Json], new_keys: tuple[str, ...]
) -> Fix | None:
    """The fix that gives the items of a list to several keys: `betas` to `beta_1` and `beta_2`."""
    items = value[key]
    if not isinstance(items, list) or len(items) != len(new_keys) or any(name in value for name in new_keys):
        return None
    if not all(is_valid(item, properties[name]) for name, item in zip(new_keys, items, strict=True)):
        return None
    added = [Edit("add", (*path, name), item) for name, item in zip(new_keys, items, strict=True)]
    return Fix(f"Write {' and '.join(map(repr, new_keys))}", (Edit("remove", (*path, key)), *added))


def object_edits(path: JsonPath, value: Mapping[str, Json], schema: Mapping[str, Json]) -> list[Edit] | None:
    """The edits that make an object valid apart from its `type`: keys of other programs and misspelled ones are
    renamed or removed, and values corrected. None if that is not certain."""
    properties = schema["properties"]
    known = [name for name, rule in properties.items() if not (isinstance(rule, dict) and "const" in rule)]
    edits: list[Edit] = []
    keys = {key for key in value if key in properties}
    for key, item in value.items():
        if key == "type":
            continue
        if key in properties:
            corrected = corrected_value(item, properties[key])
            if corrected is NO_VALUE:
                return None
            edits += [] if corrected is item else [Edit("replace", (*path, key), corrected)]
            continue
        correction = key_correction(key, known)
        new_keys = correction.new_keys if correction else tuple(similar_words(key, known))
        if correction and not new_keys and correction.is_certain:
            edits.append(Edit("remove", (*path, key)))
            continue
        renaming = _renaming(path, key, value, properties, new_keys[0]) if len(new_keys) == 1 else []
        if not renaming or new_keys[0] in keys:
            return None
        edits += renaming
        keys.add(new_keys[0])
    return edits if keys.issuperset(schema.get("required", ())) else None
