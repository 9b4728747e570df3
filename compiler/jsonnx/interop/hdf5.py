"""Reads HDF5 files by a worker process.

libhdf5 is a large C library that damaged files can crash. So a separate process (`hdf5_worker`) calls it: it gets the
open file and limits, and writes the location of each array. Its output is not trusted either.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.limits import MAX_COMPRESSION_RATIO, MAX_HDF5_GROUP_DEPTH, MAX_HDF5_LINE_BYTES
from .bfloat16 import BFLOAT16, widened
from .file_slice import MIN_MAPPED_BYTES, FileSlice
from .read_budget import ReadBudget, damaged_file_error

OPTIMIZER_GROUPS = ("optimizer", "optimizer_weights")
"""Groups with the optimizer's state, which is not read."""

WORKER_SCRIPT = Path(__file__).with_name("hdf5_worker.py")
INVALID_WORKER_OUTPUT = "the process that reads the file wrote invalid output"
_NUMBER_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
_ELEMENT_TYPES = {*(order + kind for order in "<>" for kind in _NUMBER_TYPES), "|V2", "|b1"}
_WORKER_ERROR_CODES = {"damaged-file", "unsafe-file", "too-large", "not-supported"}


@dataclass
class Hdf5Weights:
    """The arrays and attributes of an HDF5 file."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """By path, such as `layers/dense/vars/0`; in the element type of the file, bfloat16 as float32."""
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By group path, the empty one for the file: `name`, `keras_version` and so on are text, `layer_names` and
    `weight_names` lists of text."""
    skipped_groups: list[str] = field(default_factory=list)
    """Existing groups that were not read."""

    def text_attribute(self, group: str, name: str) -> str | None:
        value = self.attributes.get(group, {}).get(name)
        return value if isinstance(value, str) else None

    def text_list_attribute(self, group: str, name: str) -> list[str] | None:
        value = self.attributes.get(group, {}).get(name)
        return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def is_hdf5(start: bytes) -> bool:
    return start.startswith(b"\x89HDF\r\n\x1a\n")


def read_hdf5(file: FileSlice, budget: ReadBudget) -> Hdf5Weights:
    """Reads all arrays of an HDF5 file except the optimizer's state.

    Raises CompileError for a file that is damaged, unsafe or too large, UsageError if h5py is not installed.
    """
    source = _ArraySource(file, file.mapped() if file.length >= MIN_MAPPED_BYTES else None, budget)
    with _WorkerProcess(file, budget) as (process, timer):
        assert process.stdout is not None
        weights = Hdf5Weights()
        try:
            is_complete = _read_worker_output(process.stdout, source, weights)
        finally:
            has_timed_out = not timer.is_alive()
            timer.cancel()
            process.kill()
            status = process.wait()
        if not is_complete:
            reason = f"signal {-status}" if status < 0 else "early"
            reason = f"after {ceil(budget.max_seconds)} s" if has_timed_out else reason
            raise damaged_file_error(budget.file, f"the file is damaged: the process that reads it stopped ({reason})")
    return weights


class _WorkerProcess:
    """The worker process, and the timer that kills it."""

    def __init__(self, file: FileSlice, budget: ReadBudget) -> None:
        seconds = max(0.1, budget.seconds_left)
        parameters = {
            "start": file.start,
            "length": file.length,
            "memory": budget.bytes_left,
            "objects": budget.objects_left,
            "text": budget.text_bytes_left,
            "ratio": MAX_COMPRESSION_RATIO,
            "depth": MAX_HDF5_GROUP_DEPTH,
            "seconds": ceil(seconds),
            "skip": OPTIMIZER_GROUPS,
            "paths": [path for path in sys.path if os.path.isabs(path)],
        }
        inherited = {key: os.environ[key] for key in ("SYSTEMROOT", "LD_LIBRARY_PATH") if key in os.environ}
        fixed = {"HDF5_PLUGIN_PRELOAD": "::", "HDF5_USE_FILE_LOCKING": "FALSE", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(WORKER_SCRIPT), json.dumps(parameters)],
            stdin=file.file_descriptor,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=inherited | fixed,
        )
        self.timer = threading.Timer(seconds, self.process.kill)
        self.timer.daemon = True

    def __enter__(self) -> tuple[subprocess.Popen[bytes], threading.Timer]:
        self.timer.start()
        return self.process, self.timer

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class _ArraySource(NamedTuple):
    """The file that arrays are read from: a large one is mapped, and its arrays are views, which take no memory."""

    file: FileSlice
    mapping: memoryview | None
    budget: ReadBudget


