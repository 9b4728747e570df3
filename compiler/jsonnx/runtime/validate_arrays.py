"""Validates arrays of samples against the types of a network's inputs and targets, and reports every fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from ..core.numpy_types import numpy_dtype
from ..core.types import Dim, Size, TensorType, product
from .data_errors import MAX_REPORTED_FAULTS, DataLocation, FaultCollector

ElementIndex = tuple[int, ...]
LocateElement = Callable[[ElementIndex], DataLocation]
"""Locates an element of an array in the file that it was read from."""


class IndexRange(NamedTuple):
    """The integers from 0 to `size - 1`, and optionally one that marks elements without a class."""

    size: int
    ignored: int | None = None


@dataclass(frozen=True)
class DataSpec:
    """The data that a network takes: types by input and by output name, and ranges of integers by either."""

    inputs: Mapping[str, TensorType]
    targets: Mapping[str, TensorType]
    index_ranges: Mapping[str, IndexRange] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the classes by output: a .csv file may contain them in place of numbers."""

    def describe(self, name: str) -> str:
        return f"input {name!r}" if name in self.inputs else f"the target of {name!r}"


def sample_location(index: ElementIndex) -> DataLocation:
    """The location of an element in an array; samples are counted from 0."""
    return DataLocation(f"sample {index[0]}" + (f", element {list(index[1:])}" if len(index) > 1 else ""))


def validate_array(
    array: np.ndarray,
    type: TensorType,
    title: str,
    index_range: IndexRange | None,
    faults: FaultCollector,
    locate: LocateElement = sample_location,
) -> np.ndarray | None:
    """The array in the shape of the type, its values checked but not cast; None, and faults, if they are invalid.

    The shape of a sample may differ from the type's in two ways: by axes of size 1 at its end, and by its last axes
    being flattened in C order into one, in either shape. So [28, 28] may be fed for [28, 28, 1] and for [784].
    """
    fault_count = len(faults.diagnostics)
    dtype = numpy_dtype(type.dtype)
    reshaped = reshape_samples(array, type.shape[1:]) if array.ndim else None
    if reshaped is None:
        sizes = ["samples", *map(str, array.shape[1:])] if array.ndim else []
        faults.add("data-shape", f"{title} has shape [{', '.join(sizes)}], the network wants {type}")
    elif not _has_compatible_kind(array, dtype):
        faults.add("bad-value", f"{title} has {array.dtype} elements, the network wants {type.dtype}")
    elif array.size and array.dtype.kind in "fiub":
        _check_values(array, dtype, title, index_range, faults, locate)
    return reshaped if len(faults.diagnostics) == fault_count else None


def reshape_samples(array: np.ndarray, dims: tuple[Dim, ...]) -> np.ndarray | None:
    """The array with samples of these dimensions; None if they do not arise by trailing unit axes or flattening."""
    sample_shape = array.shape[1:]
    if _shapes_match(sample_shape, dims):
        return array
    trimmed_shape, trimmed_dims = _trim_unit_axes(sample_shape), _trim_unit_axes(dims)
    if not _shapes_match(trimmed_shape, trimmed_dims) and not _is_flattened(trimmed_shape, trimmed_dims):
        return None
    shape = [size if isinstance(size, int) else sample_shape[axis] for axis, size in enumerate(dims)]
    return array.reshape(len(array), *shape)


def _shapes_match(shape: tuple[Dim, ...], expected: tuple[Dim, ...]) -> bool:
    return len(shape) == len(expected) and all(
        isinstance(b, Size) or a == b for a, b in zip(shape, expected, strict=True)
    )


def _trim_unit_axes(dims: tuple[Dim, ...]) -> tuple[Dim, ...]:
    while dims and dims[-1] == 1:
        dims = dims[:-1]
    return dims


def _is_flattened(shape: tuple[Dim, ...], expected: tuple[Dim, ...]) -> bool:
    """Whether the last axis of one shape is the product of the last axes of the other."""
    if not all(isinstance(size, int) for size in expected) or len(shape) == len(expected):
        return False
    short, long = sorted((shape, expected), key=len)
    axis = len(short) - 1
    return axis >= 0 and long[:axis] == short[:axis] and product(long[axis:]) == short[axis]


