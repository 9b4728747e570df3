"""Validates a document against the schema, and finds out which of its alternatives the user meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ...core.limits import MAX_DIAGNOSTICS
from ..foreign.foreign_help import replaced_keys
from .error_messages import error_path, is_only_out_of_range, report_error, unknown_keys
from .fast_validator import is_integer, is_number, is_valid, matches_pattern, rule_index_by_type
from .schema import reuse_schema, root_schema, spec_schema

if TYPE_CHECKING:
    from jsonschema import ValidationError


def check_against_schema(document: Json, report: Report) -> bool:
    """Reports violations of the schema in a document, and tells whether these are all: there may be too many."""
    return is_valid(document, root_schema()) or _report_violations(document, _validator(), report)


def check_reuse_properties(document: Json, report: Report) -> None:
    """Reports violations of the schema in parameters, scales and blocks, except in the layers of blocks."""
    if not is_valid(document, reuse_schema()):
        _report_violations(document, _validator_class()(reuse_schema()), report)


def _report_violations(document: Json, validator: Any, report: Report) -> bool:
    """Reports the validator's errors, one at most for each value, and one for each missing or unknown key.

    Stops at `MAX_DIAGNOSTICS`, and tells whether all were reported.
    """
    errors = [
        intended
        for error in islice(validator.iter_errors(document), MAX_DIAGNOSTICS + 1)
        for intended in _intended_errors(error)
    ]
    misspelled = _misspelled_keys(errors, report)
    reported_values: set[JsonPath] = set()
    for error in errors:
        concerns_value = error.validator not in ("additionalProperties", "required")
        if not concerns_value or error_path(error) not in reported_values:
            report_error(error, misspelled, document, report)
        if concerns_value:
            reported_values.add(error_path(error))
    is_complete = len(errors) <= MAX_DIAGNOSTICS
    if not is_complete:
        help = "correct those that are listed first"
        report.add("not-listed", error_path(errors[-1]), "there are more errors than the check lists", help=help)
    return is_complete


# -- the validator ---------------------------------------------------------------------------------------------------


@cache
def _validator() -> Any:
    return _validator_class()(spec_schema())


@cache
def _validator_class() -> Any:
    """Returns a validator class that differs from Draft 2020-12 in four keywords.

    `allOf` of `if`/`then` rules looks the rule up by `type` instead of trying all rules; `type` limits numbers to
    64-bit integers and float32; `pattern` follows ECMA-262, as `fast_validator.matches_pattern`; `items` passes over
    valid items by the fast validator, and does not check those of a list that is too long.
    """
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.validators import extend

    def all_of(validator: Any, rules: list[Json], instance: Json, schema: Json) -> Iterator[ValidationError]:
        if "if" not in rules[0]:
            for index, rule in enumerate(rules):
                yield from validator.descend(instance, rule, schema_path=index)
            return
        type_name = instance.get("type") if isinstance(instance, dict) else None
        rule_index = rule_index_by_type(rules).get(type_name) if isinstance(type_name, str) else None
        if rule_index is not None:
            yield from validator.descend(instance, rules[rule_index]["then"], schema_path=rule_index)

    def items(validator: Any, rule: Json, instance: Json, schema: Json) -> Iterator[ValidationError]:
        has_too_many = isinstance(instance, list) and len(instance) > schema.get("maxItems", len(instance))
        for index, item in enumerate(instance if isinstance(instance, list) and not has_too_many else ()):
            if not is_valid(item, rule):
                yield from validator.descend(item, rule, path=index)

    def pattern(validator: Any, pattern: str, instance: Json, schema: Json) -> Iterator[ValidationError]:
        if isinstance(instance, str) and not matches_pattern(pattern, instance):
            yield ValidationError(f"{instance!r} does not match {pattern!r}")

    type_checks = {"integer": lambda _, value: is_integer(value), "number": lambda _, value: is_number(value)}
    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(type_checks)
    return extend(Draft202012Validator, {"allOf": all_of, "items": items, "pattern": pattern}, type_checker=checker)


# -- the intended alternative of an `anyOf` --------------------------------------------------------------------------


def _intended_errors(error: ValidationError) -> list[ValidationError]:
    """Returns the errors of the alternative that the user intended, or the error itself if that is not clear."""
    if error.validator != "anyOf" or not error.context:
        return [error]
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    candidates = [index for index, errors in branches.items() if not any(map(_rules_out_branch, errors))]
    if len(candidates) > 1 and isinstance(error.instance, dict):
        typed = [index for index in candidates if "$ref" in error.validator_value[index]]
        untyped = [index for index in candidates if index not in typed]
        candidates = typed if "type" in error.instance else untyped
    if len(candidates) > 1:
        fewest = min(map(len, (branches[index] for index in candidates)))
        candidates = [index for index in candidates if len(branches[index]) == fewest]
        if isinstance(error.instance, list):  # nested lists: the alternative with the fewest levels
            candidates = candidates[:1]
    if len(candidates) != 1:
        return [error]
    return [intended for inner in branches[candidates[0]] for intended in _intended_errors(inner)]


def _rules_out_branch(error: ValidationError) -> bool:
    """Tells whether an error shows that an alternative was not intended: the value has a different type."""
    if error.validator == "anyOf" and error.context:
        return not error.relative_path and all(
            _rules_out_branch(inner) for inner in error.context if not inner.relative_path
        )
    return error.validator == "type" and not error.relative_path and not is_only_out_of_range(error)


def _misspelled_keys(errors: Iterable[ValidationError], report: Report) -> dict[JsonPath, set[str]]:
    """Returns, by object, the missing keys that an unknown key probably misspells.

    They are reported once, at the unknown key.
    """
    misspelled: dict[JsonPath, set[str]] = {}
    for error in errors:
        missing = (
            [name for name in error.schema.get("required", []) if name not in error.instance]
            if _is_unknown_key_error(error)
            else []
        )
        for key in unknown_keys(error) if missing else ():
            known = error.schema["properties"]
            meant = replaced_keys(key, known) or report.similar_words(key, known)
            misspelled.setdefault(error_path(error), set()).update(name for name in missing if name in meant)
    return misspelled


def _is_unknown_key_error(error: ValidationError) -> bool:
    return error.validator == "additionalProperties"
