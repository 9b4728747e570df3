"""Validates a document against the schema and reports violations in the user's terms."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from ... import library
from ...core.components import Json
from ...core.diagnostics import JsonPath, Report, or_list
from ...core.limits import MAX_DIAGNOSTICS
from ...layers import LAYERS
from ...layers.unsupported import unsupported_layer
from ..foreign_help import foreign_key_help, foreign_name_help, replaced_keys
from .fast_validator import is_integer, is_number, is_valid, matches_pattern, rule_index_by_type
from .misplaced_keys import misplaced_key_help
from .phrases import MAX_ENUM_VALUES_SHOWN, schema_phrase, short_name, short_repr
from .schema import PARAMETER_NAME_SCHEMA, REGISTRIES, reuse_schema, root_schema, spec_schema

if TYPE_CHECKING:
    from jsonschema import ValidationError

NESTED_BLOCK_HELP = "write the layer itself, with expressions if necessary; blocks are allowed in `layers` only"

REGISTRY_BY_KIND = {registry.kind: registry for registry in (LAYERS, *REGISTRIES)}

MAX_CHOICES_SHOWN = 8
"""The number of components of a kind up to which a help text names all."""


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
        if not concerns_value or _error_path(error) not in reported_values:
            _report_error(error, misspelled, report)
        if concerns_value:
            reported_values.add(_error_path(error))
    is_complete = len(errors) <= MAX_DIAGNOSTICS
    if not is_complete:
        help = "correct those that are listed first"
        report.add("not-listed", _error_path(errors[-1]), "there are more errors than the check lists", help=help)
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
    return error.validator == "type" and not error.relative_path and not _is_only_out_of_range(error)


def _is_only_out_of_range(error: ValidationError) -> bool:
    """Tells whether a value is a number of the right type that is too large or too close to 0."""
    types = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    value = error.instance
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    is_whole = isinstance(value, int) or value.is_integer()
    return "number" in types or (is_whole and "integer" in types)


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
        for key in _unknown_keys(error) if missing else ():
            known = error.schema["properties"]
            meant = replaced_keys(key, known) or report.similar_words(key, known)
            misspelled.setdefault(_error_path(error), set()).update(name for name in missing if name in meant)
    return misspelled


def _is_unknown_key_error(error: ValidationError) -> bool:
    return error.validator == "additionalProperties"


def _error_path(error: ValidationError) -> JsonPath:
    return tuple(error.absolute_path)


def _unknown_keys(error: ValidationError) -> list[str]:
    known = error.schema.get("properties", {})
    return [key for key in error.instance if key not in known]


def _missing_keys(error: ValidationError) -> list[str]:
    return [key for key in error.validator_value if key not in error.instance]


# -- messages --------------------------------------------------------------------------------------------------------


def _report_error(error: ValidationError, misspelled: Mapping[JsonPath, set[str]], report: Report) -> None:
    """Reports one error of the validator; `misspelled` are missing keys that are not reported."""
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
            size = "too close to 0" if abs(value) < 1 else "too large"
            is_float = "number" in error.validator_value
            type_ = "float32, which ranges from 1.4e-45 to 3.4e38" if is_float else "a 64-bit integer"
            report.add("out-of-range", path, f"{_value_name(path)} is {short_repr(value)}, {size} for {type_}")
        case "type" | "anyOf":
            message = f"expected {schema_phrase(error.schema)} for {_value_name(path)}, got {short_repr(value)}"
            help = _help_text(error) if path else "a spec is an object; data in a .json file are given as --data=FILE"
            report.add("wrong-type", path, message, help=help)
        case "enum":
            _report_invalid_choice(error, report)
        case "const":
            only_value = short_repr(error.validator_value)
            message = f"{_value_name(path)} can only be {only_value} here, got {short_repr(value)}"
            report.add("unsupported-argument", path, message, help=_help_text(error))
        case "pattern" | "maxLength":
            _report_invalid_name(error, report)
        case "not":
            message = f"{_value_name(path)} is not allowed here"
            report.add("unknown-key", path, message, help=f"remove it: {error.schema['description']}", at_key=True)
        case _:
            message = f"{_value_name(path)} {_bound_message(error)}, got {short_repr(value)}"
            report.add("out-of-range", path, message, help=_help_text(error))


def _report_unknown_key(error: ValidationError, key: str, report: Report) -> None:
    path = _error_path(error)
    known = [
        name for name, schema in error.schema["properties"].items() if name != "$schema" and not _is_refused(schema)
    ]
    help = (
        foreign_key_help(key, known)
        or misplaced_key_help(key, path, error.instance)
        or report.suggestion(key, known)
        or f"known keys: {', '.join(known)}"
    )
    report.add(
        "unknown-key",
        (*path, key),
        f"{_object_name(error)} has no key {short_name(key)}",
        help=help,
        at_key=True,
    )


def _is_refused(schema: Json) -> bool:
    """Tells whether a key can only have its default, so that no message should propose it."""
    return isinstance(schema, dict) and "const" in schema


def _report_missing_key(error: ValidationError, key: str, report: Report) -> None:
    properties = error.schema.get("properties", {})
    schema = properties.get(key, {})
    suggestion = report.suggestion(key, [name for name in error.instance if name not in properties])
    description = f"{schema['description'].rstrip('.')}: {schema_phrase(schema)}" if "description" in schema else None
    help = (
        f"rename {suggestion.removeprefix('did you mean ').removesuffix('?')} to {key!r}?"
        if suggestion
        else description
    )
    report.add("missing-key", _error_path(error), f"{_object_name(error)} needs the key {key!r}", help=help)


def _report_invalid_choice(error: ValidationError, report: Report) -> None:
    path, value, kind = _error_path(error), error.instance, error.schema.get("title")
    choices = [choice for choice in error.validator_value if choice is not None]
    if not isinstance(value, str):
        return  # the wrong type is reported as another error
    if kind is None:
        foreign = foreign_name_help("dtype", value, choices) if path[-1] == "dtype" else None
        help = foreign or report.suggestion(value, choices) or _listed_choices(error.schema, choices)
        report.add("invalid-value", path, f"{_value_name(path)} cannot be {short_repr(value)}", help=help)
    elif value in REGISTRY_BY_KIND[kind].by_name:
        attributes = REGISTRY_BY_KIND[kind].by_name[value].required_attributes()
        example = ", ".join(f'"{name}": ...' for name in ["type", *attributes])
        help = f"write {{{example.replace('...', short_repr(value), 1)}}}"
        report.add("missing-key", path, f"the {kind} {short_name(value)} needs arguments", help=help)
    elif kind == "layer":
        report_unknown_layer_type(value, path, report)
    else:
        members = REGISTRY_BY_KIND[kind].members
        help = (
            foreign_name_help(kind, value, REGISTRY_BY_KIND[kind].by_name)
            or report.suggestion(value, members)
            or report.suggestion(value, choices)
            or _choices_help(kind, members)
        )
        report.add("unknown-type", path, f"there is no {kind} {short_name(value)}", help=help)


def _listed_choices(schema: Mapping[str, Json], choices: Collection[Json]) -> str:
    """Returns the values that are allowed, or what they are if there are too many to list."""
    description = schema.get("description")
    if len(choices) > MAX_ENUM_VALUES_SHOWN and isinstance(description, str):
        return description
    return f"choose {or_list(map(short_repr, choices))}"


def _choices_help(kind: str, names: Collection[str]) -> str:
    """Returns the names of all components of a kind, or the command that lists them if they are many."""
    if len(names) <= MAX_CHOICES_SHOWN:
        return f"choose one of {', '.join(names)}"
    kinds = f"{kind}es" if kind.endswith("s") else f"{kind}s"
    return f"`jsonnx layers {kinds}` lists the {kinds}"


def report_unknown_layer_type(name: str, path: JsonPath, report: Report) -> None:
    """Reports a layer type that does not exist: why if Keras has it, else what replaces it, or a similar type.

    A block of the library gets here only where no block may be: inside a layer.
    """
    unsupported = unsupported_layer(name)
    if unsupported is not None:
        report.add(unsupported.code, path, unsupported.message, help=unsupported.help)
        return
    block_types = library.block_types()
    if name in block_types:
        report.add("unknown-type", path, f"{short_name(name)} is a block, not a layer", help=NESTED_BLOCK_HELP)
        return
    known = block_types if name.startswith(library.PREFIX) else [*LAYERS.by_name, *block_types]
    help = f"did you mean '{library.PREFIX}{name}'?" if f"{library.PREFIX}{name}" in block_types else None
    help = help or foreign_name_help("layer", name, [*LAYERS.by_name, *block_types]) or report.suggestion(name, known)
    help = help or "`jsonnx layers` lists the known types"
    report.add("unknown-type", path, f"there is no layer type {short_name(name)}", help=help)


def _report_invalid_name(error: ValidationError, report: Report) -> None:
    path, value = _error_path(error), error.instance
    at_key = "propertyNames" in error.schema_path
    help = "a name consists of at most 128 letters, digits, - and _, and begins with a letter or _"
    if error.schema == PARAMETER_NAME_SCHEMA:
        help = "the name of a parameter consists of at most 128 letters, digits and _, and begins with a letter or _"
    if value.isdecimal() and not at_key:
        help = "write the number without quotes, or a name that begins with a letter"
    elif value.startswith(library.PREFIX):
        help = f"the types that begin with {library.PREFIX} are the blocks of the standard library; rename the block"
    name_path = (*path, value) if at_key else path
    report.add("invalid-name", name_path, f"{short_repr(value)} is not a valid name", help=help, at_key=at_key)


def _value_name(path: JsonPath) -> str:
    """Returns the name of a value in messages: its key and the indexes after it, such as `'units'` or `'shape[1]'`."""
    key_positions = [position for position, step in enumerate(path) if isinstance(step, str)]
    if not key_positions:
        return "the document"
    key, *indexes = path[key_positions[-1] :]
    return repr("".join([str(key), *(f"[{index}]" for index in indexes)]))


def _object_name(error: ValidationError) -> str:
    """Returns the name of the invalid object in messages."""
    value, path = error.instance, _error_path(error)
    type_name = value.get("type") if isinstance(value, dict) and "type" in error.schema.get("required", ()) else None
    if isinstance(type_name, str):
        return type_name
    if isinstance(value, dict) and "use" in value:
        return "an entry with 'use'"
    if path[:1] == ("inputs",) and len(path) == 2:
        return f"the input {path[1]!r}"
    return "the document" if not path else "the layer" if path[0] == "layers" and len(path) == 2 else _value_name(path)


def _help_text(error: ValidationError) -> str | None:
    value, expected = error.instance, schema_phrase(error.schema)
    if isinstance(value, str) and ("integer" in expected or "number" in expected) and re.fullmatch(r"-?[0-9.]+", value):
        return "write the number without quotes"
    if error.schema.get("title") == "layer" and isinstance(value, str):
        return f'write it as an object with its type: {{"type": {short_repr(value)}, ...}}'
    description = error.schema.get("description")
    if not isinstance(value, dict) and (keys := _object_keys(error.schema)):
        return " ".join([*([str(description)] if description else []), f"Keys of the object: {', '.join(keys)}"])
    if isinstance(value, (dict, list)) and isinstance(error.schema.get("default"), (int, float)):
        return f"write {expected}, such as {json.dumps(error.schema['default'])}: {description}"
    return str(description) if description else None


def _object_keys(schema: Json) -> list[str]:
    """Returns the keys of the only object that a schema allows, unless it is a component with a type."""
    options = [option for option in schema.get("anyOf", [schema]) if "properties" in option]
    is_plain = len(options) == 1 and "title" not in options[0] and "type" not in options[0]["properties"]
    return list(options[0]["properties"]) if is_plain and "$schema" not in schema else []


def _bound_message(error: ValidationError) -> str:
    bound = error.validator_value
    bound = int(bound) if bound == int(bound) else bound
    is_exact = error.schema.get("minItems") == error.schema.get("maxItems")
    items = f"{bound} item{'s' if bound != 1 else ''}"
    messages = {
        "minimum": f"must be at least {bound}",
        "maximum": f"must be at most {bound}",
        "exclusiveMinimum": f"must be greater than {bound}",
        "exclusiveMaximum": f"must be less than {bound}",
        "minItems": f"must have {items}" if is_exact else f"must have at least {items}",
        "maxItems": f"must have {items}" if is_exact else f"may have at most {items}",
        "minProperties": f"must have at least {bound} {'entry' if bound == 1 else 'entries'}",
    }
    return messages.get(str(error.validator), error.message)
