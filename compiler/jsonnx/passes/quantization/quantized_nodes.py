"""Writes a plan as QuantizeLinear and DequantizeLinear nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ...ir import Builder, Constant, Graph, Node, Value
from ..canonicalize import canonicalize
from .dataflow import Dataflow
from .float_results import emit_as_max, emit_unchanged, float_results
from .integers import quantization_parameters, quantized_bias, scales_for_bias
from .placement import plan_quantization
from .quantization_plan import DEFAULT_BITS, BiasQuantizer, QuantizationOptions, QuantizationPlan, WeightQuantizer
from .stored_weights import StoredWeights, scales_of

Range = tuple[float, float]


class UnusableRange(ValueError):
    """A range has ends in the wrong order, ends that are not finite, or too distant ones."""


def with_quantized_nodes(graph: Graph, plan: QuantizationPlan, ranges: Mapping[str, Range]) -> Graph:
    """The graph with the quantizers of its plan, whose ranges are given by key; the weights are constants.

    A group has the union of the ranges of its quantizers. Raises UnusableRange, and ValueError for one that is missing.
    """
    return canonicalize(_Emitter(graph, plan, ranges).emitted())


def with_quantized_weights(
    graph: Graph, bits: int = DEFAULT_BITS, bits_by_layer: Mapping[str, int | None] = MappingProxyType({})
) -> Graph:
    """The graph with its large weights stored as integers of 8 or 4 bits; layers without bits keep theirs."""
    options = QuantizationOptions(bits_by_layer, bits=bits, activations=False)
    return with_quantized_nodes(graph, plan_quantization(graph, options), {})


def group_ranges(plan: QuantizationPlan, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The range of each group: the union of the ranges of its quantizers."""
    groups: dict[str, Range] = {}
    for quantizer in plan.activations:
        if quantizer.key not in ranges:
            raise ValueError(f"{quantizer.key!r} has no range")
        low, high = ranges[quantizer.key]
        known_low, known_high = groups.get(quantizer.group, (low, high))
        groups[quantizer.group] = min(low, known_low), max(high, known_high)
    return groups


