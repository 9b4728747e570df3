"""A fast JSON Schema validator that only tells whether a value is valid.

Most documents are valid, and importing jsonschema takes longer than everything else that a small document needs. So
jsonschema is imported only if this validator rejects a document: it decides which errors are reported, and the tests
show that this validator accepts a document only if jsonschema does. Both use the same types of numbers and the same
interpretation of patterns.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ...core.components import Json
from .schema import definition

FLOAT32_UNDERFLOW, FLOAT32_OVERFLOW = 2.0**-150, 2.0**128 - 2.0**103
"""Numbers beyond these round to 0 or infinity as float32, which is the type of all numbers of a model."""


def is_valid(value: Json, schema: Json) -> bool:
    """Whether a value is valid. Raises KeyError if the schema has a keyword that is not supported."""
    if isinstance(schema, bool):
        return schema
    for keyword, rule in schema.items():  # `all` of a generator takes twice as long
        if keyword not in IGNORED_KEYWORDS and not KEYWORDS[keyword](value, rule, schema):
            return False
    return True


IGNORED_KEYWORDS = frozenset({"$schema", "$defs", "title", "description", "default", "then", "else"})
"""Keywords without an effect of their own."""


# -- types -----------------------------------------------------------------------------------------------------------


def is_integer(value: Json) -> bool:
    """Whether a value is an integer of 64 bits; 3.0 is one."""
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return is_whole and not isinstance(value, bool) and abs(value) < 2**63


def is_number(value: Json) -> bool:
    """Whether a value is a number in the range of float32."""
    is_real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_real and (value == 0 or FLOAT32_UNDERFLOW < abs(value) < FLOAT32_OVERFLOW)


def matches_pattern(pattern: str, text: str) -> bool:
    """Whether a pattern matches as in ECMA-262, where `$` does not match before a final line end."""
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


def is_only_out_of_range(value: Json, types: str | list[str]) -> bool:
    """Whether a value without one of some types is a number that is too large or too close to 0."""
    types = [types] if isinstance(types, str) else types
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    is_whole = isinstance(value, int) or value.is_integer()
    return "number" in types or (is_whole and "integer" in types)


def _json_equal(one: Json, other: Json) -> bool:
    """Whether two values are equal as JSON: 1 equals 1.0, but not true."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_json_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


# -- keywords --------------------------------------------------------------------------------------------------------


def has_type(value: Json, types: str | list[str]) -> bool:
    """Whether a value has a type, or one of several."""
    if isinstance(types, str):
        return TYPE_CHECKS[types](value)
    return any(TYPE_CHECKS[type_](value) for type_ in types)


def _validate_properties(value: Json, rule: Json, schema: Json) -> bool:
    return not isinstance(value, dict) or all(is_valid(value[key], rule[key]) for key in value if key in rule)


def _validate_additional_properties(value: Json, rule: Json, schema: Json) -> bool:
    known = schema.get("properties", {})
    return not isinstance(value, dict) or all(is_valid(value[key], rule) for key in value if key not in known)


def _validate_items(value: Json, rule: Json, schema: Json) -> bool:
    """Counts the items before it validates them."""
    if not isinstance(value, list):
        return True
    return len(value) <= schema.get("maxItems", len(value)) and all(is_valid(item, rule) for item in value)


def _validate_if(value: Json, rule: Json, schema: Json) -> bool:
    return is_valid(value, schema.get("then" if is_valid(value, rule) else "else", True))


def _validate_all_of(value: Json, rule: Json, schema: Json) -> bool:
    if "if" not in rule[0]:
        return all(is_valid(value, each) for each in rule)
    type_name = value.get("type") if isinstance(value, dict) else None
    index = rule_index_by_type(rule).get(type_name) if isinstance(type_name, str) else None
    return index is None or is_valid(value, rule[index]["then"])


def _for_type(
    is_type: Callable[[Json], bool], predicate: Callable[[Any, Any], bool]
) -> Callable[[Json, Json, Json], bool]:
    """A keyword that applies to values of one type only."""
    return lambda value, rule, schema: not is_type(value) or predicate(value, rule)


IS_STRING, IS_ARRAY, IS_OBJECT = TYPE_CHECKS["string"], TYPE_CHECKS["array"], TYPE_CHECKS["object"]

KEYWORDS: dict[str, Callable[[Json, Json, Json], bool]] = {
    "$ref": lambda value, rule, schema: is_valid(value, definition(rule.removeprefix("#/$defs/"))),
    "type": lambda value, rule, schema: has_type(value, rule),
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
    "items": _validate_items,
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
    """The index of the `if`/`then` rule for each name that `type` may have."""
    key = id(rules)
    if key not in _RULE_INDEXES:
        type_names = [rule["if"]["properties"]["type"]["enum"] for rule in rules]
        _RULE_INDEXES[key] = {name: index for index, names in enumerate(type_names) for name in names}
    return _RULE_INDEXES[key]


_RULE_INDEXES: dict[int, dict[str, int]] = {}
"""By the identity of a list of rules, which is unique since the schema lives as long as the process."""
