"""A quantized graph, evaluated node by node: operators in floating point, rounding by NumPy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from jsonnx.backend import serialize, to_model_proto
from jsonnx.ir import Constant, Graph, Node, Value
from jsonnx.ir.graph import Input
from jsonnx.passes.quantization import QuantizationPlan, observed_graph

from .harness import run

Range = tuple[float, float]
BOUNDS = {"uint8": (0, 255), "int8": (-128, 127)}


def observed_ranges(graph: Graph, plan: QuantizationPlan, feeds: Mapping[str, np.ndarray]) -> dict[str, Range]:
    """The range of each quantizer's values, by key."""
    observed = run(observed_graph(graph, plan), feeds, optimize=False) if plan.activations else {}
    return {key: (float(array.min()), float(array.max())) for key, array in observed.items()}


def rounded(x: np.ndarray, low: float, high: float, dtype: str) -> np.ndarray:
    """The values after QuantizeLinear and DequantizeLinear: halves to even, then cut off at the bounds of the type."""
    scale, zero_point = parameters(low, high, dtype)
    integers = np.clip(np.round(x / scale) + zero_point, *BOUNDS[dtype])
    return ((integers - zero_point) * scale).astype(np.float32)


def parameters(low: float, high: float, dtype: str) -> tuple[np.float32, int]:
    low, high = np.float32(min(low, 0)), np.float32(max(high, 0))
    least, largest = BOUNDS[dtype]
    scale = (high - low) / np.float32(largest - least) or np.float32(1)
    return scale, round(float(least - low / scale))


def rounded_weight(weight: np.ndarray, axis: int | None, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """A weight after rounding, and its scales."""
    others = None if axis is None else tuple(i for i in range(weight.ndim) if i != axis)
    largest = np.abs(weight).max(axis=others, keepdims=True)
    scale = np.where(largest == 0, 1, largest / np.float32(2 ** (bits - 1) - 1)).astype(np.float32)
    return (np.round(weight / scale) * scale).astype(np.float32), scale.reshape(-1)


def quantized_reference(
    graph: Graph, plan: QuantizationPlan, ranges: Mapping[str, Range], feeds: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The graph's results with the rounding of the plan of 8-bit activations."""
    groups: dict[str, Range] = {}
    for each in plan.activations:
        low, high = ranges[each.key]
        other_low, other_high = groups.get(each.group, (low, high))
        groups[each.group] = min(low, other_low), max(high, other_high)
    group_of = {each.value: each.group for each in (*plan.activations, *plan.moved)}
    keeps_float = {each.value for each in plan.activations if each.keeps_float}
    weights, biases = {each.node: each for each in plan.weights}, {each.node: each for each in plan.biases}
    added = {each.add: each for each in plan.biases if each.add is not None}
    dtype = plan.options.activation_dtype
    exact: dict[Value, np.ndarray] = {value: feeds[name] for name, value in graph.inputs.items()}
    after: dict[Value, np.ndarray] = {}

    def finish(x: Value) -> None:
        if x in group_of:
            after[x] = rounded(exact[x], *groups[group_of[x]], dtype)

    def read(x: Value, is_integer: bool) -> np.ndarray:
        if isinstance(x, Constant):
            return x.array
        return after[x] if x in after and (is_integer or x not in keeps_float) else exact[x]

    def bias_of(node: Node, bias: np.ndarray) -> np.ndarray:
        weight = weights[node]
        scales = rounded_weight(weight.weight.array, weight.axis, weight.bits)[1]
        x_scale = parameters(*groups[group_of[node.inputs[0]]], dtype)[0]
        return (np.round(bias / (scales * x_scale)) * (scales * x_scale)).astype(np.float32)

    for value in graph.inputs.values():
        finish(value)
    for node in graph.nodes:
        operands = [None if x is None else read(x, node in plan.integer_nodes) for x in node.inputs]
        if node in weights:
            operands[1] = rounded_weight(operands[1], weights[node].axis, weights[node].bits)[0]
            if node in biases and biases[node].add is None:
                operands[2] = bias_of(node, operands[2])
        if node in added and added[node].node.inputs[0].rank == 2:
            index = node.inputs.index(added[node].bias)
            operands[index] = bias_of(added[node].node, operands[index])
        exact |= zip(node.outputs, evaluated(node, operands), strict=True)
        for y in node.outputs:
            finish(y)
    return {name: read(value, False) for name, value in graph.outputs.items()}


def evaluated(node: Node, operands: list[np.ndarray | None]) -> list[np.ndarray]:
    """The results of one node."""
    inputs = [
        None if x is None else x if isinstance(x, Constant) else Input(f"x{i}", x.type)
        for i, x in enumerate(node.inputs)
    ]
    operators = [
        Constant(x.type, array) if isinstance(x, Constant) else x for x, array in zip(inputs, operands, strict=True)
    ]
    named = {x.name: x for x in operators if isinstance(x, Input)}
    graph = Graph(named, {f"y{i}": y for i, y in enumerate(node.outputs)}, (node.with_inputs(operators),))
    feeds = {f"x{i}": array for i, array in enumerate(operands) if array is not None}
    return list(run(graph, feeds, optimize=False).values())


def executed_ops(graph: Graph, folder: Path) -> Counter[str]:
    """The operators that onnxruntime executes on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(serialize(to_model_proto(graph)), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
