"""Arrays at addresses that are aligned for vector instructions."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

VECTOR_ALIGNMENT_BYTES = 64
"""The width of the widest vector registers, AVX-512."""
MAX_SHARED_BYTES = 1 << 14
"""Maximum size of an array that shares a block of memory with others: allocating its own takes longer than filling
it."""
BLOCK_BYTES = 1 << 18


class AlignedArrays:
    """Allocates aligned arrays, small ones next to each other in common blocks."""

    def __init__(self) -> None:
        self._block, self._used_bytes = np.empty(0, np.uint8), 0

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """An array of zeros. The system provides the memory of a large one when it is first touched."""
        if dtype.hasobject:
            return np.zeros(shape, dtype)
        size = prod(shape) * dtype.itemsize
        if size > MAX_SHARED_BYTES:
            block, start = _zeroed_block(size)
            return block[start : start + size].view(dtype).reshape(shape)
        if self._used_bytes + size > len(self._block):
            block, start = _zeroed_block(BLOCK_BYTES)
            self._block, self._used_bytes = block[start:], 0
        array = self._block[self._used_bytes : self._used_bytes + size].view(dtype).reshape(shape)
        self._used_bytes += -(-size // VECTOR_ALIGNMENT_BYTES) * VECTOR_ALIGNMENT_BYTES
        return array

    def copy(self, array: np.ndarray) -> np.ndarray:
        """A copy of an array."""
        copy = self.zeros(array.shape, array.dtype)
        copy[...] = array
        return copy

    def adopt(self, array: np.ndarray) -> np.ndarray:
        """The array itself if it is aligned, else a copy."""
        return array if is_aligned(array) else self.copy(array)


def with_alignment(array: np.ndarray) -> np.ndarray:
    """The array itself if it is aligned, else a copy.

    onnxruntime adds the elements of an array in an order that depends on where it begins: equal sums need equal
    alignment.
    """
    if array.dtype.hasobject or (array.flags.c_contiguous and array.ctypes.data % VECTOR_ALIGNMENT_BYTES == 0):
        return np.ascontiguousarray(array)
    block = np.empty(array.nbytes + VECTOR_ALIGNMENT_BYTES, np.uint8)
    start = -block.ctypes.data % VECTOR_ALIGNMENT_BYTES
    copy = block[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _zeroed_block(size: int) -> tuple[np.ndarray, int]:
    """A block that is longer than its size by the alignment, and its first aligned byte."""
    block = np.zeros(size + VECTOR_ALIGNMENT_BYTES, np.uint8)
    return block, -block.ctypes.data % VECTOR_ALIGNMENT_BYTES


def is_aligned(array: np.ndarray) -> bool:
    """Whether a session can compute in the memory of an array at full speed."""
    return array.flags.c_contiguous and array.flags.writeable and array.ctypes.data % VECTOR_ALIGNMENT_BYTES == 0
