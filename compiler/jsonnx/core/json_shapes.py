"""The shapes of JSON values in files that jsonnx has written and that may be damaged or forged.

A shape is a dict, which stands for an object with these keys, or with any keys if its only key is ""; a tuple, for a
list of items of one shape; [None, shape], for null or the shape; None, for any value; or one of the words below.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

COUNT, NUMBER, FINITE, METRIC, TEXT = "count", "number", "finite", "metric", "text"
"""An integer from 0; a number, which may be infinite; a finite number; a number or nested lists of numbers; a text."""


def has_shape(value: Any, shape: Any) -> bool:
    """Whether a value has a shape."""
    if isinstance(shape, dict):
        shapes = dict.fromkeys(value, shape[""]) if "" in shape and isinstance(value, dict) else shape
        return (
            isinstance(value, dict)
            and value.keys() == shapes.keys()
            and all(has_shape(value[name], shapes[name]) for name in shapes)
        )
    if isinstance(shape, tuple):
        return isinstance(value, list) and all(has_shape(item, shape[0]) for item in value)
    if isinstance(shape, list):
        return value is None or has_shape(value, shape[1])
    if shape == TEXT:
        return isinstance(value, str)
    if shape == METRIC and isinstance(value, list):
        return all(has_shape(item, METRIC) for item in value)
    return shape is None or _is_number(value, shape)


def _is_number(value: Any, word: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if word == COUNT:
        return isinstance(value, int) and 0 <= value < 1 << 63
    return word != FINITE or (abs(value) < 1 << 1023 and isfinite(value))
