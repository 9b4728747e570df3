"""Schemas, values and names in words, for messages and reference pages."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ...core.components import Json
from ...core.diagnostics import or_list

# Each phrase is a pair: singular and plural.
_TYPE_PHRASES = {
    "integer": ("an integer", "integers"),
    "number": ("a number", "numbers"),
    "string": ("a string", "strings"),
    "boolean": ("true or false", "booleans"),
    "null": ("null", "null"),
    "array": ("an array", "arrays"),
    "object": ("an object", "objects"),
}

_DEFINITION_PHRASES = {
    "call": ("a layer", "layers"),
    "from": ("a name or an array of names", "names"),
    "reference": ("a name", "names"),
    "parameter_value": ("a number, a string, true, false, null or an array of these", "values"),
    "parameter": ("an object that defines a parameter", "objects that define a parameter"),
    "block_parameter": ("an object that defines a parameter", "objects that define a parameter"),
    "constant": ("a number or nested arrays of numbers", "numbers"),
}


UNKNOWN_NAME_SCHEMA = {"type": "string", "minLength": 0}
"""An alternative to the known names in a schema, for names that only the document knows. Messages omit it."""

MAX_ENUM_VALUES_SHOWN = 20
"""Maximum number of allowed values that a message lists."""


def schema_phrase(schema: Json) -> str:
    """The values that a schema allows in words: `an integer or an array of 2 integers`."""
    return or_list(singular for singular, _ in _schema_phrases(schema))


def _schema_phrases(schema: Json) -> list[tuple[str, str]]:
    """The alternatives that a schema allows, each in the singular and in the plural."""
    if "$ref" in schema:
        return [_definition_phrase(schema["$ref"].rsplit("/", 1)[-1])]
    if "const" in schema:
        return [(short_repr(schema["const"]), short_repr(schema["const"]))]
    if "enum" in schema and "title" in schema:
        singular, plural = _definition_phrase(schema["title"])
        return [(f"the name of {singular}", f"names of {plural}")]
    if "title" in schema and "$schema" not in schema:
        return [_definition_phrase(schema["title"])]
    if "enum" in schema and len(schema["enum"]) > MAX_ENUM_VALUES_SHOWN:
        return [("a known name", "known names")]
    if "enum" in schema:
        choices = or_list(repr(choice) if isinstance(choice, str) else short_repr(choice) for choice in schema["enum"])
        return [(choices, choices)]
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option != UNKNOWN_NAME_SCHEMA]
        return [phrase for option in options for phrase in _schema_phrases(option)]
    if schema.get("type") == "string" and "pattern" in schema:
        return [("a name", "names")]
    if schema.get("type") == "array":
        return [_array_phrase(schema)]
    if isinstance(schema.get("additionalProperties"), dict):
        values = or_list(plural for _, plural in _schema_phrases(schema["additionalProperties"]))
        if " by name" in values:
            values = "these"
        return [(f"an object of {values} by name", f"objects of {values} by name")]
    types = schema.get("type", [])
    return [
        _array_phrase(schema) if type_ == "array" and "items" in schema else _TYPE_PHRASES[type_]
        for type_ in ([types] if isinstance(types, str) else types)
    ]


def _definition_phrase(name: str) -> tuple[str, str]:
    if name in _DEFINITION_PHRASES:
        return _DEFINITION_PHRASES[name]
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}", f"{name}es" if name.endswith("s") else f"{name}s"


def _array_phrase(schema: Json) -> tuple[str, str]:
    items = or_list(plural for _, plural in _schema_phrases(schema["items"])) if "items" in schema else "values"
    minimum, maximum = schema.get("minItems"), schema.get("maxItems")
    count = f"{minimum} " if minimum is not None and minimum == maximum else ""
    return f"an array of {count}{items}", f"arrays of {count}{items}"


def short_repr(value: Json) -> str:
    """A value for a message: as JSON, or shortened if that is longer than 60 characters."""
    if isinstance(value, dict):
        text = json.dumps(value) if len(value) <= 3 else ""
        return text if 0 < len(text) <= 60 else "an object"
    if isinstance(value, list):
        text = json.dumps(value) if len(value) <= 20 else ""
        return text if 0 < len(text) <= 60 else f"an array of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def short_name(name: str, max_length: int = 60) -> str:
    """A name for a message: quoted, and cut after 40 characters if it is longer than `max_length`."""
    return repr(name if len(name) <= max_length else f"{name[:40]}...")


def known_names_help(names: Sequence[str], limit: int = 20) -> str:
    """A help text that lists the names that exist."""
    return f"known names: {', '.join(names[:limit])}{' and more' if len(names) > limit else ''}"


def name_list(names: Sequence[str], limit: int = 8) -> str:
    """The first names for a message: quoted and separated by commas."""
    return ", ".join([*map(short_name, names[:limit]), *(["..."] if len(names) > limit else [])])