class _Emitter:
    def __init__(self, graph: Graph, plan: QuantizationPlan, ranges: Mapping[str, Range]) -> None:
        self._graph, self._integer_nodes = graph, plan.integer_nodes
        self._g = Builder.extending(graph)
        self._g.nodes = []
        self._stored = StoredWeights(self._g)
        self._parameters = self._group_parameters(plan, ranges)
        """The scale and the zero point of each group."""
        self._groups = plan.groups
        self._keeps_float = {each.value for each in plan.activations if each.keeps_float}
        self._weights: dict[Node, list[WeightQuantizer]] = {}
        for weight in (*plan.weights, *plan.stored):
            self._weights.setdefault(weight.node, []).append(weight)
        self._biases = {each.node: each for each in plan.biases}
        self._float_results = float_results(Dataflow(graph), plan)
        self._merged: set[Node] = set()
        """Nodes that are part of a node before them."""
        self._dequantized: dict[Value, Value] = {}
        self._replacements: dict[Value, Value] = {}

    def _group_parameters(
        self, plan: QuantizationPlan, ranges: Mapping[str, Range]
    ) -> dict[str, tuple[Constant, Constant]]:
        parameters = {}
        for group, range in group_ranges(plan, ranges).items():
            try:
                scale, zero_point = quantization_parameters(*range, plan.options.activation_dtype)
            except ValueError as error:
                raise UnusableRange(f"{group!r} cannot be quantized: {error}") from error
            dtype = plan.options.activation_dtype
            parameters[group] = self._g.const(scale, "float32"), self._g.const(zero_point, dtype)
        return parameters

    def emitted(self) -> Graph:
        for value in self._graph.inputs.values():
            self._quantize([value])
        for node in self._graph.nodes:
            if node not in self._merged:
                with self._g.inherit(node):
                    self._quantize(self._emit(node))
        roots = {root: self._read(root, in_integers=False) for root in self._graph.roots}
        return self._graph.with_nodes(self._g.nodes, {x: y for x, y in roots.items() if x is not y})

    def _emit(self, node: Node) -> Sequence[Value]:
        """Emits a node; returns the values of the graph that it computes."""
        inputs = [None if x is None else self._read(x, node in self._integer_nodes) for x in node.inputs]
        if node in self._weights:
            return self._emit_with_weights(node, inputs, self._weights[node])
        if node in self._integer_nodes and _is_spatial_mean(node):
            return self._emit_pooling(node, inputs)
        if node in self._float_results.activations:
            self._replacements[node.outputs[0]] = emit_as_max(self._g, node, inputs)
            return node.outputs
        self._g.nodes.append(node.with_inputs(inputs))
        return node.outputs

    def _read(self, x: Value, in_integers: bool) -> Value:
        if x in self._dequantized and (in_integers or x not in self._keeps_float):
            return self._dequantized[x]
        return self._replacements.get(x, x)

    # -- activations -------------------------------------------------------------------------------------------------

    def _quantize(self, values: Sequence[Value]) -> None:
        for value in values:
            if value in self._groups:
                x = self._replacements.get(value, value)
                x = emit_unchanged(self._g, x) if value in self._float_results.results else x
                self._dequantized[value] = self._rounded(x, self._groups[value])

    def _rounded(self, x: Value, group: str) -> Value:
        scale, zero_point = self._parameters[group]
        rounded: Value = self._g.DequantizeLinear(self._g.QuantizeLinear(x, scale, zero_point), scale, zero_point)
        return rounded

    def _emit_pooling(self, node: Node, inputs: Sequence[Value | None]) -> Sequence[Value]:
        """Emits a mean over all spatial axes as GlobalAveragePool, which has a kernel for integers."""
        (y,) = node.outputs
        pooled = self._g.GlobalAveragePool(inputs[0])
        if pooled.rank == y.rank:
            self._replacements[y] = self._g.refine(pooled, y.shape)
        else:
            rounded = self._rounded(pooled, self._groups[y])
            self._replacements[y] = self._g.refine(
                self._g.Squeeze(rounded, self._g.const(list(range(2, pooled.rank)), "int64")), y.shape
            )
        return node.outputs

    # -- weights -----------------------------------------------------------------------------------------------------

    def _emit_with_weights(
        self, node: Node, inputs: list[Value | None], weights: Sequence[WeightQuantizer]
    ) -> Sequence[Value]:
        if node in self._integer_nodes:
            (weight,) = weights
            return self._emit_linear(node, inputs, weight)
        if node.op == "Gather":
            (weight,) = weights
            self._replacements[node.outputs[0]] = self._stored.gathered_rows(weight, inputs[1])  # type: ignore[arg-type]
            return node.outputs
        for weight in weights:
            is_product = node.op in ("Gemm", "MatMul") and weight.weight.rank == 2 and not node.attribute("transB", 0)
            inputs[weight.operand] = self._stored.dequantized(weight) if is_product else self._stored.multiplied(weight)
        self._g.nodes.append(node.with_inputs(inputs))
        return node.outputs

    def _emit_linear(self, node: Node, inputs: list[Value | None], weight: WeightQuantizer) -> Sequence[Value]:
        """Emits an operator on integers, with the bias that is added to its result if it can take that."""
        bias, scales = self._biases.get(node), scales_of(weight)
        x = node.inputs[0]
        assert x is not None
        if bias is not None and (bias.add is None or _becomes_gemm(node, bias)):
            array, x_scale = bias.bias.array.reshape(-1), self._parameters[self._groups[x]][0].array  # type: ignore[attr-defined]
            scales = scales_for_bias(scales, float(x_scale), array)
            inputs[2:] = [self._bias(bias, array, scales * x_scale)]
        op, outputs = node.op, node.outputs
        if bias is not None and bias.add is not None and len(inputs) > 2:
            self._merged.add(bias.add)
            op, outputs = "Gemm", bias.add.outputs
        inputs[weight.operand] = self._stored.integer_operand(weight, scales, op)
        node = replace(node.with_inputs(inputs), op=op, outputs=outputs)
        self._g.nodes.append(node)
        return node.outputs

    def _bias(self, quantizer: BiasQuantizer, array: np.ndarray, scales: np.ndarray) -> Value:
        name = getattr(quantizer.bias, "name", "")
        integers = self._g.const(quantized_bias(array, scales), "int32")
        integers.name = name
        factors = self._g.const(scales, "float32")
        factors.name = name and f"{name}/scale"
        attributes = {"axis": 0} if scales.ndim else {}
        bias: Value = self._g.DequantizeLinear(integers, factors, **attributes)
        return bias


def _becomes_gemm(node: Node, bias: BiasQuantizer) -> bool:
    """Whether a product and the vector that is added to it can be written as Gemm, which has a kernel for integers."""
    x, weight = node.inputs[:2]
    assert x is not None
    assert weight is not None
    return isinstance(bias.bias, Constant) and x.rank == 2 and bias.bias.array.size == weight.shape[-1]


def _is_spatial_mean(node: Node) -> bool:
    """Whether a node is the mean over all axes but batch and channels."""
    x, axes = node.inputs[0], node.input(1)
    if node.op != "ReduceMean" or x is None or not isinstance(axes, Constant) or x.rank < 3:
        return False
    return sorted(int(axis) % x.rank for axis in axes.array) == list(range(2, x.rank))