def _has_compatible_kind(array: np.ndarray, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "O":
        return array.dtype.kind == "U" or (array.dtype.kind == "O" and all(isinstance(x, str) for x in array.flat))
    return array.dtype.kind in "fiub"


def _check_values(
    array: np.ndarray,
    dtype: np.dtype[Any],
    title: str,
    index_range: IndexRange | None,
    faults: FaultCollector,
    locate: LocateElement,
) -> None:
    """Adds faults for values that are not finite, not whole for an integer type, or out of range."""
    if array.dtype.kind == "f":
        if not _is_finite(array):
            _add_marked(faults, "not-finite", array, ~np.isfinite(array), lambda v: f"{title} is {v}", locate)
            return
        is_wider = dtype.kind == "f" and array.dtype.itemsize > dtype.itemsize
        if is_wider and max(-float(array.min()), float(array.max())) > float(np.finfo(dtype).max):
            too_large = np.abs(array) > np.finfo(dtype).max
            _add_marked(
                faults, "bad-value", array, too_large, lambda v: f"{title} is {v}, too large for {dtype}", locate
            )
            return
        if dtype.kind in "iub" and (array != np.floor(array)).any():
            fractional = array != np.floor(array)
            _add_marked(faults, "bad-value", array, fractional, lambda v: f"{title} is {v}, not a whole number", locate)
            return
    _check_range(array, dtype, title, index_range, faults, locate)


def has_valid_values(array: np.ndarray, size: int | None) -> bool:
    """Whether floats are finite, or integers from 0 to `size - 1` if a size is given.

    A fast check: it is also false for an empty array and for an ignored class, which `validate_array` accepts.
    """
    if not array.size:
        return False
    if array.dtype.kind == "f":
        return size is None and _is_finite(array)
    return array.dtype.kind in "iub" and (size is None or _is_in_range(array, size))


def _is_finite(array: np.ndarray) -> bool:
    """Whether there is neither an infinity nor NaN. Every step calls it, so it first tries the sum, which is faster."""
    if array.flags.forc and isfinite(np.einsum("i->", array.ravel("K"))):  # faster than `array.sum()`
        return True  # a sum that is not finite may also have overflowed
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.min()) and np.isfinite(array.max()))  # the minimum with a NaN is NaN


def _is_in_range(array: np.ndarray, size: int) -> bool:
    """Whether all integers are from 0 to `size - 1`."""
    # Read as unsigned, negative integers are larger than all others, so that one pass over the array is enough.
    if array.dtype.kind == "i" and size <= 1 << (8 * array.dtype.itemsize - 1):
        return bool(np.maximum.reduce(array.view(_unsigned_dtype(array.dtype)), axis=None) < size)
    return bool(array.min() >= 0 and array.max() < size)


@cache
def _unsigned_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The unsigned integer type of the same size and byte order."""
    return np.dtype(f"{dtype.byteorder}u{dtype.itemsize}")


def _check_range(
    array: np.ndarray,
    dtype: np.dtype[Any],
    title: str,
    index_range: IndexRange | None,
    faults: FaultCollector,
    locate: LocateElement,
) -> None:
    if index_range is not None:
        if _is_in_range(array, index_range.size):
            return
        outside = (array < 0) | (array >= index_range.size)
        if index_range.ignored is not None:
            outside &= array != index_range.ignored
        code = "label-out-of-range" if title.startswith("the target") else "index-out-of-range"
        valid = f"valid are 0 to {index_range.size - 1}" + (
            "" if index_range.ignored is None else f" and {index_range.ignored}"
        )
        _add_marked(faults, code, array, outside, lambda v: f"{title} is {int(v)}; {valid}", locate)
    elif dtype.kind in "iub" and array.dtype.kind != "b":
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if int(array.min()) < low or int(array.max()) > high:
            outside = (array < low) | (array > high)
            _add_marked(
                faults, "bad-value", array, outside, lambda v: f"{title} is {v}, beyond {dtype}'s range", locate
            )


def _add_marked(
    faults: FaultCollector,
    code: str,
    array: np.ndarray,
    mask: np.ndarray,
    message: Callable[[Any], str],
    locate: LocateElement,
) -> None:
    """Adds a fault for every element in the mask."""
    if not mask.any():
        return
    indices = np.argwhere(mask)
    reported = [tuple(int(number) for number in index) for index in indices[:MAX_REPORTED_FAULTS]]
    faults.add_each(code, reported, lambda index: (message(array[index]), locate(index)))
    if len(indices) > MAX_REPORTED_FAULTS:
        faults.add(code, f"and {len(indices) - MAX_REPORTED_FAULTS:,} more like the last")


def check_consistent_sizes(arrays: Mapping[str, np.ndarray], data_spec: DataSpec, faults: FaultCollector) -> None:
    """Adds faults unless all arrays have the same number of samples, at least one, and each symbolic size one value."""
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        description = ", ".join(f"{data_spec.describe(name)} has {count}" for name, count in counts.items())
        faults.add("data-shape", f"the numbers of samples differ: {description}")
    elif 0 in counts.values():
        faults.add("empty-data", "there are no samples")
    sizes: dict[Size, tuple[str, int]] = {}
    for name, array in arrays.items():
        type = data_spec.inputs.get(name) or data_spec.targets[name]
        for symbol, size in zip(type.shape[1:], array.shape[1:], strict=True):
            if isinstance(symbol, Size):
                other, other_size = sizes.setdefault(symbol, (name, size))
                if other_size != size:
                    here, there = data_spec.describe(name), data_spec.describe(other)
                    faults.add("data-shape", f"{symbol} is {size} in {here} and {other_size} in {there}")
