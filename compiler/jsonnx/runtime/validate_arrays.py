"""Holds arrays of samples to the types of a network's inputs and targets, with every fault told."""

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
"""Where the element of an array stands in the file that it comes from."""


class IndexRange(NamedTuple):
    """Integers from 0 to `size - 1`, or one more that is left out of account."""

    size: int
    ignored: int | None = None


@dataclass(frozen=True)
class DataSpec:
    """What a network takes: types by input and by output name, and limits of integers by either."""

    inputs: Mapping[str, TensorType]
    targets: Mapping[str, TensorType]
    index_ranges: Mapping[str, IndexRange] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the classes by output: a csv file may hold them in place of numbers."""

    def describe(self, name: str) -> str:
        return f"input {name!r}" if name in self.inputs else f"the target of {name!r}"


def sample_location(index: ElementIndex) -> DataLocation:
    """Where an element of an array stands: samples are counted from 0, as NumPy does."""
    return DataLocation(f"sample {index[0]}" + (f", element {list(index[1:])}" if len(index) > 1 else ""))


def validate_array(
    array: np.ndarray,
    type: TensorType,
    title: str,
    index_range: IndexRange | None,
    faults: FaultCollector,
    locate: LocateElement = sample_location,
) -> np.ndarray | None:
    """The array in the shape that the type has, its values checked but not yet cast; None where faults were found.

    The shape of a sample may differ from the type's in two ways: by axes of size 1 at its end, and by its last axes
    being flattened in C order into one, on either side. So [28, 28] serves [28, 28, 1] and [784].
    """
    before = len(faults.diagnostics)
    wanted = numpy_dtype(type.dtype)
    shaped = reshape_samples(array, type.shape[1:]) if array.ndim else None
    if shaped is None:
        given = (
            f"[samples, {', '.join(map(str, array.shape[1:]))}]"
            if array.ndim > 1
            else f"[{'samples' if array.ndim else ''}]"
        )
        faults.add("data-shape", f"{title} has shape {given}, the network wants {type}")
    elif not _has_compatible_kind(array, wanted):
        faults.add("bad-value", f"{title} has {array.dtype} elements, the network wants {type.dtype}")
    elif array.size and array.dtype.kind in "fiub":
        _check_values(array, wanted, title, index_range, faults, locate)
    return shaped if len(faults.diagnostics) == before else None


def reshape_samples(array: np.ndarray, dims: tuple[Dim, ...]) -> np.ndarray | None:
    """The array with samples of the wanted shape, None where that would not be mere notation."""
    given = array.shape[1:]
    if _shapes_match(given, dims):
        return array
    plain, wanted = _trim_unit_axes(given), _trim_unit_axes(dims)
    if not _shapes_match(plain, wanted) and not _is_flattened(plain, wanted):
        return None
    shape = [size if isinstance(size, int) else given[axis] for axis, size in enumerate(dims)]
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
    if not all(isinstance(size, int) for size in expected) or len(shape) == len(expected):
        return False
    short, long = sorted((shape, expected), key=len)
    kept = len(short) - 1
    return kept >= 0 and long[:kept] == short[:kept] and product(long[kept:]) == short[kept]


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
    """Finite, whole where integers are wanted, within range."""
    if array.dtype.kind == "f":
        if not _is_finite(array):
            _add_marked(faults, "not-finite", array, ~np.isfinite(array), lambda v: f"{title} is {v}", locate)
            return
        wider = dtype.kind == "f" and array.dtype.itemsize > dtype.itemsize
        if wider and max(-float(array.min()), float(array.max())) > float(np.finfo(dtype).max):
            far = np.abs(array) > np.finfo(dtype).max
            _add_marked(faults, "bad-value", array, far, lambda v: f"{title} is {v}, too large for {dtype}", locate)
            return
        if dtype.kind in "iub" and (array != np.floor(array)).any():
            part = array != np.floor(array)
            _add_marked(faults, "bad-value", array, part, lambda v: f"{title} is {v}, not a whole number", locate)
            return
    _check_range(array, dtype, title, index_range, faults, locate)


def has_valid_values(array: np.ndarray, size: int | None) -> bool:
    """Whether an array of the type that is wanted has no value that is wrong: floats are finite, integers with a limit
    from 0 to `size - 1`. Of one that may be left out of account it says that it is wrong."""
    if not array.size:
        return False
    if array.dtype.kind == "f":
        return size is None and _is_finite(array)
    return array.dtype.kind in "iub" and (size is None or _is_in_range(array, size))


def _is_finite(array: np.ndarray) -> bool:
    """Whether there is neither an infinity nor NaN, as fast as can be told: every step asks."""
    if array.flags.forc and isfinite(np.einsum("i->", array.ravel("K"))):  # a third of the time of its `sum`
        return True  # otherwise the sum alone may be too large
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.min()) and np.isfinite(array.max()))  # NaN is the minimum of what has one


def _is_in_range(array: np.ndarray, size: int) -> bool:
    """Whether all are from 0 to `size - 1`."""
    # Without its sign, what is negative is larger than whatever has none: one pass where that is no valid index.
    if array.dtype.kind == "i" and size <= 1 << (8 * array.dtype.itemsize - 1):
        return bool(np.maximum.reduce(array.view(_unsigned_dtype(array.dtype)), axis=None) < size)
    return bool(array.min() >= 0 and array.max() < size)


@cache
def _unsigned_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Of as many bytes as a signed one."""
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
    """A fault for every element that is marked."""
    if not mask.any():
        return
    places = np.argwhere(mask)
    shown = [tuple(int(step) for step in place) for place in places[:MAX_REPORTED_FAULTS]]
    faults.add_each(code, shown, lambda index: (message(array[index]), locate(index)))
    if len(places) > MAX_REPORTED_FAULTS:
        faults.add(code, f"and {len(places) - MAX_REPORTED_FAULTS:,} more like the last")


def check_consistent_sizes(arrays: Mapping[str, np.ndarray], data_spec: DataSpec, faults: FaultCollector) -> None:
    """As many samples everywhere, at least one, and every symbolic size the same wherever it stands."""
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{data_spec.describe(name)} has {count}" for name, count in counts.items())
        faults.add("data-shape", f"the numbers of samples differ: {told}")
    elif 0 in counts.values():
        faults.add("empty-data", "there are no samples")
    sizes: dict[Size, tuple[str, int]] = {}
    for name, array in arrays.items():
        type = data_spec.inputs.get(name) or data_spec.targets[name]
        for size, given in zip(type.shape[1:], array.shape[1:], strict=True):
            if isinstance(size, Size):
                other, known = sizes.setdefault(size, (name, given))
                if known != given:
                    faults.add(
                        "data-shape",
                        f"{size} is {given} in {data_spec.describe(name)} and {known} in {data_spec.describe(other)}",
                    )
