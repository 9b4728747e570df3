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
    as_vector,
    fake_quantized,
    normalization_factor,
    output_axis,
    rounded_bias,
    rounded_to_multiples,
    rounding_of_range,
    row_scale,
    scale_for_bias,
    weight_scale,
)
from .quantization_plan import QuantizationPlan, WeightQuantizer

RECURRENT_OPS = ("GRU", "LSTM", "RNN")


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
    """The quantizer of the weight of a node, or of the rows that a Gather reads. `normalization` is one behind the node
    that the graph does not fold."""

    axis: int | None
    output_axis: int
    bits: int
    normalization: Normalization | None = None


class FakeBias(NamedTuple):
    """The quantizer of the bias that is an operand of the node `adding`; `data_key` is the key of the quantizer of the
    linear operator's data."""

    adding: Value
    operand: int
    data_key: str


class FakeQuantizers(NamedTuple):
    """The quantizers of a plan in a graph of floating-point operators: by value, or by the first result of a node."""

    activations: Mapping[Value, FakeActivation]
    weights: Mapping[Value, FakeWeight]
    biases: Mapping[Value, FakeBias]


def is_trained(weight: WeightQuantizer) -> bool:
    """Whether training rounds a weight that is only stored as integers: not blocks, and not those of recurrent layers,
    which have other operators in training."""
    return weight.node.op not in RECURRENT_OPS and not weight.block_size


def fake_quantizers(plan: QuantizationPlan, inference: Graph, graph: Graph) -> FakeQuantizers:
    """The quantizers of the plan of an inference graph in a graph that contains it."""
    integer_results = {node.outputs[0] for node in plan.integer_nodes}
    readers: dict[Value, list[Value]] = {}
    for node in graph.nodes:
        for x in node.inputs if node.outputs[0] not in integer_results else ():
            if x is not None:
                readers.setdefault(x, []).append(node.outputs[0])
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
        assert x is not None
        return activations[x].key

    weights = {
        each.node.outputs[0]: FakeWeight(each.axis, output_axis(each.node), each.bits)
        for each in (*plan.weights, *plan.stored)
    }
    biases = {}
    for each in plan.biases:
        adding = each.add or each.node
        x, weight = each.node.inputs[:2]
        assert x is not None
        assert weight is not None
        if each.add is None or (x.rank == 2 and each.bias.type.elements == weight.shape[-1]):
            operand = adding.inputs.index(each.bias)
            biases[each.node.outputs[0]] = FakeBias(adding.outputs[0], operand, data_key(each.node))
    return FakeQuantizers(activations, weights, biases)


RangeOf = Callable[[Builder, FakeActivation, Value], tuple[Value, Value]]
"""Emits the least and the largest number of the range of a quantizer, behind its value."""


def with_fake_quantizers(
    graph: Graph, quantizers: FakeQuantizers, range_of: RangeOf, dtype: str, *, training: bool
) -> Graph:
    """The graph with rounding in floating point. Gradients pass the rounding; no gradient reaches a range.

    Unless it is one for training, products with a bias become Gemm as in the quantized model.
    """
    return canonicalize(_Emitter(graph, quantizers, range_of, dtype, training).emitted())


