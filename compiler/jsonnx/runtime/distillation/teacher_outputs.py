"""The outputs of a teacher for all samples of a training, computed before its first step."""

from __future__ import annotations

import os
from dataclasses import replace
from math import prod
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from ...core.diagnostics import UsageError
from ...core.files.files import TEMPORARY_NAME, error_reason
from ...data.samples.dataset import Dataset
from ..training_plan import Teacher

MAX_BYTES_IN_MEMORY = 1 << 28
"""Bytes of outputs that are kept in memory; more are kept in files that are mapped into memory."""
MIN_BATCH_SAMPLES = 256
"""Samples that are read at once, if the teacher's runs have fewer."""


def with_teacher_outputs(samples: Dataset, teacher: Teacher, folder: str | os.PathLike[str] | None = None) -> Dataset:
    """The samples with the teacher's outputs for them.

    Those that take much memory lie in files without names, which are freed with the arrays or the process: in
    `folder`, by default where temporary files lie. Raises UsageError `unwritable-file`.
    """
    inputs = samples.select_inputs(teacher.feed_names.values())
    batch_size = -(-MIN_BATCH_SAMPLES // teacher.rows) * teacher.rows
    stores: dict[str, _OutputStore] = {}
    for feeds, _ in inputs.batches(batch_size):
        for output, array in teacher.run(feeds).items():
            if output not in stores:
                stores[output] = _OutputStore((len(samples), *array.shape[1:]), folder)
            stores[output].append(array)
    return replace(samples, teacher_outputs={output: store.array() for output, store in stores.items()})


class _OutputStore:
    """An array of float32 that is written in order, in memory or in a file."""

    def __init__(self, shape: tuple[int, ...], folder: str | os.PathLike[str] | None) -> None:
        self._shape, self._folder, self._count = shape, folder, 0
        is_large = prod(shape) * np.dtype(np.float32).itemsize > MAX_BYTES_IN_MEMORY
        self._array = None if is_large else np.empty(shape, np.float32)
        self._file: IO[bytes] | None = self._open() if is_large else None

    def append(self, rows: np.ndarray) -> None:
        if self._array is not None:
            self._array[self._count : self._count + len(rows)] = rows
        if self._file is not None:
            try:
                self._file.write(np.ascontiguousarray(rows).data)
            except OSError as error:
                raise self._unwritable(error) from error
        self._count += len(rows)

    def array(self) -> np.ndarray:
        if self._array is not None:
            return self._array
        assert self._file is not None
        with self._file as file:
            try:
                file.flush()
                return np.memmap(file, np.float32, "r", shape=self._shape)
            except (OSError, ValueError) as error:
                raise self._unwritable(error) from error

    def _open(self) -> IO[bytes]:
        prefix, suffix = TEMPORARY_NAME.split("{}")
        try:
            return TemporaryFile(prefix=prefix, suffix=suffix, dir=self._folder)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: Exception) -> UsageError:
        place = "a temporary file" if self._folder is None else f"a temporary file in {os.fspath(self._folder)!r}"
        return UsageError("unwritable-file", f"cannot keep the teacher's outputs in {place}: {error_reason(error)}")
