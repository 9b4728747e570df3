"""The validator that decides what is valid: jsonschema's for Draft 2020-12, with five keywords of our own.

- `anyOf`: the errors of an invalid value are those of the alternative that it is meant as.
- `allOf` of `if`/`then` rules looks the rule up by `type` instead of trying all rules.
- `items` passes over valid items by the fast validator, and does not check those of a list that is too long.
- `type` limits numbers to 64-bit integers and float32.
- `pattern` follows ECMA-262, as `fast_validator.matches_pattern`.

Importing this module imports jsonschema.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from ...core.components import Json
from .fast_validator import TYPE_CHECKS, has_type, is_only_out_of_range, is_valid, matches_pattern, rule_index_by_type
from .schema import definition, reuse_schema, spec_schema


def _all_of(validator: Any, rules: list[Json], instance: Json, schema: Json) -> Iterator[ValidationError]:
    if "if" not in rules[0]:
        for index, rule in enumerate(rules):
            yield from validator.descend(instance, rule, schema_path=index)
        return
    type_name = instance.get("type") if isinstance(instance, dict) else None
    rule_index = rule_index_by_type(rules).get(type_name) if isinstance(type_name, str) else None
    if rule_index is not None:
        yield from validator.descend(instance, rules[rule_index]["then"], schema_path=rule_index)


def _items(validator: Any, rule: Json, instance: Json, schema: Json) -> Iterator[ValidationError]:
    has_too_many = isinstance(instance, list) and len(instance) > schema.get("maxItems", len(instance))
    for index, item in enumerate(instance if isinstance(instance, list) and not has_too_many else ()):
        if not is_valid(item, rule):
            yield from validator.descend(item, rule, path=index)


def _pattern(validator: Any, pattern: str, instance: Json, schema: Json) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not matches_pattern(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


# -- the meant alternative of an `anyOf` ------------------------------------------------------------------------------


def _any_of(validator: Any, options: list[Json], instance: Json, schema: Json) -> Iterator[ValidationError]:
    if any(is_valid(instance, option) for option in options):
        return
    option = _meant_alternative(validator, instance, options)
    if option is None:
        yield ValidationError(f"{instance!r} is meant as none of the alternatives")
    else:
        yield from validator.descend(instance, option)


def _meant_alternative(validator: Any, value: Json, options: list[Json]) -> Json | None:
    """The alternative that an invalid value is meant as; None if that is not clear.

    It is the only one that allows the JSON type of the value. Of several for an object, `type` tells whether it is a
    component; else it is the one with the fewest errors, then the one that lists the keys, or one for any keys; of
    nested lists, it is the one with the fewest levels.
    """
    meant = [option for option in options if _may_be_meant(value, option)]
    if len(meant) > 1 and isinstance(value, dict):
        meant = [option for option in meant if ("$ref" in option) == ("type" in value)]
    if len(meant) > 1:
        counts = [_error_count(validator, value, option) for option in meant]
        meant = [option for option, count in zip(meant, counts, strict=True) if count == min(counts)]
    if len(meant) > 1 and isinstance(value, dict) and value:
        listing = [option for option in meant if value.keys() <= option.get("properties", {}).keys()]
        meant = listing or [option for option in meant if "properties" not in option]
    return meant[0] if len(meant) == 1 or (meant and isinstance(value, list)) else None


def _may_be_meant(value: Json, option: Json) -> bool:
    """Whether a value has a JSON type that an alternative allows; a number may be out of range.

    Any value may be meant as a component. A list may not be meant as one of further alternatives, so that one with a
    wrong item is reported as a whole.
    """
    if "$ref" in option:
        return _may_be_meant(value, definition(option["$ref"].removeprefix("#/$defs/")))
    if "anyOf" in option:
        if "title" in option or (isinstance(value, list) and value):
            return "title" in option
        return any(_may_be_meant(value, inner) for inner in option["anyOf"])
    types = option.get("type", list(TYPE_CHECKS))
    return has_type(value, types) or is_only_out_of_range(value, types)


def _error_count(validator: Any, value: Json, option: Json) -> int:
    """The number of errors in a value as one of the alternatives; of an object, of the entries with errors."""
    errors = list(validator.descend(value, option))
    return len({tuple(error.relative_path)[:1] for error in errors}) if isinstance(value, dict) else len(errors)


VALIDATOR: Any = extend(
    Draft202012Validator,
    {"allOf": _all_of, "anyOf": _any_of, "items": _items, "pattern": _pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {name: lambda _, value, check=TYPE_CHECKS[name]: check(value) for name in ("integer", "number")}
    ),
)
"""The class of the validator. It needs the definitions in the schema."""


@cache
def spec_validator() -> Any:
    """The validator of flat documents."""
    return VALIDATOR(spec_schema())


@cache
def reuse_validator() -> Any:
    """The validator of parameters, scales and blocks."""
    return VALIDATOR(reuse_schema())
