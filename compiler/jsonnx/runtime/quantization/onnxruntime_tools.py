"""Quantization of ONNX models by onnxruntime's tools, which know the file alone."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from ...core.diagnostics import CompileError, Diagnostic

Feeds = Mapping[str, np.ndarray]

IR_VERSION_OF_CONSTANTS = 4
"""The first version of ONNX' format with weights that are not inputs."""

CALIBRATION_METHODS = {"minmax": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}
"""Their names in onnxruntime, by the names in a spec."""


DYNAMIC_OPS = ["Attention", "EmbedLayerNormalization", "Gather", "Gemm", "LSTM", "MatMul"]

FLOAT_OPS = ("LayerNormalization", "Softmax")
"""Operators that stay in floating point in static quantization: what they read needs more digits."""


class StaticOptions(NamedTuple):
    """How activations and weights become 8-bit integers."""

    activation_dtype: str
    per_channel: bool
    method: str
    percentile: float
    excluded_nodes: Collection[str] = ()


class CalibrationCaches:
    """Files with ranges by method, which are measured once. Removed at the end of the `with` block."""

    def __enter__(self) -> CalibrationCaches:
        self._folder = tempfile.TemporaryDirectory(prefix="jsonnx-")
        return self

    def __exit__(self, *exception: object) -> None:
        self._folder.cleanup()

    def file(self, method: str, percentile: float) -> Path:
        """The file of a method."""
        return Path(self._folder.name) / f"{method}-{percentile}.json"


def quantize_dynamic(
    model: onnx.ModelProto, per_channel: bool, excluded_nodes: Collection[str] = ()
) -> onnx.ModelProto:
    """The model with 8-bit weights, and activations that become integers by their range in each run. Convolutions stay
    in floating point: onnxruntime's ConvInteger takes up to fifty times as long."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    def write(file: str) -> None:
        quantize_dynamic(
            _copy(model),
            file,
            op_types_to_quantize=DYNAMIC_OPS,
            per_channel=per_channel,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[*excluded_nodes],
        )

    return _written(write)


def quantize_static(
    model: onnx.ModelProto, batches: Iterable[Feeds], options: StaticOptions, cache: Path
) -> onnx.ModelProto:
    """The model with QuantizeLinear and DequantizeLinear nodes, by the ranges of values on the batches or, if the file
    exists, by the ranges in the cache."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as quantize
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = iter(batches if options.method == "minmax" else _of_one_size(batches))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else dict(batch)

    def write(file: str) -> None:
        quantize(
            _copy(model),
            file,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=options.per_channel,
            activation_type=QuantType.QInt8 if options.activation_dtype == "int8" else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=sorted({*QLinearOpsRegistry, *QDQRegistry} - {*FLOAT_OPS}),
            nodes_to_exclude=[*options.excluded_nodes],
            calibrate_method=CalibrationMethod[CALIBRATION_METHODS[options.method]],
            extra_options={
                "CalibPercentile": options.percentile,
                "CalibTensorRangeSymmetric": False,
                # Readers in integers ask for their operands themselves: others get the product as it is.
                "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],
            },
            calibration_cache_path=cache,
        )

    return _with_float_outputs(_written(write))


def _of_one_size(batches: Iterable[Feeds]) -> Iterator[Feeds]:
    """The batches without a smaller last one: onnxruntime's histograms need values of one shape."""
    size = None
    for batch in batches:
        rows = {len(array) for array in batch.values() if array.ndim}
        size = size or rows
        if rows == size:
            yield batch


def _with_float_outputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without QuantizeLinear and DequantizeLinear in front of its outputs, where they only add noise and clip
    values beyond those of calibration."""
    producers = {name: node for node in model.graph.node for name in node.output}
    reads = Counter(name for node in model.graph.node for name in node.input)
    for output in model.graph.output:
        last = producers.get(output.name)
        before = producers.get(last.input[0]) if last is not None and last.op_type == "DequantizeLinear" else None
        if last is None or before is None or before.op_type != "QuantizeLinear":
            continue
        source = producers.get(before.input[0])
        if source is None or reads[before.input[0]] > 1 or reads[before.output[0]] > 1 or reads[output.name]:
            continue
        source.output[[*source.output].index(before.input[0])] = output.name
        model.graph.node.remove(last)
        model.graph.node.remove(before)
    return model


def preprocessed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with constants folded and operators fused, as onnxruntime advises before quantization; the model itself
    where its tool fails."""
    with contextlib.suppress(CompileError):
        return _written(lambda file: _preprocess(model, file))
    return model


def _preprocess(model: onnx.ModelProto, file: str) -> None:
    from onnxruntime.quantization import quant_pre_process

    source = f"{file}.source"  # of a message in memory, it loses the data of small tensors
    onnx.save(model, source)
    quant_pre_process(source, file, skip_symbolic_shape=True)


def converted_to_float16(model: onnx.ModelProto, excluded_nodes: Collection[str] = ()) -> onnx.ModelProto:
    """The model with weights and most operators in float16; inputs and outputs keep their types."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _quiet(), _tool_errors():
        return convert_float_to_float16(_copy(model), keep_io_types=True, node_block_list=[*excluded_nodes])


def quantizable_nodes(model: onnx.ModelProto) -> list[str]:
    """The names of the nodes with a constant operand of two axes or more, which have most of the work."""
    large = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) > 1}
    return [node.name for node in model.graph.node if node.name and not large.isdisjoint(node.input)]


def with_constant_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, changed so that its weights are not inputs, as those of the first versions of ONNX are: they could be
    fed, but not with other element types."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, IR_VERSION_OF_CONSTANTS)
    return model


def with_node_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model whose nodes have names that differ, by which tools tell them apart."""
    named = _copy(model)
    used: set[str] = set()
    for index, node in enumerate(named.graph.node):
        if not node.name or node.name in used:
            node.name = f"{node.op_type}_{index}"
        used.add(node.name)
    return named


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy, since the tools change their argument."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _written(write: Callable[[str], None]) -> onnx.ModelProto:
    """The model that a function writes to a file. Raises CompileError `not-quantizable`."""
    with tempfile.TemporaryDirectory(prefix="jsonnx-") as folder, _quiet(), _tool_errors():
        file = str(Path(folder) / "model.onnx")
        write(file)
        return onnx.load(file)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the messages that the tools print and log, which advise what has been done."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _tool_errors() -> Iterator[None]:
    """Raises CompileError for whatever the tools raise: their exceptions have no base class of their own."""
    try:
        yield
    except (CompileError, MemoryError):
        raise
    except Exception as error:
        text: Any = str(error).strip().splitlines() or [type(error).__name__]
        message = f"onnxruntime's tools cannot quantize the model: {text[0]}"
        help = "another --precision may be possible"
        raise CompileError([Diagnostic("not-quantizable", message, help=help)]) from error
