"""Writes a plan as QuantizeLinear and DequantizeLinear nodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...core.types import TensorType
from ...ir import Builder, Constant, Graph, Node, Value
from ..canonicalize import canonicalize
from .integers import quantization_parameters, quantized_weight, weight_scales
from .quantization_plan import QuantizationPlan

Range = tuple[float, float]


def with_quantized_nodes(graph: Graph, plan: QuantizationPlan, ranges: Mapping[str, Range]) -> Graph:
    """The graph with the quantizers of its plan, whose ranges are given by key; its weights are constants.

    A group has the union of the ranges of its quantizers.
    """
    return canonicalize(_Emitter(graph, plan, ranges).emitted())


def group_ranges(plan: QuantizationPlan, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The range of each group: the union of the ranges of its quantizers."""
    groups: dict[str, Range] = {}
    for quantizer in plan.activations:
        low, high = ranges[quantizer.key]
        known_low, known_high = groups.get(quantizer.group, (low, high))
        groups[quantizer.group] = min(low, known_low), max(high, known_high)
    return groups


class _Emitter:
    def __init__(self, graph: Graph, plan: QuantizationPlan, ranges: Mapping[str, Range]) -> None:
        self._graph, self._plan = graph, plan
        self._g = Builder.extending(graph)
        self._g.nodes = []
        dtype = plan.options.activation_dtype
        self._parameters = {
            group: (self._g.const(scale, "float32"), self._g.const(zero_point, dtype))
            for group, range in group_ranges(plan, ranges).items()
            for scale, zero_point in [quantization_parameters(*range, dtype)]
        }
        self._groups = {each.value: each.group for each in (*plan.activations, *plan.moved)}
        self._keeps_float = {each.value for each in plan.activations if each.keeps_float}
        self._weights = {each.node: each for each in plan.weights}
        self._biases = {each.node: each for each in plan.biases}
        self._added_biases = {each.add for each in plan.biases if each.add is not None}
        self._integer_nodes = integer_nodes(graph, plan)
        self._dequantized: dict[Value, Value] = {}
        self._replacements: dict[Value, Value] = {}

    def emitted(self) -> Graph:
        for value in [*self._graph.inputs.values()]:
            if value in self._groups:
                self._quantize(value)
        for node in self._graph.nodes:
            with self._g.inherit(node):
                self._emit(node)
                for output in node.outputs:
                    if output in self._groups:
                        self._quantize(output)
        outputs = {
            value: self._read(value, False) for value in self._graph.roots if self._read(value, False) is not value
        }
        return self._graph.with_nodes(self._g.nodes, outputs)

    def _emit(self, node: Node) -> None:
        inputs = [None if x is None else self._read(x, node in self._integer_nodes) for x in node.inputs]
        weight = self._weights.get(node)
        if weight is not None:
            inputs[1], scales = self._weight(weight.weight, weight.axis, weight.bits)
            bias = self._biases.get(node)
            if bias is not None and bias.add is None:
                inputs[2] = self._bias(bias.bias, self._groups[node.inputs[0]], scales)  # type: ignore[index]
        self._g.nodes.append(node.with_inputs(inputs))

    def _read(self, x: Value, in_integers: bool) -> Value:
        if x in self._dequantized and (in_integers or x not in self._keeps_float):
            return self._dequantized[x]
        return x

    def _quantize(self, value: Value) -> None:
        scale, zero_point = self._parameters[self._groups[value]]
        quantized = self._g.QuantizeLinear(value, scale, zero_point)
        self._dequantized[value] = self._g.DequantizeLinear(quantized, scale, zero_point)

    def _weight(self, weight: Value, axis: int | None, bits: int) -> tuple[Value, np.ndarray]:
        assert isinstance(weight, Constant)
        scales = weight_scales(weight.array, axis, bits)
        array = quantized_weight(weight.array, scales, axis, bits)
        integers = Constant(TensorType("int8", array.shape), array, weight.name)
        axis_attribute = {} if axis is None else {"axis": axis}
        zero_points = self._g.const(np.zeros(scales.shape, np.int8), "int8")
        return self._g.DequantizeLinear(integers, self._g.const(scales), zero_points, **axis_attribute), scales

    def _bias(self, bias: Value, group: str, weight_scale: np.ndarray) -> Value:
        assert isinstance(bias, Constant)
        scales = (self._parameters[group][0].array * weight_scale).astype(np.float32)
        bounds = np.iinfo(np.int32)
        array = np.clip(np.round(bias.array / scales), bounds.min, bounds.max).astype(np.int32)
        integers = Constant(TensorType("int32", array.shape), array, bias.name)
        axis_attribute = {} if scales.ndim == 0 else {"axis": 0}
        zero_points = self._g.const(np.zeros(scales.shape, np.int32), "int32")
        return self._g.DequantizeLinear(integers, self._g.const(scales), zero_points, **axis_attribute)


def integer_nodes(graph: Graph, plan: QuantizationPlan) -> set[Node]:
    """The nodes that read dequantized operands to be run on integers."""
    moved = {each.value for each in plan.moved}
    nodes = {each.node for each in plan.weights}
    nodes |= {graph.producers[value] for value in moved if value in graph.producers}
    for each in plan.activations:
        node = graph.producers.get(each.value)
        if node is not None and not each.keeps_float:
            nodes.add(node)
            nodes.update(producer for x in node.inputs if (producer := graph.producers.get(x)) is not None)  # type: ignore[arg-type]
    return nodes