def _read_worker_output(stream: IO[bytes], source: _ArraySource, weights: Hdf5Weights) -> bool:
    """Adds the worker's output to `weights`; returns False if it is incomplete."""
    budget = source.budget
    for message in _worker_messages(stream, budget):
        if message.get("end") is True:
            return True
        if "error" in message:
            _raise_worker_error(message["error"], budget)
        if "group" in message:
            _add_group(message, weights, budget)
            continue
        header = _parse_array_header(message, budget)
        array = _read_array(header, stream, source)
        if array is None:
            return False
        weights.arrays[header.path] = array
    return False


def _worker_messages(stream: IO[bytes], budget: ReadBudget) -> Iterator[dict[str, Any]]:
    while line := stream.readline(MAX_HDF5_LINE_BYTES):
        budget.take_text(len(line), "the file")
        budget.take_objects(1, "the file's groups and arrays")
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(value, dict):
            return
        yield value


def _raise_worker_error(error: Any, budget: ReadBudget) -> None:
    code, message = error if isinstance(error, list) and len(error) == 2 else ("damaged-file", "not readable")
    if code == "missing-package":
        raise UsageError("missing-package", f"HDF5 files need h5py: {message}", "pip install h5py")
    code = code if isinstance(code, str) and code in _WORKER_ERROR_CODES else "damaged-file"
    raise CompileError([Diagnostic(code, str(message), file=budget.file)])


def _add_group(message: dict[str, Any], weights: Hdf5Weights, budget: ReadBudget) -> None:
    path, attributes = message["group"], message.get("attributes")
    if not isinstance(path, str) or not isinstance(attributes, dict):
        raise damaged_file_error(budget.file, INVALID_WORKER_OUTPUT)
    if message.get("skipped") is True:
        weights.skipped_groups.append(path)
    if attributes:
        weights.attributes[path] = attributes


class _ArrayHeader(NamedTuple):
    """The worker's description of an array: `offset` is its place in the file; None if its bytes follow."""

    path: str
    shape: tuple[int, ...]
    element_type: str
    offset: int | None


def _parse_array_header(message: dict[str, Any], budget: ReadBudget) -> _ArrayHeader:
    path, shape, kind, offset = (message.get(key) for key in ("array", "shape", "type", "at"))
    is_valid = isinstance(path, str) and isinstance(kind, str) and kind in _ELEMENT_TYPES
    is_valid = is_valid and (offset is None or type(offset) is int)
    if not is_valid or not isinstance(shape, list) or len(shape) > 32:
        raise damaged_file_error(budget.file, INVALID_WORKER_OUTPUT)
    if not all(type(size) is int and size >= 0 for size in shape):
        raise damaged_file_error(budget.file, INVALID_WORKER_OUTPUT)
    return _ArrayHeader(str(path), tuple(shape), str(kind), offset)


def _read_array(header: _ArrayHeader, stream: IO[bytes], source: _ArraySource) -> np.ndarray | None:
    """Reads an array from the file or from the worker's output; None if the output ends too soon."""
    path, shape, kind, offset = header
    dtype = np.dtype(kind)
    size = prod(shape) * dtype.itemsize
    if offset is None or source.mapping is None or dtype == BFLOAT16 or not dtype.isnative:  # it takes memory
        source.budget.take_bytes(size, f"the array {path!r}")
    if offset is not None and (offset < 0 or offset + size > source.file.length):
        raise damaged_file_error(source.budget.file, f"the array {path!r} lies beyond the end of the file")
    if offset is not None and source.mapping is not None:
        array = np.frombuffer(source.mapping[offset : offset + size], dtype).reshape(shape)
    else:
        array = np.empty(shape, dtype)
        buffer = array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")
        if not (_read_exactly(stream, buffer) if offset is None else source.file.read_into(buffer, offset)):
            return None
    array = widened(array)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _read_exactly(stream: IO[bytes], buffer: memoryview) -> bool:
    while len(buffer):
        count = stream.readinto(buffer)  # type: ignore[attr-defined]
        if not count:
            return False
        buffer = buffer[count:]
    return True


def spool_to_temporary_file(chunks: Iterator[bytes], budget: ReadBudget) -> IO[bytes]:
    """An anonymous file with these contents, in memory if possible; the caller closes it."""
    if hasattr(os, "memfd_create"):
        file: IO[bytes] = os.fdopen(os.memfd_create("jsonnx"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115
    for chunk in chunks:
        budget.take_bytes(len(chunk), "the compressed member")
        file.write(chunk)
    file.flush()
    return file
