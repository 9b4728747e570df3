"""Whether a value is as a schema allows: yes or no, and nothing else.

What does not fit, jsonschema finds out (`check`); but most documents are sound, and to import it takes longer than all
else that a small one needs. Both judge by the same kinds of numbers and the same reading of patterns.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ...core.components import Json
from .schema import definition

LEAST, GREATEST = 2.0**-150, 2.0**128 - 2.0**103
"""What rounds to float32's 0 and to its infinity. A model's numbers are float32, whatever they are written as."""


def fits(value: Json, schema: Json) -> bool:
    """Whether the schema allows the value. Raises KeyError for a keyword that is none of ours."""
    if isinstance(schema, bool):
        return schema
    return all(KEYWORDS[keyword](value, rule, schema) for keyword, rule in schema.items() if keyword not in REMARKS)


REMARKS = frozenset({"$schema", "$defs", "title", "description", "default", "then", "else"})
"""Keywords that decide nothing by themselves."""


# -- kinds of values -------------------------------------------------------------------------------------------------


def is_integer(value: Json) -> bool:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool) and abs(value) < 2**63


def is_number(value: Json) -> bool:
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and (value == 0 or LEAST < abs(value) < GREATEST)


def matches(pattern: str, text: str) -> bool:
    """As ECMA-262 reads the pattern: `$` is the end, not the place before a last line end."""
    return not text.endswith("\n") and re.search(pattern, text) is not None


KINDS: dict[str, Callable[[Json], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "integer": is_integer,
    "number": is_number,
}


def _equal(one: Json, other: Json) -> bool:
    """As JSON, for which 1 is 1.0 but not true."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


# -- keywords --------------------------------------------------------------------------------------------------------


def _type(value: Json, rule: Json, schema: Json) -> bool:
    return any(KINDS[kind](value) for kind in ([rule] if isinstance(rule, str) else rule))


def _properties(value: Json, rule: Json, schema: Json) -> bool:
    return not isinstance(value, dict) or all(fits(value[key], rule[key]) for key in value if key in rule)


def _additional(value: Json, rule: Json, schema: Json) -> bool:
    known = schema.get("properties", {})
    return not isinstance(value, dict) or all(fits(value[key], rule) for key in value if key not in known)


def _if(value: Json, rule: Json, schema: Json) -> bool:
    return fits(value, schema.get("then" if fits(value, rule) else "else", True))


def _all_of(value: Json, rule: Json, schema: Json) -> bool:
    if "if" not in rule[0]:
        return all(fits(value, each) for each in rule)
    tag = value.get("type") if isinstance(value, dict) else None
    found = by_tag(rule).get(tag) if isinstance(tag, str) else None
    return found is None or fits(value, rule[found]["then"])


def _of(kind: Callable[[Json], bool], holds: Callable[[Any, Any], bool]) -> Callable[[Json, Json, Json], bool]:
    """A keyword that says something of values of one kind."""
    return lambda value, rule, schema: not kind(value) or holds(value, rule)


TEXT, LIST, OBJECT = KINDS["string"], KINDS["array"], KINDS["object"]

KEYWORDS: dict[str, Callable[[Json, Json, Json], bool]] = {
    "$ref": lambda value, rule, schema: fits(value, definition(rule.removeprefix("#/$defs/"))),
    "type": _type,
    "enum": lambda value, rule, schema: value in rule if TEXT(value) else any(_equal(value, each) for each in rule),
    "const": lambda value, rule, schema: _equal(value, rule),
    "properties": _properties,
    "additionalProperties": _additional,
    "if": _if,
    "allOf": _all_of,
    "anyOf": lambda value, rule, schema: any(fits(value, each) for each in rule),
    "not": lambda value, rule, schema: not fits(value, rule),
    "required": _of(OBJECT, lambda value, rule: all(key in value for key in rule)),
    "propertyNames": _of(OBJECT, lambda value, rule: all(fits(key, rule) for key in value)),
    "minProperties": _of(OBJECT, lambda value, rule: len(value) >= rule),
    "items": _of(LIST, lambda value, rule: all(fits(item, rule) for item in value)),
    "minItems": _of(LIST, lambda value, rule: len(value) >= rule),
    "maxItems": _of(LIST, lambda value, rule: len(value) <= rule),
    "pattern": _of(TEXT, lambda value, rule: matches(rule, value)),
    "minLength": _of(TEXT, lambda value, rule: len(value) >= rule),
    "maxLength": _of(TEXT, lambda value, rule: len(value) <= rule),
    "minimum": _of(is_number, lambda value, rule: value >= rule),
    "maximum": _of(is_number, lambda value, rule: value <= rule),
    "exclusiveMinimum": _of(is_number, lambda value, rule: value > rule),
    "exclusiveMaximum": _of(is_number, lambda value, rule: value < rule),
}


def by_tag(rules: list[Json]) -> dict[str, int]:
    """Which rule is for which `type`."""
    key = id(rules)
    if key not in _TAGS:
        tags = [rule["if"]["properties"]["type"]["enum"] for rule in rules]
        _TAGS[key] = {name: index for index, names in enumerate(tags) for name in names}
    return _TAGS[key]


_TAGS: dict[int, dict[str, int]] = {}
"""By the identity of a list of rules: the schema lives as long as the process."""
