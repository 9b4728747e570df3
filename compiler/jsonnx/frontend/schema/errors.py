"""Validates a document against the schema, and reports its errors."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ...core.limits import MAX_DIAGNOSTICS
from ..foreign.foreign_help import replaced_keys
from .error_messages import error_path, report_error, unknown_keys
from .fast_validator import is_valid
from .schema import reuse_schema, root_schema

if TYPE_CHECKING:
    from jsonschema import ValidationError


def check_against_schema(document: Json, report: Report) -> bool:
    """Reports violations of the schema in a document, and tells whether these are all: there may be too many."""
    if is_valid(document, root_schema()):
        return True
    from .validator import spec_validator  # imports jsonschema

    return _report_violations(spec_validator().iter_errors(document), document, report)


def check_reuse_properties(document: Json, report: Report) -> None:
    """Reports violations of the schema in parameters, scales and blocks, except in the layers of blocks."""
    if not is_valid(document, reuse_schema()):
        from .validator import reuse_validator

        _report_violations(reuse_validator().iter_errors(document), document, report)


def _report_violations(found: Iterable[ValidationError], document: Json, report: Report) -> bool:
    """Reports the validator's errors, one at most for each value, and one for each missing or unknown key.

    Stops at `MAX_DIAGNOSTICS`, and tells whether all were reported.
    """
    errors = list(islice(found, MAX_DIAGNOSTICS + 1))
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


def _misspelled_keys(errors: Iterable[ValidationError], report: Report) -> dict[JsonPath, set[str]]:
    """Returns, by object, the missing keys that an unknown key probably misspells.

    They are reported once, at the unknown key.
    """
    misspelled: dict[JsonPath, set[str]] = {}
    for error in errors:
        if error.validator != "additionalProperties":
            continue
        missing = [name for name in error.schema.get("required", []) if name not in error.instance]
        for key in unknown_keys(error) if missing else ():
            known = error.schema["properties"]
            meant = replaced_keys(key, known) or report.similar_words(key, known)
            misspelled.setdefault(error_path(error), set()).update(name for name in missing if name in meant)
    return misspelled
