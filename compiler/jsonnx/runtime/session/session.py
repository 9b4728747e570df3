"""Runs a compiled model in onnxruntime on named arrays, which are validated first."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.diagnostics import Diagnostic, suggestion
from ...core.files.loadable_model import LoadableModel
from ...core.limits import MAX_ELEMENTS_PER_SAMPLE
from ...core.numpy_types import numpy_dtype
from ...core.random_inputs import random_inputs_from
from ...core.types import Dim, Size, TensorType
from ...data.samples.array_arguments import to_array
from ...data.samples.data_errors import FeedError
from ...data.samples.sample_shapes import batch_axis_hint, reshape_samples
from ..providers.provider_errors import runtime_failure
from ..providers.provider_options import ProviderOptions
from ..providers.providers import Provider, create_session, resolve_provider
from ..providers.random import InferenceRandoms
from .load_model import loadable_model

if TYPE_CHECKING:
    import onnx

_DTYPES = {"float": "float32", "double": "float64"}
_CASTABLE_KINDS = {"f": "fiub", "i": "iub", "u": "iub", "b": "b"}
"""The NumPy kinds that may be cast to each kind, as long as the values are in range."""


class Session:
    """An ONNX model, ready to run.

    `model` is the path of a file or of a RUN folder, the bytes of a file, an `onnx.ModelProto` or a `Model`. With
    `verify`, a file must match the digests that it records, if any, and a provider other than the CPU must compute what
    the CPU computes from a few drawn inputs, which is checked once for each model. `provider_options` are those of
    onnxruntime's documentation, such as `{"device_id": 1}`; graph capture is for training steps alone. Raises TypeError
    for anything else, UsageError for a missing file or provider, CompileError for an invalid model.

    `inputs` and `random_inputs` have the types of what `run` is fed. Random inputs may be left out: each run draws the
    next numbers by `seed`, from the distributions in the model's metadata.
    """

    __slots__ = (
        "__weakref__",
        "_randoms",
        "_session",
        "inputs",
        "metadata",
        "outputs",
        "provider",
        "random_inputs",
    )  # an unknown attribute is an error

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes | onnx.ModelProto | LoadableModel,
        provider: str | Provider = "cpu",
        threads: int | None = None,
        verify: bool = True,
        provider_options: ProviderOptions | None = None,
        seed: int = 0,
    ) -> None:
        self.provider: Provider = resolve_provider(provider, provider_options)
        loadable = loadable_model(model, verify)
        self._session = create_session(loadable, self.provider.with_graph_capture(False), threads)
        types: dict[str, TensorType] = {value.name: _tensor_type(value) for value in self._session.get_inputs()}
        self.outputs: dict[str, TensorType] = {value.name: _tensor_type(value) for value in self._session.get_outputs()}
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        distributions = {name: item for name, item in random_inputs_from(self.metadata).items() if name in types}
        self.random_inputs: dict[str, TensorType] = {name: types[name] for name in distributions}
        self._randoms = InferenceRandoms(distributions, self.random_inputs, seed)
        self.inputs = {name: type for name, type in types.items() if name not in self.random_inputs}
        if verify and not self.provider.is_cpu:
            from ..parity.parity_check import check_session

            check_session(loadable, self.run_prepared, types, self.provider)

    def run(self, feeds: Mapping[str, Any] | Any) -> dict[str, np.ndarray]:
        """The outputs by name. Feeds are arrays by input name, or a single array if there is one input.

        The first axis counts the samples. Axes of size 1 at the end of a sample may be missing, and its last axes
        flattened, as in data files (`reshape_samples`). Raises FeedError if the arrays do not fit.
        """
        return self.run_prepared(self.prepare(feeds))

    def prepare(self, feeds: Mapping[str, Any] | Any) -> dict[str, np.ndarray]:
        """The arrays that `run` feeds: the given ones in the types of the inputs, and the drawn random inputs.

        Raises FeedError if the arrays do not fit.
        """
        inputs = self.inputs
        if self.random_inputs and isinstance(feeds, Mapping):
            inputs = inputs | {name: type for name, type in self.random_inputs.items() if name in feeds}
        arrays = validate_feeds(feeds, inputs)
        try:
            return self._randoms.fed(arrays, inputs, MAX_ELEMENTS_PER_SAMPLE)
        except ValueError as error:
            raise _feed_error([f"give the random inputs {', '.join(self.random_inputs)}: {error}"]) from error

    def run_prepared(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name for arrays that `prepare` returned. Several threads may call it at once."""
        try:
            results = self._session.run(list(self.outputs), dict(feeds))
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            raise runtime_failure(error) from error
        return dict(zip(self.outputs, results, strict=True))


