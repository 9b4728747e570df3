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

FLOAT32_UNDERFLOW, FLOAT32_OVERFLOW = 2.0**-150, 2.0**128 - 2.0**103
"""What rounds to float32's 0 and to its infinity. A model's numbers are float32, whatever they are written as."""


def is_valid(value: Json, schema: Json) -> bool:
    """Whether the schema allows the value. Raises KeyError for a keyword that is none of ours."""
    if isinstance(schema, bool):
        return schema
    return all(
        KEYWORDS[keyword](value, rule, schema) for keyword, rule in schema.items() if keyword not in IGNORED_KEYWORDS
    )


IGNORED_KEYWORDS = frozenset({"$schema", "$defs", "title", "description", "default", "then", "else"})
"""Keywords that decide nothing by themselves."""


# -- kinds of values -------------------------------------------------------------------------------------------------


def is_integer(value: Json) -> bool:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool) and abs(value) < 2**63


def is_number(value: Json) -> bool:
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and (value == 0 or FLOAT32_UNDERFLOW < abs(value) < FLOAT32_OVERFLOW)


def matches_pattern(pattern: str, text: str) -> bool:
    """As ECMA-262 reads the pattern: `$` is the end, not the place before a last line end."""
    return not text.endswith("\n") and re.search(pattern, text) is not None


TYPE_CHECKS: dict[str, Callable[[Json], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "integer": is_integer,
    "number": is_number,
}


def _json_equal(one: Json, other: Json) -> bool:
    """As JSON, for which 1 is 1.0 but not true."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_json_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


# -- keywords --------------------------------------------------------------------------------------------------------


def _validate_type(value: Json, rule: Json, schema: Json) -> bool:
    return any(TYPE_CHECKS[kind](value) for kind in ([rule] if isinstance(rule, str) else rule))


def _validate_properties(value: Json, rule: Json, schema: Json) -> bool:
    return not isinstance(value, dict) or all(is_valid(value[key], rule[key]) for key in value if key in rule)


def _validate_additional_properties(value: Json, rule: Json, schema: Json) -> bool:
    known = schema.get("properties", {})
    return not isinstance(value, dict) or all(is_valid(value[key], rule) for key in value if key not in known)


def _validate_if(value: Json, rule: Json, schema: Json) -> bool:
    return is_valid(value, schema.get("then" if is_valid(value, rule) else "else", True))


def _validate_all_of(value: Json, rule: Json, schema: Json) -> bool:
    if "if" not in rule[0]:
        return all(is_valid(value, each) for each in rule)
    tag = value.get("type") if isinstance(value, dict) else None
    found = rule_index_by_type(rule).get(tag) if isinstance(tag, str) else None
    return found is None or is_valid(value, rule[found]["then"])


def _for_type(
    kind: Callable[[Json], bool], predicate: Callable[[Any, Any], bool]
) -> Callable[[Json, Json, Json], bool]:
    """A keyword that says something of values of one kind."""
    return lambda value, rule, schema: not kind(value) or predicate(value, rule)


IS_STRING, IS_ARRAY, IS_OBJECT = TYPE_CHECKS["string"], TYPE_CHECKS["array"], TYPE_CHECKS["object"]

KEYWORDS: dict[str, Callable[[Json, Json, Json], bool]] = {
    "$ref": lambda value, rule, schema: is_valid(value, definition(rule.removeprefix("#/$defs/"))),
    "type": _validate_type,
    "enum": lambda value, rule, schema: (
        value in rule if IS_STRING(value) else any(_json_equal(value, each) for each in rule)
    ),
    "const": lambda value, rule, schema: _json_equal(value, rule),
    "properties": _validate_properties,
    "additionalProperties": _validate_additional_properties,
    "if": _validate_if,
    "allOf": _validate_all_of,
    "anyOf": lambda value, rule, schema: any(is_valid(value, each) for each in rule),
    "not": lambda value, rule, schema: not is_valid(value, rule),
    "required": _for_type(IS_OBJECT, lambda value, rule: all(key in value for key in rule)),
    "propertyNames": _for_type(IS_OBJECT, lambda value, rule: all(is_valid(key, rule) for key in value)),
    "minProperties": _for_type(IS_OBJECT, lambda value, rule: len(value) >= rule),
    "items": _for_type(IS_ARRAY, lambda value, rule: all(is_valid(item, rule) for item in value)),
    "minItems": _for_type(IS_ARRAY, lambda value, rule: len(value) >= rule),
    "maxItems": _for_type(IS_ARRAY, lambda value, rule: len(value) <= rule),
    "pattern": _for_type(IS_STRING, lambda value, rule: matches_pattern(rule, value)),
    "minLength": _for_type(IS_STRING, lambda value, rule: len(value) >= rule),
    "maxLength": _for_type(IS_STRING, lambda value, rule: len(value) <= rule),
    "minimum": _for_type(is_number, lambda value, rule: value >= rule),
    "maximum": _for_type(is_number, lambda value, rule: value <= rule),
    "exclusiveMinimum": _for_type(is_number, lambda value, rule: value > rule),
    "exclusiveMaximum": _for_type(is_number, lambda value, rule: value < rule),
}


def rule_index_by_type(rules: list[Json]) -> dict[str, int]:
    """Which rule is for which `type`."""
    key = id(rules)
    if key not in _RULE_INDEXES:
        tags = [rule["if"]["properties"]["type"]["enum"] for rule in rules]
        _RULE_INDEXES[key] = {name: index for index, names in enumerate(tags) for name in names}
    return _RULE_INDEXES[key]


_RULE_INDEXES: dict[int, dict[str, int]] = {}
"""By the identity of a list of rules: the schema lives as long as the process."""
