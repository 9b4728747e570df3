"""The standard library's JSON parser, made strict: many times faster than one that builds a tree."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from json import JSONDecoder
from math import isfinite
from typing import Any, NoReturn

from ...core.limits import (
    MAX_JSON_CONTAINERS,
    MAX_JSON_DEPTH,
    MAX_JSON_KEYS,
    MAX_JSON_VALUES,
    MAX_NUMBER_CHARACTERS,
    MAX_SPEC_BYTES,
    MAX_STRING_CHARACTERS,
)
from ..schema.phrases import short_name
from .syntax_tree import Json


@dataclass(frozen=True)
class Limits:
    """Limits of one document; the codes of violations are `too-large`, `too-deep` and `invalid-number`."""

    max_bytes: int = MAX_SPEC_BYTES  # checked against the file's size before it is read
    max_depth: int = MAX_JSON_DEPTH
    max_digits: int = MAX_NUMBER_CHARACTERS  # the smallest limit that sys.set_int_max_str_digits accepts
    max_values: int = MAX_JSON_VALUES
    max_containers: int = MAX_JSON_CONTAINERS  # objects, lists and keys take more memory than other values
    max_keys: int = MAX_JSON_KEYS


DEFAULT_LIMITS = Limits()

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"')


def is_regular(text: str, limits: Limits) -> bool:
    """Whether a text, if it is JSON, has no more values than the limits allow, no string that is too long, and
    no escaped surrogate, which the standard library accepts if it is alone. Some texts that have none are not regular.
    """
    container_count = text.count("[") + text.count("{")
    return (
        container_count <= limits.max_containers
        and text.count(":") <= limits.max_keys
        and container_count + text.count(",") < limits.max_values
        and not ("\\u" in text and _SURROGATE.search(text))
        and not (len(text) > MAX_STRING_CHARACTERS and _has_long_string(text))
    )


def strict_decoder(limits: Limits, non_finite: bool) -> JSONDecoder:
    """A parser that rejects repeated keys, and numbers that are not finite or too long."""
    return JSONDecoder(
        object_pairs_hook=_object,
        parse_int=partial(number_value, limits, True),
        parse_float=partial(number_value, limits, False),
        parse_constant=float if non_finite else _reject,
    )


def number_value(limits: Limits, is_integer: bool, text: str) -> int | float:
    """The integer or the float of a text. Raises ValueError if it is too long or out of range."""
    if len(text) > min(limits.max_digits, MAX_NUMBER_CHARACTERS):
        raise ValueError(f"a number of {len(text):,} characters, which is too long")
    if is_integer:
        return int(text)
    value = float(text)
    if not isfinite(value) or (value == 0 and text.lower().partition("e")[0].strip("-0.")):
        raise ValueError(f"{short_name(text, 40)} is out of range: floats reach from 4.9e-324 to 1.8e308")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError
    return members


def _reject(constant: str) -> NoReturn:
    raise ValueError(constant)


def _has_long_string(text: str) -> bool:
    return any(string.end() - string.start() > MAX_STRING_CHARACTERS + 2 for string in _STRING.finditer(text))


def depth(value: Json) -> int:
    """The number of objects and lists that lie inside one another."""
    containers, levels = [value] if isinstance(value, (dict, list)) else [], 0
    while containers:
        children = (item.values() if isinstance(item, dict) else item for item in containers)
        containers = [child for items in children for child in items if isinstance(child, (dict, list))]
        levels += 1
    return levels
