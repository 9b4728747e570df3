"""The violations of the schema as diagnostics, with the fixes that are certain."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from ... import library
from ...core.components import Json
from ...core.diagnostics import JsonPath, Report, did_you_mean, or_list
from ...core.fixes import Fix, Suggestion, json_text, remove_key
from ...core.quantities import AMOUNT_EXAMPLES
from ...layers import LAYERS
from ...layers.unsupported import unsupported_layer
from ..foreign.foreign_help import foreign_name, key_correction, replaced_keys
from .component_fixes import REGISTRY_BY_KIND, component_fix, name_as_layer_fix, type_key_fix
from .corrections import key_fix, split_fix, value_fix
from .fast_validator import is_only_out_of_range
from .misplaced_keys import misplaced_key
from .phrases import MAX_ENUM_VALUES_SHOWN, schema_phrase, short_name, short_repr
from .schema import PARAMETER_NAME_SCHEMA, REPETITION_KEYS
from .schema_paths import declares_key, required_keys, schema_at, value_at

if TYPE_CHECKING:
    from jsonschema import ValidationError

NESTED_BLOCK_HELP = "write the layer itself, with expressions if necessary; blocks are allowed in `layers` only"

MAX_ROOT_KEYS = 50
"""Keys of a document among which one is looked for that is meant as `blocks`."""
MAX_CHOICES_SHOWN = 8
"""Maximum number of components of a kind that a help text lists."""


def report_error(
    error: ValidationError, misspelled: Mapping[JsonPath, set[str]], document: Json, report: Report
) -> None:
    """Reports one error of the validator; `misspelled` are missing keys that are not reported."""
    path = error_path(error)
    match error.validator:
        case "additionalProperties":
            for key in unknown_keys(error):
                _report_unknown_key(error, key, document, report)
        case "required":
            for key in _missing_keys(error):
                if key not in misspelled.get(path, ()):
                    _report_missing_key(error, key, report)
        case "enum" if not isinstance(error.instance, str):
            pass  # the wrong type is reported as another error
        case "enum" if "title" in error.schema:
            _report_unknown_component(error, document, report)
        case "enum":
            _report_unknown_word(error, report)
        case "pattern" if error.schema.get("title") in AMOUNT_EXAMPLES:
            example, value = AMOUNT_EXAMPLES[error.schema["title"]], error.instance
            message = f"{_value_name(path)} cannot be {short_repr(value)}"
            found = json_text(value)
            report.add("invalid-value", path, message, help=f"write it like {example}", expected=example, found=found)
        case "pattern" | "maxLength":
            _report_invalid_name(error, document, report)
        case "not":
            message = f"{_value_name(path)} is not allowed here"
            help = f"remove it: {error.schema['description']}"
            fix = remove_key(path) if "layers" in path else None  # a parameter may need a value in its place
            report.add("unknown-key", path, message, help=help, at_key=True, fix=fix)
        case _:
            _report_invalid_value(error, document, report)


def _report_invalid_value(error: ValidationError, document: Json, report: Report) -> None:
    """Reports a value of a wrong type, or out of range."""
    path, value = error_path(error), error.instance
    code, help = "out-of-range", _help_text(error)
    match error.validator:
        case "type" if is_only_out_of_range(value, error.validator_value):
            size = "too close to 0" if abs(value) < 1 else "too large"
            is_float = "number" in error.validator_value
            type_ = "float32, which ranges from 1.4e-45 to 3.4e38" if is_float else "a 64-bit integer"
            message, help = f"{_value_name(path)} is {short_repr(value)}, {size} for {type_}", None
        case "type" | "anyOf":
            code = "wrong-type"
            message = f"expected {schema_phrase(error.schema)} for {_value_name(path)}, got {short_repr(value)}"
            help = help if path else "a spec is an object; data in a .json file are given as --data=FILE"
        case "const":
            code = "unsupported-argument"
            only_value = short_repr(error.validator_value)
            message = f"{_value_name(path)} can only be {only_value} here, got {short_repr(value)}"
        case _:
            message = f"{_value_name(path)} {_bound_message(error)}, got {short_repr(value)}"
    fix = _value_fix(error, document)
    report.add(code, path, message, help=help, expected=_expected(error), found=json_text(value), fix=fix)


def _expected(error: ValidationError) -> str:
    """The values that a schema allows, as a phrase."""
    if error.validator == "const":
        return short_repr(error.validator_value)
    if error.validator in ("type", "anyOf"):
        return schema_phrase(error.schema)
    return re.sub("^(must|may) (be|have) ", "", _bound_message(error))


def _value_fix(error: ValidationError, document: Json) -> Fix | None:
    """The fix of an invalid value, if it is certain what it stands for."""
    path, value = error_path(error), error.instance
    if error.validator not in ("type", "anyOf", "const", "minItems", "pattern") or not path:
        return None
    if error.validator == "minItems" and isinstance(path[-1], int):
        return None  # of nested lists, it is not certain which level is meant
    owner_schema, owner = schema_at(document, path[:-1]), value_at(document, path[:-1])
    if isinstance(owner, dict) and (value is None or error.validator == "const"):
        is_optional = declares_key(owner_schema, owner, path[-1]) and path[-1] not in required_keys(owner_schema, owner)
        return remove_key(path, is_safe=False) if is_optional else None  # another value than the default may be meant
    schema = schema_at(document, path) or error.schema
    return name_as_layer_fix(path, value, schema) or value_fix(path, value, schema)


def _report_unknown_key(error: ValidationError, key: str, document: Json, report: Report) -> None:
    path, properties, value = error_path(error), error.schema["properties"], error.instance
    known = [name for name, schema in properties.items() if name != "$schema" and not _is_refused(schema)]
    if len(path) == len(("layers", 0)):
        known += {"layers": REPETITION_KEYS, "inputs": ("repeat",)}.get(str(path[0]), ())
    help: str | Suggestion
    fix = None
    if correction := key_correction(key, known):
        help, new_keys = correction.text, correction.new_keys
        if len(new_keys) > 1:
            fix = split_fix(path, key, value, properties, new_keys)
        elif correction.is_certain and not new_keys:
            fix = remove_key((*path, key))
    elif misplaced := misplaced_key(key, path, document):
        help, fix, new_keys = misplaced.text, misplaced.fix, ()
    else:
        new_keys = tuple(report.similar_words(key, known))
        help = did_you_mean(new_keys) or f"known keys: {', '.join(known)}"
    if len(new_keys) == 1 and new_keys[0] in properties:
        fix = key_fix(path, key, value, properties, new_keys[0])
    report.add(
        "unknown-key",
        (*path, key),
        f"{_object_name(error)} has no key {short_name(key)}",
        help=help,
        at_key=True,
        expected=f"one of the keys {', '.join(known)}",
        found=json_text(key),
        fix=fix,
    )


def _is_refused(schema: Json) -> bool:
    """Whether a key can only have its default, so that no message should propose it."""
    return isinstance(schema, dict) and "const" in schema


def _report_missing_key(error: ValidationError, key: str, report: Report) -> None:
    path, properties, value = error_path(error), error.schema.get("properties", {}), error.instance
    schema = properties.get(key, {})
    unknown = [name for name in value if name not in properties]
    kind = error.schema.get("title")
    meant = [name for name in unknown if replaced_keys(name, [key])] or report.similar_words(key, unknown)
    if not meant and key == "type" and kind in REGISTRY_BY_KIND:
        types = REGISTRY_BY_KIND[kind].by_name
        meant = [name for name in unknown if isinstance(value[name], str) and value[name] in types]
    description = f"{schema['description'].rstrip('.')}: {schema_phrase(schema)}" if "description" in schema else None
    help = f"rename {or_list(map(repr, meant))} to {key!r}?" if meant else description
    fix = None
    if len(meant) == 1:
        is_type = key == "type"
        fix = type_key_fix(kind, path, value, meant[0]) if is_type else key_fix(path, meant[0], value, properties, key)
    expected = f"the key {key!r}" + (f": {schema_phrase(schema)}" if schema else "")
    message = f"{_object_name(error)} needs the key {key!r}"
    report.add("missing-key", path, message, help=help, expected=expected, found=json_text(value), fix=fix)


def _report_unknown_word(error: ValidationError, report: Report) -> None:
    """Reports a text that is none of a few words."""
    path, value = error_path(error), error.instance
    choices = [choice for choice in error.validator_value if choice is not None]
    expected = or_list(map(short_repr, choices))
    help: str | Suggestion = f"choose {expected}"
    if len(choices) > MAX_ENUM_VALUES_SHOWN:
        expected = schema_phrase(error.schema)
        help = str(error.schema.get("description", f"write {expected}"))
    foreign = foreign_name(str(path[-1]), value, choices) if path[-1] in ("dtype", "sampler") else None
    help = foreign or report.suggestion(value, choices) or help
    message = f"{_value_name(path)} cannot be {short_repr(value)}"
    report.add("invalid-value", path, message, help=help, expected=expected, found=json_text(value))


def _report_unknown_component(error: ValidationError, document: Json, report: Report) -> None:
    """Reports the name of a component that does not exist, or that cannot stand without arguments."""
    path, name, kind = error_path(error), error.instance, error.schema["title"]
    registry, found = REGISTRY_BY_KIND[kind], json_text(name)
    if name in registry.by_name:
        attributes = registry.by_name[name].required_attributes()
        example = ", ".join([f'"type": {short_repr(name)}', *(f'"{attribute}": ...' for attribute in attributes)])
        example = f"{{{example}}}"
        message = f"the {kind} {short_name(name)} needs arguments"
        report.add("missing-key", path, message, help=f"write {example}", expected=example, found=found)
        return
    if kind == "layer":
        report_unknown_layer_type(name, path, document, report)
        return
    suggestion = foreign_name(kind, name, registry.by_name)
    for names in (registry.members, error.validator_value):  # main names before aliases
        suggestion = suggestion or report.suggestion(name, names)
    help = suggestion.text if suggestion else _choices_help(kind, registry.members)
    fix = component_fix(kind, path, document, suggestion) if suggestion else None
    message = f"there is no {kind} {short_name(name)}"
    report.add("unknown-type", path, message, help=help, expected=f"the name of a {kind}", found=found, fix=fix)


def _choices_help(kind: str, names: Collection[str]) -> str:
    """The names of all components of a kind, or the command that lists them if they are many."""
    if len(names) <= MAX_CHOICES_SHOWN:
        return f"choose one of {', '.join(names)}"
    kinds = f"{kind}es" if kind.endswith("s") else f"{kind}s"
    return f"`jsonnx layers {kinds}` lists the {kinds}"


def report_unknown_layer_type(name: str, path: JsonPath, document: Json, report: Report) -> None:
    """Reports a layer type that does not exist: why if Keras has it, else what replaces it, or a similar type.

    A block of the library gets here only where no block may be: inside a layer.
    """
    expected, found = "the type of a layer", json_text(name)
    unsupported = unsupported_layer(name)
    if unsupported is not None:
        report.add(unsupported.code, path, unsupported.message, help=unsupported.help, expected=expected, found=found)
        return
    block_types = library.block_types()
    if name in block_types:
        message = f"{short_name(name)} is a block, not a layer"
        report.add("unknown-type", path, message, help=NESTED_BLOCK_HELP, expected=expected, found=found)
        return
    known = block_types if name.startswith(library.PREFIX) else [*LAYERS.by_name, *block_types]
    block_type = f"{library.PREFIX}{name}"
    suggestion = Suggestion(f"did you mean '{block_type}'?", name, (block_type,)) if block_type in block_types else None
    suggestion = suggestion or foreign_name("layer", name, [*LAYERS.by_name, *block_types])
    fix = component_fix("layer", path, document, suggestion) if suggestion else None
    if suggestion is None:
        suggestion = report.suggestion(name, known)
        # A similar block of the library is not certain: a block of the spec may lack its definition.
        if suggestion and (known is block_types or not {*suggestion.replacements}.intersection(block_types)):
            fix = component_fix("layer", path, document, suggestion)
    if fix is not None and _defines_blocks_under_another_key(document):
        fix = None
    help = suggestion.text if suggestion else "`jsonnx layers` lists the known types"
    message = f"there is no layer type {short_name(name)}"
    report.add("unknown-type", path, message, help=help, expected=expected, found=found, fix=fix)


def _defines_blocks_under_another_key(document: Json) -> bool:
    """Whether a key of the document is meant as `blocks`, so that an unknown type may be that of a block."""
    entries = islice(document.items(), MAX_ROOT_KEYS) if isinstance(document, dict) else ()
    objects = [value for key, value in entries if key != "blocks" and isinstance(value, dict)]
    first_values = [next(iter(value.values()), None) for value in objects]
    return any(isinstance(value, dict) and "layers" in value for value in first_values)


def _report_invalid_name(error: ValidationError, document: Json, report: Report) -> None:
    path, value = error_path(error), error.instance
    at_key = "propertyNames" in error.schema_path
    help = "a name consists of at most 128 letters, digits, - and _, and begins with a letter or _"
    if error.schema == PARAMETER_NAME_SCHEMA:
        help = "the name of a parameter consists of at most 128 letters, digits and _, and begins with a letter or _"
    if value.isdecimal() and not at_key:
        help = "write the number without quotes, or a name that begins with a letter"
    elif value.startswith(library.PREFIX):
        help = f"the types that begin with {library.PREFIX} are the blocks of the standard library; rename the block"
    name_path = (*path, value) if at_key else path
    message, found = f"{short_repr(value)} is not a valid name", json_text(value)
    fix = None if at_key else _value_fix(error, document)
    report.add("invalid-name", name_path, message, help=help, at_key=at_key, expected="a name", found=found, fix=fix)


def _value_name(path: JsonPath) -> str:
    """The name of a value in messages: its key and the indexes after it, such as `'units'` or `'shape[1]'`."""
    key_positions = [position for position, step in enumerate(path) if isinstance(step, str)]
    if not key_positions:
        return "the document"
    key, *indexes = path[key_positions[-1] :]
    return repr("".join([str(key), *(f"[{index}]" for index in indexes)]))


def _object_name(error: ValidationError) -> str:
    """The name of the invalid object in messages."""
    value, path = error.instance, error_path(error)
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
    """The keys of the only object that a schema allows, unless it is a component with a type."""
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


def error_path(error: ValidationError) -> JsonPath:
    return tuple(error.absolute_path)


def unknown_keys(error: ValidationError) -> list[str]:
    known = error.schema.get("properties", {})
    return [key for key in error.instance if key not in known]


def _missing_keys(error: ValidationError) -> list[str]:
    return [key for key in error.validator_value if key not in error.instance]
