"""Checks of the values of an array by NumPy."""

from __future__ import annotations

from functools import cache
from math import isfinite
from typing import Any

import numpy as np

from .data_errors import MAX_LISTED_LOCATIONS

ElementIndex = tuple[int, ...]


def has_valid_values(array: np.ndarray, size: int | None) -> bool:
    """Whether floats are finite, or integers from 0 to `size - 1` if a size is given.

    A fast check: it is also false for an empty array and for an ignored class, which `validate_array` accepts.
    """
    if not array.size:
        return False
    if array.dtype.kind == "f":
        return size is None and is_finite(array)
    return array.dtype.kind in "iub" and (size is None or is_in_range(array, size))


def is_finite(array: np.ndarray) -> bool:
    """Whether there is neither an infinity nor NaN. Every step calls it, so it first tries the sum, which is faster."""
    if array.flags.forc and isfinite(np.einsum("i->", array.ravel("K"))):  # faster than `array.sum()`
        return True  # a sum that is not finite may also have overflowed
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.min()) and np.isfinite(array.max()))  # the minimum with a NaN is NaN


def is_in_range(array: np.ndarray, size: int) -> bool:
    """Whether all integers are from 0 to `size - 1`."""
    # Read as unsigned, negative integers are larger than all others, so that one pass over the array is enough.
    if array.dtype.kind == "i" and size <= 1 << (8 * array.dtype.itemsize - 1):
        return bool(np.maximum.reduce(array.view(_unsigned_dtype(array.dtype)), axis=None) < size)
    return bool(array.min() >= 0 and array.max() < size)


@cache
def _unsigned_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The unsigned integer type of the same size and byte order."""
    return np.dtype(f"{dtype.byteorder}u{dtype.itemsize}")


def is_text(array: np.ndarray) -> bool:
    """Whether all elements are strings."""
    return array.dtype.kind == "U" or (array.dtype.kind == "O" and {*map(type, array.flat)} <= {str, np.str_})


def is_missing(array: np.ndarray) -> np.ndarray:
    """Whether an element is NaN, None or the empty string."""
    if array.dtype.kind == "f":
        return np.isnan(array)
    if array.dtype.kind == "U":
        return np.asarray(array == "")
    if array.dtype.kind != "O":
        return np.zeros(array.shape, bool)
    is_none = np.fromiter((item is None for item in array.flat), bool, array.size).reshape(array.shape)
    return np.asarray(is_none | (array == "") | (array != array), bool)  # NaN differs from itself


def first_indices(mask: np.ndarray) -> tuple[list[ElementIndex], int]:
    """The indices of the first elements in a mask, as many as an error lists, and the number of all."""
    flat = np.flatnonzero(mask)
    first = np.unravel_index(flat[: MAX_LISTED_LOCATIONS + 1], mask.shape)
    return [tuple(map(int, index)) for index in zip(*first, strict=True)], len(flat)
