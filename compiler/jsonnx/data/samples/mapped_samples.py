"""Samples in a file that is mapped into memory."""

from __future__ import annotations

import mmap
import os
import weakref
from math import prod
from typing import IO, NoReturn

import numpy as np

from ...core.diagnostics import UsageError

MAX_MAPPED_BYTES = 1 << 28
"""Bytes of a mapped file that are resident before its pages are handed back to the system."""
PAGE_BYTES = 1 << 21
"""Bytes that reading a single value of a mapped file may make resident: systems map the pages around it, too."""
MIN_READ_BYTES = 512
"""Minimum size of a sample, in bytes, for reading samples in random order with one system call each, which maps no
pages."""
MAX_READ_BYTES = 1 << 30
"""Bytes that one system call reads at most."""


class FileMapping:
    """A file mapped into memory, for reading. Raises OSError or ValueError if it cannot be mapped."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name, self.buffer = name, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.address = np.frombuffer(self.buffer, np.uint8).__array_interface__["data"][0]
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._size, self._resident_bytes = self.buffer.size(), 0

    def require_unchanged(self) -> None:
        """Raises UsageError if the file was shortened: reading beyond its end would end the process."""
        if self.buffer.size() < self._size:
            self._raise_shortened()

    def read_into(self, samples: np.ndarray, offsets: np.ndarray) -> None:
        """Reads samples that begin at offsets of the file into an array. Raises UsageError for a shortened file."""
        data = samples.reshape(-1).view(np.uint8).data
        size = len(data) // max(1, len(offsets))
        for number, offset in enumerate(offsets.tolist()):
            if os.preadv(self._descriptor, [data[number * size : (number + 1) * size]], offset) != size:
                self._raise_shortened()

    def _raise_shortened(self) -> NoReturn:
        message = f"cannot read {self.name!r}: the file was shortened while it was in use"
        raise UsageError("unreadable-file", message, "write a changed file under another name, then rename it")

    def count_read(self, resident_bytes: int) -> None:
        """Hands pages back to the system after many bytes were read; they are read again when they are needed."""
        self._resident_bytes += resident_bytes
        if self._resident_bytes > MAX_MAPPED_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self.buffer.madvise(mmap.MADV_DONTNEED)
            self._resident_bytes = 0


class MappedSamples:
    """An array that lies in a mapped file, in any byte order and layout."""

    def __init__(self, mapping: FileMapping, array: np.ndarray) -> None:
        self._mapping, self._array = mapping, array
        self.shape, self.dtype = array.shape, array.dtype.newbyteorder("=")
        self._sample_bytes = prod(array.shape[1:]) * array.itemsize
        is_contiguous = array.flags.c_contiguous and hasattr(os, "preadv")
        self._is_read = is_contiguous and MIN_READ_BYTES <= self._sample_bytes < MAX_READ_BYTES
        self._offset = array.__array_interface__["data"][0] - mapping.address

    def read(self, rows: np.ndarray) -> np.ndarray:
        samples = np.empty((len(rows), *self.shape[1:]), self._array.dtype)
        if self._is_read:
            self._mapping.read_into(samples, self._offset + rows * self._sample_bytes)
            return samples.astype(self.dtype, copy=False)
        self._mapping.require_unchanged()
        step = MAX_MAPPED_BYTES // PAGE_BYTES
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            samples[start : start + step] = self._array.take(part, axis=0)
            self._mapping.count_read(len(part) * (self._sample_bytes + PAGE_BYTES))
        return samples.astype(self.dtype, copy=False)

    def read_range(self, start: int, stop: int) -> np.ndarray:
        self._mapping.require_unchanged()
        samples = np.array(self._array[start:stop], self.dtype, order="C")
        self._mapping.count_read(samples.nbytes)
        return samples

    def block_starts(self) -> None:
        return None
