"""The shapes in which samples may come: axes of size 1 at the end may differ, and the last axes may be flattened."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from ...core.types import Dim, Size, product
from .stored_arrays import StoredArray

S = TypeVar("S", np.ndarray, StoredArray)


def reshape_samples(array: S, dims: tuple[Dim, ...]) -> S | None:
    """The array with samples of these dimensions, which may differ in two ways; None if they differ in another way.

    Axes of size 1 at the end of a sample may be missing or additional, and the last axes may be flattened in C order
    into one, in either shape: [28, 28] and [784] are taken for [28, 28, 1]. This holds wherever data come in: files,
    arrays for a `Trainer`, and arrays for a `Session`. It cannot mistake one meaning for another, because the number of
    elements of a sample and their order stay the same; a missing batch axis is never added, since the first axis always
    counts the samples.
    """
    sample_shape = array.shape[1:]
    if _shapes_match(sample_shape, dims):
        return array
    if not samples_fit(sample_shape, dims):
        return None
    shape = [size if isinstance(size, int) else sample_shape[axis] for axis, size in enumerate(dims)]
    return array.reshape(len(array), *shape)


def samples_fit(sample_shape: tuple[Dim, ...], dims: tuple[Dim, ...]) -> bool:
    """Whether `reshape_samples` gives samples of a shape these dimensions."""
    shape, wanted = _trim_unit_axes(sample_shape), _trim_unit_axes(dims)
    return _shapes_match(sample_shape, dims) or _shapes_match(shape, wanted) or _is_flattened(shape, wanted)


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


def batch_axis_hint(array: np.ndarray, shape: tuple[Dim, ...]) -> str | None:
    """A hint for an array that would be accepted with a batch axis; `shape` is the wanted one, with that axis."""
    size = shape[0] if shape else 0
    fits = (isinstance(size, Size) or size == 1) and reshape_samples(array[None], shape[1:]) is not None
    return "a single sample needs a batch axis: x[None]" if fits else None