@dataclass(eq=False)
class _Emitter:
    graph: Graph
    quantizers: FakeQuantizers
    range_of: RangeOf
    dtype: str
    training: bool
    roundings: dict[str, Rounding] = field(default_factory=dict)
    """By key."""
    rounded: dict[Value, Value] = field(default_factory=dict)
    """By value before the rounding."""
    replacements: dict[Value, Value] = field(default_factory=dict)
    """Rows of rounded tables, by those that Gather reads."""
    bias_scales: dict[Value, tuple[int, Value]] = field(default_factory=dict)
    """By the result of the node that adds it: the operand that is a bias, and its scale."""
    merged: set[Value] = field(default_factory=set)
    """The results of the additions that are part of a Gemm."""

    def __post_init__(self) -> None:
        self.g = Builder.extending(self.graph)
        self.g.nodes = []

    def emitted(self) -> Graph:
        for x in self.graph.inputs.values():
            with self.g.scope(x.name, ("inputs", x.name)):
                self._round(x)
        for node in self.graph.nodes:
            with self.g.inherit(node):
                for y in () if node.outputs[0] in self.merged else self._emit(node):
                    self._round(y)
        activations = self.quantizers.activations
        results = {y: x for y, x in self.rounded.items() if not activations[y].keeps_float}
        graph = self.graph.with_nodes(self.g.nodes, self.replacements | results)
        return replace(graph, states=self.g.states, updates={**graph.updates, **self.g.updates})

    def _emit(self, node: Node) -> tuple[Value, ...]:
        """Emits a node. Returns the values of the graph that it computes."""
        y, inputs = node.outputs[0], [None if x is None else self._read(x, node.outputs[0]) for x in node.inputs]
        weight, bias = self.quantizers.weights.get(y), self.quantizers.biases.get(y)
        if y in self.bias_scales:
            operand, scale = self.bias_scales[y]
            inputs[operand] = rounded_bias(self.g, inputs[operand], scale)  # type: ignore[arg-type]
        elif weight is not None and node.op != "Gather":
            inputs[1] = self._rounded_weight(weight, inputs[1], bias)  # type: ignore[arg-type]
        if bias is not None and bias.adding is y:
            inputs[bias.operand] = self._rounded_bias(bias)
        elif bias is not None and not self.training:
            self.merged.add(bias.adding)
            inputs[2:] = [self._rounded_bias(bias)]
            node = replace(node, op="Gemm", outputs=self.graph.producers[bias.adding].outputs)
        self.g.nodes.append(node.with_inputs(inputs))
        if weight is not None and node.op == "Gather":
            axes = node.inputs[0].rank - 1  # type: ignore[union-attr]
            self.replacements[y] = rounded_to_multiples(self.g, y, row_scale(self.g, y, axes, weight.bits))
        return node.outputs

    def _read(self, x: Value, reader: Value) -> Value:
        reads_float = x not in self.rounded or reader in self.quantizers.activations[x].float_readers
        return self.replacements.get(x, x) if reads_float else self.rounded[x]

    def _round(self, x: Value) -> None:
        quantizer = self.quantizers.activations.get(x)
        if quantizer is not None:
            before = self.replacements.get(x, x)
            rounding = rounding_of_range(self.g, *self.range_of(self.g, quantizer, before), self.dtype)
            self.roundings[quantizer.key] = rounding
            self.rounded[x] = fake_quantized(self.g, before, rounding)

    def _rounded_weight(self, quantizer: FakeWeight, weight: Value, bias: FakeBias | None) -> Value:
        """The multiples of the scales of a weight, which are so large that the bias has integers, too."""
        scale = self._weight_scale(quantizer, weight)
        if bias is not None:
            data_scale = self.roundings[bias.data_key].scale
            scale = scale_for_bias(self.g, scale, data_scale, self._bias(bias))
            vector = as_vector(self.g, scale) if scale.rank else scale
            self.bias_scales[bias.adding] = bias.operand, self.g.Mul(vector, data_scale)
        return rounded_to_multiples(self.g, weight, scale)

    def _bias(self, bias: FakeBias) -> Value:
        x = self.graph.producers[bias.adding].inputs[bias.operand]
        assert x is not None
        return x

    def _rounded_bias(self, bias: FakeBias) -> Value:
        return rounded_bias(self.g, self._bias(bias), self.bias_scales[bias.adding][1])

    def _weight_scale(self, quantizer: FakeWeight, weight: Value) -> Value:
        """The scales of a weight. If a compiled model has one scale for all channels, times the factors of their
        normalization, these factors divide it; with a scale for each channel, they cancel out."""
        _, output_axis, bits, normalization = quantizer
        if normalization is None or quantizer.axis is not None:
            return weight_scale(self.g, weight, quantizer.axis, bits)
        factor = normalization_factor(self.g, *normalization, weight.rank, output_axis)
        common = weight_scale(self.g, self.g.Mul(weight, factor), None, bits)
        scale: Value = self.g.Div(common, self.g.Max(self.g.Abs(factor), MIN_FACTOR))
        return scale
