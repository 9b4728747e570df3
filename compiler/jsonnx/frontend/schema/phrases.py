"""Schemas and values in words, for messages and reference pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from ...core.components import Json

_TYPES = {
    "integer": ("an integer", "integers"),
    "number": ("a number", "numbers"),
    "string": ("a string", "strings"),
    "boolean": ("true or false", "booleans"),
    "null": ("null", "null"),
    "array": ("an array", "arrays"),
    "object": ("an object", "objects"),
}

_REFERENCES = {
    "call": ("a layer", "layers"),
    "from": ("a name or an array of names", "names"),
    "reference": ("a name", "names"),
    "constant": ("a number or nested arrays of numbers", "numbers"),
}


OTHER_NAME = {"type": "string", "minLength": 0}
"""Stands in the schema beside known names for those it cannot know; no use to mention it."""


def expected(of: Json) -> str:
    """What a schema allows: `an integer or an array of 2 integers`."""
    return either(one for one, _ in _forms(of))


def either(words: Iterable[str]) -> str:
    """`a, b or c`, each once."""
    once = list(dict.fromkeys(words))
    return " or ".join([", ".join(once[:-1]), once[-1]] if len(once) > 1 else once)


def _forms(of: Json) -> list[tuple[str, str]]:
    """The forms that a value may have, each in the singular and in the plural."""
    if "$ref" in of:
        return [_reference(of["$ref"].rsplit("/", 1)[-1])]
    if "const" in of:
        return [(shown(of["const"]), shown(of["const"]))]
    if "enum" in of and "title" in of:
        return [(f"the name of {_reference(of['title'])[0]}", f"names of {_reference(of['title'])[1]}")]
    if "title" in of and "$schema" not in of:
        return [_reference(of["title"])]
    if "enum" in of:
        choices = either(repr(choice) if isinstance(choice, str) else shown(choice) for choice in of["enum"])
        return [(choices, f"of {choices}")]
    if "anyOf" in of:
        return [form for option in of["anyOf"] if option != OTHER_NAME for form in _forms(option)]
    if of.get("type") == "string" and "pattern" in of:
        return [("a name", "names")]
    if of.get("type") == "array":
        return [_array(of)]
    if isinstance(of.get("additionalProperties"), dict):
        many = either(many for _, many in _forms(of["additionalProperties"]))
        return [(f"an object of {many} by name", f"objects of {many} by name")]
    kinds = of.get("type", [])
    return [_TYPES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]


def _reference(name: str) -> tuple[str, str]:
    if name in _REFERENCES:
        return _REFERENCES[name]
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}", f"{name}es" if name.endswith("s") else f"{name}s"


def _array(of: Json) -> tuple[str, str]:
    items = either(many for _, many in _forms(of["items"])) if "items" in of else "values"
    least, most = of.get("minItems"), of.get("maxItems")
    number = f"{least} " if least is not None and least == most else ""
    return f"an array of {number}{items}", f"arrays of {number}{items}"


def shown(value: Json) -> str:
    """A value for a message, as JSON, shortened."""
    if isinstance(value, dict):
        whole = json.dumps(value) if len(value) <= 3 else ""
        return whole if 0 < len(whole) <= 60 else "an object"
    if isinstance(value, list):
        whole = json.dumps(value) if len(value) <= 20 else ""
        return whole if 0 < len(whole) <= 60 else f"an array of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def quoted(name: str) -> str:
    """A name for a message, shortened."""
    return repr(name if len(name) <= 60 else f"{name[:40]}...")


def few(names: Sequence[str], most: int = 8) -> str:
    """Some names for a message."""
    return ", ".join([*map(quoted, names[:most]), *(["..."] if len(names) > most else [])])
