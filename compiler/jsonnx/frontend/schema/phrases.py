"""Schemas and values in words, for messages and reference pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from ...core.components import Json

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
    "constant": ("a number or nested arrays of numbers", "numbers"),
}


UNKNOWN_NAME_SCHEMA = {"type": "string", "minLength": 0}
"""Stands in the schema beside known names for those it cannot know; no use to mention it."""


def schema_phrase(schema: Json) -> str:
    """What a schema allows: `an integer or an array of 2 integers`."""
    return or_list(one for one, _ in _schema_phrases(schema))


def or_list(words: Iterable[str]) -> str:
    """`a, b or c`, each once."""
    once = list(dict.fromkeys(words))
    return " or ".join([", ".join(once[:-1]), once[-1]] if len(once) > 1 else once)


def _schema_phrases(schema: Json) -> list[tuple[str, str]]:
    """The forms that a value may have, each in the singular and in the plural."""
    if "$ref" in schema:
        return [_definition_phrase(schema["$ref"].rsplit("/", 1)[-1])]
    if "const" in schema:
        return [(short_repr(schema["const"]), short_repr(schema["const"]))]
    if "enum" in schema and "title" in schema:
        return [
            (
                f"the name of {_definition_phrase(schema['title'])[0]}",
                f"names of {_definition_phrase(schema['title'])[1]}",
            )
        ]
    if "title" in schema and "$schema" not in schema:
        return [_definition_phrase(schema["title"])]
    if "enum" in schema:
        choices = or_list(repr(choice) if isinstance(choice, str) else short_repr(choice) for choice in schema["enum"])
        return [(choices, f"of {choices}")]
    if "anyOf" in schema:
        return [form for option in schema["anyOf"] if option != UNKNOWN_NAME_SCHEMA for form in _schema_phrases(option)]
    if schema.get("type") == "string" and "pattern" in schema:
        return [("a name", "names")]
    if schema.get("type") == "array":
        return [_array_phrase(schema)]
    if isinstance(schema.get("additionalProperties"), dict):
        many = or_list(many for _, many in _schema_phrases(schema["additionalProperties"]))
        return [(f"an object of {many} by name", f"objects of {many} by name")]
    kinds = schema.get("type", [])
    return [_TYPE_PHRASES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]


def _definition_phrase(name: str) -> tuple[str, str]:
    if name in _DEFINITION_PHRASES:
        return _DEFINITION_PHRASES[name]
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}", f"{name}es" if name.endswith("s") else f"{name}s"


def _array_phrase(schema: Json) -> tuple[str, str]:
    items = or_list(many for _, many in _schema_phrases(schema["items"])) if "items" in schema else "values"
    least, most = schema.get("minItems"), schema.get("maxItems")
    number = f"{least} " if least is not None and least == most else ""
    return f"an array of {number}{items}", f"arrays of {number}{items}"


def short_repr(value: Json) -> str:
    """A value for a message, as JSON, shortened."""
    if isinstance(value, dict):
        whole = json.dumps(value) if len(value) <= 3 else ""
        return whole if 0 < len(whole) <= 60 else "an object"
    if isinstance(value, list):
        whole = json.dumps(value) if len(value) <= 20 else ""
        return whole if 0 < len(whole) <= 60 else f"an array of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def short_name(name: str) -> str:
    """A name for a message, shortened."""
    return repr(name if len(name) <= 60 else f"{name[:40]}...")


def name_list(names: Sequence[str], limit: int = 8) -> str:
    """Some names for a message."""
    return ", ".join([*map(short_name, names[:limit]), *(["..."] if len(names) > limit else [])])
