"""Holds a document against the schema, and says in the user's terms what does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ...layers import LAYERS
from ...layers.unsupported import unsupported_layer
from .fast_validator import is_integer, is_number, is_valid, matches_pattern, rule_index_by_type
from .phrases import or_list, schema_phrase, short_name, short_repr
from .schema import REGISTRIES, SCHEMA_URI, reuse_properties, root_schema, spec_schema

if TYPE_CHECKING:
    from jsonschema import ValidationError

REGISTRY_BY_KIND = {family.kind: family for family in (LAYERS, *REGISTRIES)}


def check_against_schema(document: Json, report: Report) -> None:
    """Reports everything in the document that the schema does not allow."""
    if not is_valid(document, root_schema()):
        _report_violations(document, _validator(), report)


def check_reuse_properties(document: Json, report: Report) -> None:
    """The same for what is written once and used often: parameters, scales and blocks, but not the layers in them."""
    only = {"$schema": SCHEMA_URI, "type": "object", "properties": reuse_properties()}
    if not is_valid(document, only):
        _report_violations(document, _validator_class()(only), report)


def _report_violations(document: Json, validator: Any, report: Report) -> None:
    found = [fault for error in validator.iter_errors(document) for fault in _intended_errors(error)]
    guessed = _misspelled_keys(found, report)
    told: set[JsonPath] = set()
    for error in found:
        of_value = error.validator not in ("additionalProperties", "required")
        if not of_value or _error_path(error) not in told:
            _report_error(error, guessed, report)
        if of_value:
            told.add(_error_path(error))


# -- the validator ---------------------------------------------------------------------------------------------------


@cache
def _validator() -> Any:
    return _validator_class()(spec_schema())


@cache
def _validator_class() -> Any:
    """Validators that look a brick up by its `type` where the schema tries one after the other, and that take only
    numbers that a computer has: JSON Schema knows no others, Python does."""
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.validators import extend

    def all_of(validator: Any, rules: list[Json], instance: Json, within: Json) -> Iterator[ValidationError]:
        if "if" not in rules[0]:
            for index, rule in enumerate(rules):
                yield from validator.descend(instance, rule, schema_path=index)
            return
        tag = instance.get("type") if isinstance(instance, dict) else None
        found = rule_index_by_type(rules).get(tag) if isinstance(tag, str) else None
        if found is not None:
            yield from validator.descend(instance, rules[found]["then"], schema_path=found)

    def pattern(validator: Any, pattern: str, instance: Json, within: Json) -> Iterator[ValidationError]:
        if isinstance(instance, str) and not matches_pattern(pattern, instance):
            yield ValidationError(f"{instance!r} does not match {pattern!r}")

    kinds = {"integer": lambda _, value: is_integer(value), "number": lambda _, value: is_number(value)}
    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(kinds)
    return extend(Draft202012Validator, {"allOf": all_of, "pattern": pattern}, type_checker=checker)


# -- which faults are meant ------------------------------------------------------------------------------------------


def _intended_errors(error: ValidationError) -> list[ValidationError]:
    """Where a value may have several forms, the faults of the form that was meant, if that can be told."""
    if error.validator != "anyOf" or not error.context:
        return [error]
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    meant = [index for index, faults in branches.items() if not any(_rules_out_branch(fault) for fault in faults)]
    if len(meant) > 1 and isinstance(error.instance, dict):
        tagged = [index for index in meant if "$ref" in error.validator_value[index]]
        others = [index for index in meant if index not in tagged]
        meant = tagged if "type" in error.instance else others
    if len(meant) > 1:
        nearest = min(map(len, (branches[index] for index in meant)))
        meant = [index for index in meant if len(branches[index]) == nearest]
        meant = meant[:1] if isinstance(error.instance, list) else meant  # nested lists: the shallowest that fits
    if len(meant) != 1:
        return [error]
    return [fault for inner in branches[meant[0]] for fault in _intended_errors(inner)]


def _rules_out_branch(fault: ValidationError) -> bool:
    """Whether a form is out of the question: the value is of another type altogether."""
    if fault.validator == "anyOf" and fault.context:
        return not fault.relative_path and all(
            _rules_out_branch(inner) for inner in fault.context if not inner.relative_path
        )
    return fault.validator == "type" and not fault.relative_path and not _is_only_out_of_range(fault)


def _is_only_out_of_range(error: ValidationError) -> bool:
    """Whether a number would be of the right type, were it not for its size."""
    wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    value = error.instance
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    whole = isinstance(value, int) or value.is_integer()
    return "number" in wanted or (whole and "integer" in wanted)


def _misspelled_keys(errors: Iterable[ValidationError], report: Report) -> dict[JsonPath, set[str]]:
    """Missing keys that an unknown key beside them was meant to be: reported once, at the unknown one."""
    guessed: dict[JsonPath, set[str]] = {}
    for error in errors:
        missing = (
            [name for name in error.schema.get("required", []) if name not in error.instance]
            if _is_unknown_key_error(error)
            else []
        )
        for key in _unknown_keys(error) if missing else ():
            near = report.suggestion(key, error.schema["properties"])
            guessed.setdefault(_error_path(error), set()).update(
                name for name in missing if near and repr(name) in near
            )
    return guessed


def _is_unknown_key_error(error: ValidationError) -> bool:
    return error.validator == "additionalProperties"


def _error_path(error: ValidationError) -> JsonPath:
    return tuple(error.absolute_path)


def _unknown_keys(error: ValidationError) -> list[str]:
    known = error.schema.get("properties", {})
    return [key for key in error.instance if key not in known]


def _missing_keys(error: ValidationError) -> list[str]:
    return [key for key in error.validator_value if key not in error.instance]


# -- in words --------------------------------------------------------------------------------------------------------


def _report_error(error: ValidationError, misspelled: Mapping[JsonPath, set[str]], report: Report) -> None:
    path, value = _error_path(error), error.instance
    match error.validator:
        case "additionalProperties":
            for key in _unknown_keys(error):
                _report_unknown_key(error, key, report)
        case "required":
            for key in _missing_keys(error):
                if key not in misspelled.get(path, ()):
                    _report_missing_key(error, key, report)
        case "type" if _is_only_out_of_range(error):
            size = "too near to 0" if abs(value) < 1 else "too large"
            bound = (
                "a 64-bit integer"
                if "number" not in error.validator_value
                else "float32, which reaches from 1.4e-45 to 3.4e38"
            )
            report.add("out-of-range", path, f"{_value_name(path)} is {short_repr(value)}, {size} for {bound}")
        case "type" | "anyOf":
            message = f"expected {schema_phrase(error.schema)} for {_value_name(path)}, got {short_repr(value)}"
            report.add("wrong-type", path, message, help=_help_text(error))
        case "enum":
            _report_invalid_choice(error, report)
        case "const":
            message = (
                f"{_value_name(path)} can only be {short_repr(error.validator_value)} here, got {short_repr(value)}"
            )
            report.add("unsupported-argument", path, message, help=_help_text(error))
        case "pattern" | "maxLength":
            _report_invalid_name(error, report)
        case "not":
            message = f"{_value_name(path)} has no meaning here"
            report.add("unknown-key", path, message, help=f"remove it: {error.schema['description']}", at_key=True)
        case _:
            report.add(
                "out-of-range",
                path,
                f"{_value_name(path)} {_bound_message(error)}, got {short_repr(value)}",
                help=_help_text(error),
            )


def _report_unknown_key(error: ValidationError, key: str, report: Report) -> None:
    known = [name for name in error.schema["properties"] if name != "$schema"]
    help = report.suggestion(key, known) or f"known keys: {', '.join(known)}"
    report.add(
        "unknown-key",
        (*_error_path(error), key),
        f"{_object_name(error)} has no key {short_name(key)}",
        help=help,
        at_key=True,
    )


def _report_missing_key(error: ValidationError, key: str, report: Report) -> None:
    about = error.schema.get("properties", {}).get(key, {})
    similar = report.suggestion(
        key, [name for name in error.instance if name not in error.schema.get("properties", {})]
    )
    said = f"{about['description'].rstrip('.')}: {schema_phrase(about)}" if "description" in about else None
    help = f"{similar.removesuffix('?')} by it?" if similar else said
    report.add("missing-key", _error_path(error), f"{_object_name(error)} needs the key {key!r}", help=help)


def _report_invalid_choice(error: ValidationError, report: Report) -> None:
    path, value, kind = _error_path(error), error.instance, error.schema.get("title")
    choices = [choice for choice in error.validator_value if choice is not None]
    if not isinstance(value, str):
        return  # its type is wrong, which is reported beside this
    if kind is None:
        help = report.suggestion(value, choices) or f"choose {or_list(map(short_repr, choices))}"
        report.add("invalid-value", path, f"{_value_name(path)} cannot be {short_repr(value)}", help=help)
    elif value in REGISTRY_BY_KIND[kind].by_name:
        example = ", ".join(
            f'"{name}": ...' for name in ["type", *REGISTRY_BY_KIND[kind].by_name[value].required_attributes()]
        )
        help = f"write {{{example.replace('...', short_repr(value), 1)}}}"
        report.add("missing-key", path, f"the {kind} {short_name(value)} needs arguments", help=help)
    elif kind == "layer":
        report_unknown_layer_type(value, path, report)
    else:
        members = REGISTRY_BY_KIND[kind].members
        help = (
            report.suggestion(value, members) or report.suggestion(value, choices) or f"there are {', '.join(members)}"
        )
        report.add("unknown-type", path, f"there is no {kind} {short_name(value)}", help=help)


def report_unknown_layer_type(name: str, path: JsonPath, report: Report) -> None:
    """Says of a layer type that is not there what is known of it, or else which one is near."""
    known = unsupported_layer(name)
    if known is not None:
        report.add(known.code, path, known.message, help=known.help)
        return
    help = report.suggestion(name, LAYERS.by_name) or "`jsonnx layers` lists the known types"
    report.add("unknown-type", path, f"there is no layer type {short_name(name)}", help=help)


def _report_invalid_name(error: ValidationError, report: Report) -> None:
    path, value = _error_path(error), error.instance
    at_key = "propertyNames" in error.schema_path
    help = "a name is made of letters, digits, - and _, begins with a letter or _, and has 128 at most"
    if value.isdecimal() and not at_key:
        help = "write the number without quotes, or a name that begins with a letter"
    where = (*path, value) if at_key else path
    report.add("invalid-name", where, f"{short_repr(value)} is not a name", help=help, at_key=at_key)


def _value_name(path: JsonPath) -> str:
    """What to call a value: `'units'`, `'shape[1]'`."""
    keys = [index for index, step in enumerate(path) if isinstance(step, str)]
    return (
        repr("".join([str(path[keys[-1]]), *(f"[{step}]" for step in path[keys[-1] + 1 :])]))
        if keys
        else "the document"
    )


def _object_name(error: ValidationError) -> str:
    """What to call the object at fault."""
    value, path = error.instance, _error_path(error)
    tag = value.get("type") if isinstance(value, dict) and "type" in error.schema.get("required", ()) else None
    if isinstance(tag, str):
        return tag
    if isinstance(value, dict) and "use" in value:
        return "an entry with 'use'"
    if path[:1] == ("inputs",) and len(path) == 2:
        return f"the input {path[1]!r}"
    return "the document" if not path else "the layer" if path[0] == "layers" and len(path) == 2 else _value_name(path)


def _help_text(error: ValidationError) -> str | None:
    value, wanted = error.instance, schema_phrase(error.schema)
    if isinstance(value, str) and ("integer" in wanted or "number" in wanted) and re.fullmatch(r"-?[0-9.]+", value):
        return "write the number without quotes"
    if error.schema.get("title") == "layer" and isinstance(value, str):
        return f'write it as an object with its type: {{"type": {short_repr(value)}, ...}}'
    description = error.schema.get("description")
    return str(description) if description else None


def _bound_message(error: ValidationError) -> str:
    bound = error.validator_value
    bound = int(bound) if bound == int(bound) else bound
    exactly = error.schema.get("minItems") == error.schema.get("maxItems")
    items = f"{bound} item{'s' if bound != 1 else ''}"
    words = {
        "minimum": f"must be at least {bound}",
        "maximum": f"must be at most {bound}",
        "exclusiveMinimum": f"must be greater than {bound}",
        "exclusiveMaximum": f"must be less than {bound}",
        "minItems": f"needs {items}" if exactly else f"needs at least {items}",
        "maxItems": f"needs {items}" if exactly else f"may have at most {items}",
        "minProperties": f"needs at least {bound} {'entry' if bound == 1 else 'entries'}",
    }
    return words.get(str(error.validator), error.message)
