"""A compiled model in onnxruntime: named arrays in, named arrays out, everything checked before it runs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, UsageError, suggestion
from ..core.files import error_reason, open_file
from ..core.numpy_types import numpy_dtype
from ..core.types import Dim, Size, TensorType
from .data_errors import FeedError
from .providers import Provider, create_session, resolve_provider

if TYPE_CHECKING:
    import onnx

_DTYPES = {"float": "float32", "double": "float64"}
_CASTABLE_KINDS = {"f": "fiub", "i": "iub", "u": "iub", "b": "b"}
"""Kinds of elements that may be fed to each kind; whether the values fit is looked at besides."""


class Session:
    """An ONNX model, ready to run.

    `model` is a path, the file's bytes or an `onnx.ModelProto`. Raises UsageError for a file or provider that is not
    there, CompileError for what is no model.
    """

    def __init__(
        self, model: str | os.PathLike[str] | bytes | onnx.ModelProto, provider: str = "cpu", threads: int | None = None
    ) -> None:
        self.provider: Provider = resolve_provider(provider)
        self._session = create_session(_model_bytes(model), self.provider, threads)
        self.inputs: dict[str, TensorType] = {value.name: _tensor_type(value) for value in self._session.get_inputs()}
        self.outputs: dict[str, TensorType] = {value.name: _tensor_type(value) for value in self._session.get_outputs()}
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, feeds: Mapping[str, Any] | Any) -> dict[str, np.ndarray]:
        """The outputs by name. Feeds are arrays by input name, or one array where there is one input.

        Raises FeedError where they do not fit.
        """
        checked = validate_feeds(feeds, self.inputs)
        try:
            results = self._session.run(list(self.outputs), checked)
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise runtime_failure(error) from error
        return dict(zip(self.outputs, results, strict=True))


def concatenate_batches(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The outputs of several batches as those of one. Raises FeedError where their samples differ in size."""
    whole = {}
    for name in parts[0]:
        arrays = [part[name] for part in parts]
        shapes = sorted({array.shape[1:] for array in arrays})
        if len(shapes) > 1:
            told = " and ".join(str(list(shape)) for shape in (shapes[0], shapes[-1]))
            message = f"the output {name!r} is {told} a sample, as long as the longest text of a batch"
            help = "give the TextVectorization an output_sequence_length"
            raise FeedError([Diagnostic("data-shape", message, help=help)])
        whole[name] = np.concatenate(arrays)
    return whole


def runtime_failure(error: Exception) -> CompileError:
    """What onnxruntime says when a model that loaded does not run, and in which layer, if it says that."""
    text = " ".join(str(error).split())
    node = re.search(r"Name:'/([^']+)/[^/']+", text)
    where = f" in {node[1]!r}" if node else ""
    outside = "a lookup without a place for unknown tokens, or an Embedding, was given what it has no entry for"
    help = outside if "out of data bounds" in text else None
    return CompileError([Diagnostic("runtime-failure", f"onnxruntime stopped{where}: {text}", help=help)])


def _model_bytes(model: Any) -> bytes:
    if isinstance(model, bytes | bytearray | memoryview):
        return bytes(model)
    if hasattr(model, "SerializeToString"):
        return bytes(model.SerializeToString())
    if hasattr(model, "to_bytes"):
        return bytes(model.to_bytes())
    if not isinstance(model, str | os.PathLike):
        raise TypeError(f"a model is a path, the bytes of a file or a Model, got {type(model).__name__}")
    with open_file(model) as file:
        try:
            return file.read()
        except OSError as error:
            raise UsageError("unreadable-file", f"cannot read {os.fspath(model)!r}: {error_reason(error)}") from error


def _tensor_type(value: Any) -> TensorType:
    """The type of an input or output; a size without a name is called after the tensor and the axis."""
    text = value.type
    if not text.startswith("tensor("):
        return TensorType(text, ())
    dtype = text[len("tensor(") : -1]
    sizes = (size if isinstance(size, int) else size or f"{value.name}_{axis}" for axis, size in enumerate(value.shape))
    return TensorType(_DTYPES.get(dtype, dtype), tuple(s if isinstance(s, int) else Size.named(s) for s in sizes))


def validate_feeds(feeds: Mapping[str, Any] | Any, inputs: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
    """The arrays as the model wants them. Raises FeedError with everything that is wrong."""
    faults: list[str] = []
    if not isinstance(feeds, Mapping):
        if len(inputs) != 1:
            raise _feed_error([f"the model has {len(inputs)} inputs, give a dict of arrays: {', '.join(inputs)}"])
        feeds = {next(iter(inputs)): feeds}
    for name in feeds:
        if name not in inputs:
            faults.append(
                f"there is no input {name!r}: {suggestion(str(name), inputs) or 'inputs are ' + ', '.join(inputs)}"
            )
    sizes: dict[Dim, tuple[str, int]] = {}
    checked: dict[str, np.ndarray] = {}
    for name, type in inputs.items():
        if name not in feeds:
            faults.append(f"input {name!r} is missing")
            continue
        try:
            checked[name] = _as_input(feeds[name], type)
            _check_shape(name, checked[name].shape, type, sizes)
        except ValueError as error:
            faults.append(f"input {name!r} {error}")
    if faults:
        raise _feed_error(faults)
    return checked


def _feed_error(messages: list[str]) -> FeedError:
    return FeedError(Diagnostic("bad-feed", message) for message in messages)


def _as_input(value: Any, type: TensorType) -> np.ndarray:
    """The array in the input's element type; ValueError with the end of a sentence."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError("is ragged: its parts have different lengths") from None
    wanted = numpy_dtype(type.dtype)
    if array.dtype != wanted:
        array = safe_cast(array, wanted)
    if array.ndim != type.rank:
        hint = "; a single sample needs a batch axis: x[None]" if array.ndim == type.rank - 1 else ""
        raise ValueError(f"has shape {list(array.shape)}, rank {array.ndim}; the model wants {type}{hint}")
    return np.ascontiguousarray(array) if array.ndim else array


def _check_shape(name: str, shape: tuple[int, ...], type: TensorType, sizes: dict[Dim, tuple[str, int]]) -> None:
    """Fixed sizes are met, and a symbol means the same number everywhere."""
    for axis, (given, wanted) in enumerate(zip(shape, type.shape, strict=True)):
        if isinstance(wanted, int):
            if given != wanted:
                raise ValueError(
                    f"has shape {list(shape)}, the model wants {type}: axis {axis} is {given}, not {wanted}"
                )
        else:
            other, size = sizes.setdefault(wanted, (name, given))
            if given != size:
                raise ValueError(f"has {wanted} = {given} on axis {axis}, but {other!r} has {wanted} = {size}")


def safe_cast(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The array in another element type, no value changed beyond rounding. ValueError where that cannot be."""
    if dtype.kind == "O":
        if array.dtype.kind == "U" or (array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat)):
            return array.astype(object)
        raise ValueError(f"has {array.dtype} elements, the model wants strings")
    if array.dtype.kind not in _CASTABLE_KINDS.get(dtype.kind, ""):
        raise ValueError(f"has {array.dtype} elements, the model wants {dtype}")
    if dtype.kind in "iu" and array.size and not fits_integer_range(array, dtype):
        raise ValueError(f"has values beyond the range of {dtype}")
    return array.astype(dtype)


def fits_integer_range(array: np.ndarray, dtype: np.dtype[Any]) -> bool:
    """Whether all integers of an array can be represented in an integer type."""
    bounds = np.iinfo(dtype)
    return bool(int(array.min()) >= bounds.min and int(array.max()) <= bounds.max)
