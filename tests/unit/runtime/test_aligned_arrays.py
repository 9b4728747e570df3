"""Aligned arrays: zeros at aligned addresses, which do not overlap."""

from __future__ import annotations

import numpy as np
from jsonnx.runtime.providers.aligned_arrays import (
    BLOCK_BYTES,
    MAX_SHARED_BYTES,
    AlignedArrays,
    is_aligned,
    with_alignment,
)


def test_arrays_are_aligned_and_do_not_overlap() -> None:
    memory = AlignedArrays()
    sizes = [1, 3, 17, MAX_SHARED_BYTES, MAX_SHARED_BYTES + 1] * (BLOCK_BYTES // MAX_SHARED_BYTES + 1)
    arrays = [memory.zeros((size,), np.dtype(np.uint8)) for size in sizes]
    for number, array in enumerate(arrays):
        assert is_aligned(array)
        assert not array.any()
        array[...] = number % 255 + 1
    assert all((array == number % 255 + 1).all() for number, array in enumerate(arrays))


def test_arrays_have_any_shape_and_type() -> None:
    memory = AlignedArrays()
    assert memory.zeros((), np.dtype(np.int64)) == 0
    assert memory.zeros((2, 0), np.dtype(np.float16)).shape == (2, 0)
    assert memory.zeros((2,), np.dtype(object)).tolist() == [0, 0]


def test_only_contiguous_arrays_that_may_be_written_count_as_aligned() -> None:
    array = AlignedArrays().zeros((8, 8), np.dtype(np.float32))
    assert not is_aligned(array.T)
    assert not is_aligned(array[0, 1:])
    array.flags.writeable = False
    assert not is_aligned(array)


def test_only_arrays_that_are_not_aligned_are_copied() -> None:
    array = AlignedArrays().zeros((8, 16), np.dtype(np.float32))
    array[...] = np.arange(16)
    assert with_alignment(array[1:]).base is array.base
    for part in (array[:, 1:], array[0, 1:], array.T, array[:0]):
        copy = with_alignment(part)
        assert copy.flags.c_contiguous
        assert copy.ctypes.data % 64 == 0
        np.testing.assert_array_equal(copy, part)
    texts = np.array(["a", "b"], object)
    assert with_alignment(texts[1:]).tolist() == ["b"]
