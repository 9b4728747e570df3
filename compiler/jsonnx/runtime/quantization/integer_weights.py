"""Weights of an ONNX model as integers, which are turned into floats where they are read."""

from __future__ import annotations

from collections.abc import Collection

import ml_dtypes
import numpy as np
import onnx
from onnx import helper, numpy_helper

from ...core.diagnostics import CompileError, Diagnostic
from ...passes.quantization.integers import quantized_weight, weight_scales
from ...passes.quantization.weight_placement import MIN_STORED_ELEMENTS

MIN_OPSETS = {8: 13, 4: 21}
"""The first opset whose DequantizeLinear has scales by channel, and the first with 4-bit integers; by bits."""
IR_VERSION_OF_INT4 = 10

CHANNEL_AXES = {"MatMul": -1, "Conv": 0, "ConvTranspose": 1, "Gather": 0}
"""The axis of a weight whose indices have a scale each, by operator; for a Gather the rows of its table."""
FOLDED_READERS = frozenset({"Conv", "ConvTranspose"})
"""Operators for whose weights onnxruntime has no kernel that reads integers. It would compute a DequantizeLinear at
every run, but computes a Cast and a Mul of constants once, when it loads the model."""
WEIGHT_OPERANDS = {"MatMul": 1, "Gemm": 1, "Conv": 1, "ConvTranspose": 1, "Gather": 0}


def with_integer_weights(model: onnx.ModelProto, bits: int, excluded_nodes: Collection[str] = ()) -> onnx.ModelProto:
    """The model whose large weights are integers of 8 or 4 bits, apart from those of some nodes.

    Raises CompileError `not-quantizable` if the model cannot have the opset that this takes.
    """
    model = with_opset(model, MIN_OPSETS[bits])
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    nodes, names = [], _names(model.graph)
    for tensor in [*model.graph.initializer]:
        axis = _channel_axis(tensor, readers.get(tensor.name, []), excluded_nodes)
        if axis is not None:
            is_folded = any(node.op_type in FOLDED_READERS for node in readers[tensor.name])
            nodes += _dequantized(model, tensor, axis, bits, names, is_folded)
    found = [*nodes, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(found)
    if bits == 4:
        model.ir_version = max(model.ir_version, IR_VERSION_OF_INT4)
    return model


def _channel_axis(tensor: onnx.TensorProto, readers: list[onnx.NodeProto], excluded: Collection[str]) -> int | None:
    """The axis of the channels of a weight that becomes integers; None for another tensor."""
    is_large = len(tensor.dims) > 1 and int(np.prod(tensor.dims)) >= MIN_STORED_ELEMENTS
    if tensor.data_type != onnx.TensorProto.FLOAT or not is_large or not readers:
        return None
    axes = set()
    for node in readers:
        operand = WEIGHT_OPERANDS.get(node.op_type)
        if node.domain not in ("", "ai.onnx") or operand is None or node.name in excluded:
            return None
        if [index for index, name in enumerate(node.input) if name == tensor.name] != [operand]:
            return None
        is_transposed = any(each.name == "transB" and each.i for each in node.attribute)
        axis = (0 if is_transposed else 1) if node.op_type == "Gemm" else CHANNEL_AXES[node.op_type]
        axes.add(axis % len(tensor.dims))
    return axes.pop() if len(axes) == 1 and np.isfinite(numpy_helper.to_array(tensor)).all() else None


def _names(graph: onnx.GraphProto) -> set[str]:
    """The names of the values of a graph and of its subgraphs."""
    names = {value.name for value in (*graph.input, *graph.initializer)}
    for node in graph.node:
        names.update(node.output)
        for attribute in node.attribute:
            for subgraph in (attribute.g, *attribute.graphs):
                names |= _names(subgraph)
    return names


def _dequantized(
    model: onnx.ModelProto, tensor: onnx.TensorProto, axis: int, bits: int, names: set[str], is_folded: bool
) -> list[onnx.NodeProto]:
    """Turns a tensor into integers, and returns the nodes that compute it from them: operators that onnxruntime folds
    with `is_folded`, else a DequantizeLinear. `names` are those of all values."""
    weight = numpy_helper.to_array(tensor)
    name = tensor.name
    operands = [_free_name(f"{name}_{suffix}", names) for suffix in ("integers", "scales")]
    scales = weight_scales(weight, axis, bits)
    integers = quantized_weight(weight, scales, axis, bits).astype(ml_dtypes.int4 if bits == 4 else np.int8)
    tensor.CopyFrom(numpy_helper.from_array(integers, operands[0]))
    shape = [-1 if index == axis else 1 for index in range(weight.ndim)]
    own_scales = scales.reshape(shape) if is_folded else scales
    model.graph.initializer.append(numpy_helper.from_array(own_scales, operands[1]))
    if not is_folded:
        return [helper.make_node("DequantizeLinear", operands, [name], name=f"{name}_dequantized", axis=axis)]
    floats = _free_name(f"{name}_floats", names)
    cast = helper.make_node("Cast", operands[:1], [floats], name=f"{name}_cast", to=onnx.TensorProto.FLOAT)
    return [cast, helper.make_node("Mul", [floats, operands[1]], [name], name=f"{name}_scaled")]


def _free_name(name: str, names: set[str]) -> str:
    """The name, with underscores behind it if it is taken; it is taken then."""
    while name in names:
        name += "_"
    names.add(name)
    return name


def with_opset(model: onnx.ModelProto, minimum: int) -> onnx.ModelProto:
    """A copy of the model, in this opset or a later one."""
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), minimum)
    if opset < minimum:
        try:
            return onnx.version_converter.convert_version(model, minimum)
        except Exception as error:  # the converter's exceptions have no base class of their own
            message = f"the model cannot be quantized: onnx cannot write it in opset {minimum}, which this takes"
            raise CompileError([Diagnostic("not-quantizable", message)]) from error
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
