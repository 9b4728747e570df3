"""Writes a plan as rounding in floating point, for evaluation and for training.

Nodes are named by their first results, which stay the same where passes replace operands.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ...ir import Builder, Graph, Node, Value
from ..canonicalize import canonicalize
from .fake_quantization import (
    MIN_FACTOR,
    Rounding,
    fake_quantized,
    normalization_factor,
    output_axis,
    rounded_bias,
    rounded_to_multiples,
    rounding_of_range,
    weight_scale,
)
from .quantization_plan import QuantizationPlan
from .quantized_nodes import integer_nodes


class FakeActivation(NamedTuple):
    """The quantizer of a value. The nodes `float_readers` read the value before the rounding, and so do the graph's
    outputs if it `keeps_float`."""

    key: str
    group: str
    float_readers: Collection[Value]
    keeps_float: bool


class Normalization(NamedTuple):
    """The batch normalization behind a linear operator, which a compiled model folds into the weight."""

    gamma: Value
    variance: Value
    epsilon: float


class FakeWeight(NamedTuple):
    """The quantizer of the weight of a linear operator. `data_key` is the key of the quantizer of its data;
    `normalization` is one that the graph does not fold."""

    axis: int | None
    output_axis: int
    bits: int
    data_key: str
    normalization: Normalization | None = None


class FakeBias(NamedTuple):
    """The quantizer of a bias, an operand of a node; `linear` is the node whose weight it goes with."""

    operand: int
    linear: Value


class FakeQuantizers(NamedTuple):
    """The quantizers of a plan in a graph of floating-point operators: by value, or by the first result of a node."""

    activations: Mapping[Value, FakeActivation]
    weights: Mapping[Value, FakeWeight]
    biases: Mapping[Value, FakeBias]


def fake_quantizers(plan: QuantizationPlan, inference: Graph, graph: Graph) -> FakeQuantizers:
    """The quantizers of the plan of an inference graph in a graph that contains it."""
    integer_results = {node.outputs[0] for node in integer_nodes(inference, plan)}
    readers: dict[Value, list[Value]] = {}
    for node in graph.nodes:
        for x in node.inputs if node.outputs[0] not in integer_results else ():
            readers.setdefault(x, []).append(node.outputs[0])  # type: ignore[arg-type]
    activations = {
        each.value: FakeActivation(
            each.key, each.group, frozenset(readers.get(each.value, ()) if each.keeps_float else ()), each.keeps_float
        )
        for each in plan.activations
    }
    moved = {each.value for each in plan.moved}

    def data_key(node: Node) -> str:
        x = node.inputs[0]
        while x in moved:
            x = inference.producers[x].inputs[0]
        return activations[x].key  # type: ignore[index]

    weights = {
        each.node.outputs[0]: FakeWeight(each.axis, output_axis(each.node), each.bits, data_key(each.node))
        for each in plan.weights
    }
    biases = {
        each.node.outputs[0]: FakeBias(each.node.inputs.index(each.bias), each.node.outputs[0])
        for each in plan.biases
        if each.add is None
    }
    return FakeQuantizers(activations, weights, biases)


RangeOf = Callable[[Builder, FakeActivation, Value], tuple[Value, Value]]
"""Emits the least and the largest number of the range of a quantizer, behind its value."""


def with_fake_quantizers(graph: Graph, quantizers: FakeQuantizers, range_of: RangeOf, dtype: str) -> Graph:
    """The graph with rounding in floating point. Gradients pass the rounding; no gradient reaches a range."""
    return canonicalize(_Emitter(graph, quantizers, range_of, dtype).emitted())


@dataclass(eq=False)
class _Emitter:
    graph: Graph
    quantizers: FakeQuantizers
    range_of: RangeOf
    dtype: str
    roundings: dict[str, Rounding] = field(default_factory=dict)
    """By key."""
    rounded: dict[Value, Value] = field(default_factory=dict)
    """By value before the rounding."""
    weights: dict[tuple[object, ...], tuple[Value, Value]] = field(default_factory=dict)
    """By weight and quantizer: the multiples of the scales, and the scales."""
    scales: dict[Value, Value] = field(default_factory=dict)
    """The scales of weights by the result of the operator."""

    def __post_init__(self) -> None:
        self.g = Builder.extending(self.graph)
        self.g.nodes = []

    def emitted(self) -> Graph:
        for x in self.graph.inputs.values():
            with self.g.scope(x.name, ("inputs", x.name)):
                self._round(x)
        for node in self.graph.nodes:
            with self.g.inherit(node):
                self._emit(node)
                for y in node.outputs:
                    self._round(y)
        activations = self.quantizers.activations
        results = {y: x for y, x in self.rounded.items() if not activations[y].keeps_float}
        graph = self.graph.with_nodes(self.g.nodes, results)
        return replace(graph, states=self.g.states, updates={**graph.updates, **self.g.updates})

    def _emit(self, node: Node) -> None:
        y, inputs = node.outputs[0], list(node.inputs)
        for index, x in enumerate(inputs):
            if x in self.rounded and y not in self.quantizers.activations[x].float_readers:
                inputs[index] = self.rounded[x]
        weight, bias = self.quantizers.weights.get(y), self.quantizers.biases.get(y)
        if weight is not None:
            inputs[1], self.scales[y] = self._weight(weight, inputs[1])  # type: ignore[arg-type]
        if bias is not None:
            data_scale = self.roundings[self.quantizers.weights[bias.linear].data_key].scale
            scale = self.g.Mul(data_scale, self.scales[bias.linear])
            inputs[bias.operand] = rounded_bias(self.g, inputs[bias.operand], scale)  # type: ignore[arg-type]
        self.g.nodes.append(node.with_inputs(inputs))

    def _round(self, x: Value) -> None:
        quantizer = self.quantizers.activations.get(x)
        if quantizer is not None:
            rounding = rounding_of_range(self.g, *self.range_of(self.g, quantizer, x), self.dtype)
            self.roundings[quantizer.key] = rounding
            self.rounded[x] = fake_quantized(self.g, x, rounding)

    def _weight(self, quantizer: FakeWeight, weight: Value) -> tuple[Value, Value]:
        key = weight, quantizer.axis, quantizer.bits, quantizer.normalization
        if key not in self.weights:
            scale = self._weight_scale(quantizer, weight)
            self.weights[key] = rounded_to_multiples(self.g, weight, scale), scale
        return self.weights[key]

    def _weight_scale(self, quantizer: FakeWeight, weight: Value) -> Value:
        """The scales of a weight. If a compiled model has one scale for all channels, times the factors of their
        normalization, these factors divide it; with a scale for each channel, they cancel out."""
        _, output_axis, bits, _, normalization = quantizer
        if normalization is None or quantizer.axis is not None:
            return weight_scale(self.g, weight, quantizer.axis, bits)
        factor = normalization_factor(self.g, *normalization, weight.rank, output_axis)
        common = weight_scale(self.g, self.g.Mul(weight, factor), None, bits)
        scale: Value = self.g.Div(common, self.g.Max(self.g.Abs(factor), MIN_FACTOR))
        return scale
