"""The values of a graph that correspond to those of another graph of the same network.

Layers emit the same operators in training and in inference, but for a few, such as batch normalization. So a value
corresponds to the one of its layer that leaves the layer in the same place, or else to the result of its layer's
operator of the same kind and number. Transposes and Identities do not count: their results stand for their operands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ...ir import Graph, Node, Parameter, State, Value
from ...ir.graph import Input
from .fake_quantization import output_axis
from .fake_quantizers import FakeBias, FakeQuantizers, FakeWeight, Normalization
from .operators import INTEGER_LINEAR_OPS, MOVING_OPS

TRANSPARENT_OPS = ("Transpose", "Identity")


class NoCounterpart(Exception):
    """A value or an operator of a layer has none in the other graph."""

    def __init__(self, layer: str, what: str) -> None:
        self.layer = layer
        super().__init__(f"{layer}: {what} has no counterpart")


@dataclass(frozen=True, eq=False)
class _LayerValues:
    """The values of a graph by the layers that compute them."""

    graph: Graph

    def origin(self, x: Value) -> Value:
        """The value that x has in another order of elements, at most."""
        while (node := self.graph.producers.get(x)) is not None and node.op in TRANSPARENT_OPS and node.inputs[0]:
            x = node.inputs[0]
        return x

    @cached_property
    def by_operator(self) -> dict[tuple[str, str], list[Value]]:
        """The first results of nodes by layer and operator."""
        values: dict[tuple[str, str], list[Value]] = {}
        for node in self.graph.nodes:
            values.setdefault((node.scope, node.op), []).append(node.outputs[0])
        return values

    @cached_property
    def leaving(self) -> dict[str, list[Value]]:
        """The values by layer that other layers read, or that are outputs of the graph."""
        read = dict.fromkeys(map(self.origin, self.graph.outputs.values()))
        for node in self.graph.nodes:
            for operand in node.inputs if node.op not in TRANSPARENT_OPS else ():
                x = None if operand is None else self.origin(operand)
                source = None if x is None else self.graph.producers.get(x)
                if x is not None and source is not None and source.scope != node.scope:
                    read[x] = None
        values: dict[str, list[Value]] = {}
        for node in self.graph.nodes:
            for x in node.outputs:
                if x in read:
                    values.setdefault(node.scope, []).append(x)
        return values


class Correspondence:
    """Finds the values and nodes of `other` that correspond to those of `graph`."""

    def __init__(self, graph: Graph, other: Graph) -> None:
        self._from, self._to = _LayerValues(graph), _LayerValues(other)

    @cached_property
    def readers(self) -> dict[Value, list[Node]]:
        """The nodes of the other graph that read a value."""
        readers: dict[Value, list[Node]] = {}
        for node in self._to.graph.nodes:
            for x in node.inputs:
                if x is not None:
                    readers.setdefault(x, []).append(node)
        return readers

    def value(self, x: Value) -> Value:
        """Raises NoCounterpart."""
        x = self._from.origin(x)
        if isinstance(x, Input) and x.name in self._to.graph.inputs:
            return self._to.graph.inputs[x.name]
        node = self._from.graph.producers.get(x)
        if node is None:
            raise NoCounterpart("", str(x))
        counterpart = self._by_layer(node, x) or self._by_operator(node, x)
        if counterpart is not None:
            return counterpart
        for reader in self._from.graph.nodes:  # the same elements, where they leave the layer
            moves = reader.op in MOVING_OPS and reader.op not in TRANSPARENT_OPS and reader.scope == node.scope
            if moves and reader.inputs[0] is not None and self._from.origin(reader.inputs[0]) is x:
                return self.value(reader.outputs[0])
        raise NoCounterpart(node.scope, node.op)

    def _by_layer(self, node: Node, x: Value) -> Value | None:
        own, others = self._from.leaving.get(node.scope, []), self._to.leaving.get(node.scope, [])
        return others[own.index(x)] if x in own and len(own) == len(others) else None

    def _by_operator(self, node: Node, x: Value) -> Value | None:
        key = node.scope, node.op
        own, others = self._from.by_operator.get(key, []), self._to.by_operator.get(key, [])
        return others[own.index(x)] if x in own and len(own) == len(others) else None

    def node(self, node: Node) -> Node:
        """The node of the same operator, or of the other linear operator with the same weights. Raises
        NoCounterpart."""
        counterpart = self._by_operator(node, node.outputs[0])
        if counterpart is None and node.op in INTEGER_LINEAR_OPS:
            own, others = (self._linear_results(values, node.scope) for values in (self._from, self._to))
            counterpart = others[own.index(node.outputs[0])] if len(own) == len(others) else None
        if counterpart is None:
            raise NoCounterpart(node.scope, node.op)
        return self._to.graph.producers[counterpart]

    def _linear_results(self, values: _LayerValues, scope: str) -> list[Value]:
        return [
            y
            for node in values.graph.nodes
            if node.scope == scope and node.op in INTEGER_LINEAR_OPS
            for y in node.outputs
        ]


def training_quantizers(
    quantizers: FakeQuantizers, original: Graph, inference: Graph, unfolded: Graph, training: Graph
) -> FakeQuantizers:
    """The quantizers of an inference graph for a training graph of the same network.

    `inference` is `original` with batch normalizations folded, and `training` is `unfolded` with those that have moving
    averages in training, too. The factors of the others are not in the weights of the training graph. Raises
    NoCounterpart.
    """
    return _TrainingQuantizers(quantizers, original, inference, unfolded, training).found()


@dataclass(frozen=True, eq=False)
class _TrainingQuantizers:
    quantizers: FakeQuantizers
    original: Graph
    inference: Graph
    unfolded: Graph
    training: Graph

    def found(self) -> FakeQuantizers:
        activations = {self._value(x): (x, each) for x, each in self.quantizers.activations.items()}
        weights, biases = dict[Value, FakeWeight](), dict[Value, FakeBias]()
        for y, weight in self.quantizers.weights.items():
            node, bias = self._nodes.node(self.inference.producers[y]), self.quantizers.biases.get(y)
            normalization = self._normalization(y if bias is None else bias.adding, node)
            axis = output_axis(node)
            weights[node.outputs[0]] = weight._replace(
                axis=None if weight.axis is None else axis, output_axis=axis, normalization=normalization
            )
            if normalization is None and bias is not None:
                adding, operand = self._bias(node)
                biases[node.outputs[0]] = bias._replace(adding=adding.outputs[0], operand=operand)
        return FakeQuantizers(
            {x: each._replace(float_readers=self._float_readers(x, own)) for x, (own, each) in activations.items()},
            weights,
            biases,
        )

    @cached_property
    def _values(self) -> Correspondence:
        return Correspondence(self.original, self.unfolded)

    @cached_property
    def _nodes(self) -> Correspondence:
        return Correspondence(self.inference, self.training)

    def _value(self, x: Value) -> Value:
        is_original = isinstance(x, Input) or x in self.original.producers
        return self._values.value(x) if is_original else self._nodes.value(x)

    def _normalization(self, y: Value, node: Node) -> Normalization | None:
        """The normalization that computes y of a linear operator, unless its factor is in the weight of the node."""
        folded = self.original.producers.get(y)
        if folded is None or folded.op != "BatchNormalization":
            return None
        readers = [adding.outputs[0] for adding in self._readers(node.outputs[0]) if adding.op == "Add"]
        if any((p := self.unfolded.producers.get(x)) and p.op == folded.op for x in (node.outputs[0], *readers)):
            return None
        variables = {**self.training.parameters, **self.training.states}
        gamma, variance = (
            variables[x.name] if isinstance(x, (Parameter, State)) else x for x in (folded.inputs[1], folded.inputs[4])
        )
        assert gamma is not None
        assert variance is not None
        return Normalization(gamma, variance, folded.attribute("epsilon", 1e-5))

    def _bias(self, node: Node) -> tuple[Node, int]:
        """The node that adds the bias of a linear operator, and the index of the bias."""
        if node.input(2) is not None:
            return node, 2
        y = node.outputs[0]
        for adding in self._readers(y):
            if adding.op == "Add":
                return adding, 1 - adding.inputs.index(y)
        raise NoCounterpart(node.scope, f"the bias of {node.op}")

    def _float_readers(self, x: Value, original: Value) -> frozenset[Value]:
        """The nodes that read x in layers that read it only in floating point in the inference graph."""
        float_readers = self.quantizers.activations[original].float_readers
        readers = [node for node in self.inference.nodes if original in node.inputs]
        float_scopes = {node.scope for node in readers if node.outputs[0] in float_readers}
        float_scopes -= {node.scope for node in readers if node.outputs[0] not in float_readers}
        return frozenset(node.outputs[0] for node in self._readers(x) if node.scope in float_scopes)

    def _readers(self, x: Value) -> list[Node]:
        return self._nodes.readers.get(x, [])