def concatenate_batches(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The outputs of several batches as the outputs of a single one. Raises FeedError if the shapes of samples
    differ."""
    outputs = {}
    for name in parts[0]:
        arrays = [part[name] for part in parts]
        shapes = sorted({array.shape[1:] for array in arrays})
        if len(shapes) > 1:
            smallest, largest = list(shapes[0]), list(shapes[-1])
            message = (
                f"samples of the output {name!r} have shapes from {smallest} to {largest}: a batch is as long as its "
                "longest text"
            )
            help = "give the TextVectorization an output_sequence_length"
            raise FeedError([Diagnostic("data-shape", message, help=help)])
        outputs[name] = np.concatenate(arrays)
    return outputs


def _tensor_type(value: Any) -> TensorType:
    """The type of an input or output; an unnamed size is named after the tensor and the axis."""
    text = value.type
    if not text.startswith("tensor("):
        return TensorType(text, ())
    dtype = text[len("tensor(") : -1]
    sizes = (size if isinstance(size, int) else size or f"{value.name}_{axis}" for axis, size in enumerate(value.shape))
    return TensorType(_DTYPES.get(dtype, dtype), tuple(s if isinstance(s, int) else Size.named(s) for s in sizes))


def validate_feeds(feeds: Mapping[str, Any] | Any, inputs: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
    """The arrays in the types of the inputs. Raises FeedError with every error."""
    errors: list[str] = []
    if not isinstance(feeds, Mapping):
        if len(inputs) != 1:
            raise _feed_error([f"the model has {len(inputs)} inputs, give a dict of arrays: {', '.join(inputs)}"])
        feeds = {next(iter(inputs)): feeds}
    for name in feeds:
        if name not in inputs:
            help = suggestion(str(name), inputs) or f"inputs are {', '.join(inputs)}"
            errors.append(f"there is no input {name!r}: {help}")
    sizes: dict[Dim, tuple[str, int]] = {}
    validated: dict[str, np.ndarray] = {}
    for name, type in inputs.items():
        if name not in feeds:
            errors.append(f"input {name!r} is missing")
            continue
        try:
            validated[name] = _as_input(feeds[name], type)
            _check_shape(name, validated[name].shape, type, sizes)
        except ValueError as error:
            errors.append(f"input {name!r} {error}")
    if errors:
        raise _feed_error(errors)
    return validated


def _feed_error(messages: list[str]) -> FeedError:
    return FeedError(Diagnostic("bad-feed", message) for message in messages)


def _as_input(value: Any, type: TensorType) -> np.ndarray:
    """The array in the input's element type. Raises ValueError with the end of a sentence."""
    array = to_array(value)
    dtype = numpy_dtype(type.dtype)
    if array.dtype != dtype:
        array = safe_cast(array, dtype)
    if array.ndim != type.rank:
        reshaped = reshape_samples(array, type.shape[1:]) if array.ndim and type.rank else None
        if reshaped is None:
            hint = batch_axis_hint(array, type.shape)
            message = f"has shape {list(array.shape)}, rank {array.ndim}; the model wants {type}"
            raise ValueError(f"{message}; {hint}" if hint else message)
        array = reshaped
    return np.ascontiguousarray(array) if array.ndim else array


def _check_shape(name: str, shape: tuple[int, ...], type: TensorType, sizes: dict[Dim, tuple[str, int]]) -> None:
    """Raises ValueError unless fixed sizes match and each symbol has the same value as in the inputs before
    (`sizes`)."""
    for axis, (size, expected) in enumerate(zip(shape, type.shape, strict=True)):
        if isinstance(expected, int):
            if size != expected:
                raise ValueError(
                    f"has shape {list(shape)}, the model wants {type}: axis {axis} is {size}, not {expected}"
                )
        else:
            other, other_size = sizes.setdefault(expected, (name, size))
            if size != other_size:
                raise ValueError(f"has {expected} = {size} on axis {axis}, but {other!r} has {expected} = {other_size}")


def safe_cast(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The array in another element type, its values unchanged but for rounding. Raises ValueError if that is
    impossible."""
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
    """Whether an integer type can represent all integers of an array."""
    bounds = np.iinfo(dtype)
    return bool(int(array.min()) >= bounds.min and int(array.max()) <= bounds.max)
