"""Chooses the values of a graph that are quantized.

Values that linear operators read are required as integers. A required value gets a quantizer at the end of
the operators that are fused (a linear operator, its bias, the batch normalization and the ReLU behind it). If it is
computed by an operator that has a kernel for integers, such as Add, Concat or a pooling, its operands are required in
turn, so that a network of convolutions stays in integers from end to end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

from ...ir import Graph, Node, Value
from ..canonicalize import prune
from .dataflow import Dataflow
from .operators import FUSED_ACTIVATIONS, INTEGER_BINARY_OPS, INTEGER_UNARY_OPS
from .quantization_plan import ActivationQuantizer, MovedValue, QuantizationOptions, QuantizationPlan
from .quantizer_keys import quantizer_keys
from .weight_placement import bias_quantizers, integer_weights, stored_weights

DEFAULT_OPTIONS = QuantizationOptions()


def plan_quantization(graph: Graph, options: QuantizationOptions = DEFAULT_OPTIONS) -> QuantizationPlan:
    """The quantizers of an inference graph, whose weights may be constants or parameters, or of a training graph
    before its loss."""
    dataflow = Dataflow(graph, are_final=options.are_final)
    placement = _Placement(dataflow, options)
    keys = _Placement(dataflow, options._replace(bits_by_layer={})).keys if options.bits_by_layer else placement.keys
    weights = integer_weights(dataflow, options)
    group_keys = placement.group_keys(keys)
    return QuantizationPlan(
        options,
        tuple(
            ActivationQuantizer(keys[value], value, group_keys[placement.group(value)], value not in placement.integers)
            for value in placement.quantized
        ),
        tuple(MovedValue(value, group_keys[placement.group(value)]) for value in placement.moved),
        weights,
        bias_quantizers(dataflow, weights),
        stored_weights(dataflow, options),
        placement.integer_nodes(each.node for each in weights),
    )


def observed_graph(graph: Graph, plan: QuantizationPlan) -> Graph:
    """The graph whose outputs are the values of the quantizers before they are rounded, by key."""
    outputs = {quantizer.key: quantizer.value for quantizer in plan.activations}
    return prune(replace(graph, outputs=outputs, masks={}, losses=(), updates={}, checked=()))


class _Placement:
    """The values of a graph that are quantized with given options.

    `integers` are the values that are computed on integers if they are required, `quantized` those with a quantizer
    of their own, `moved` maps results of operators that move elements to their operands.
    """

    def __init__(self, dataflow: Dataflow, options: QuantizationOptions) -> None:
        self._dataflow, self._options = dataflow, options
        self.integers = self._integers()
        self.moved: dict[Value, Value] = {}
        self._parents: dict[Value, Value] = {}
        """By value: another one of its group, up to one that stands for the group."""
        required: set[Value] = set()
        if options.activations:
            self._require(self._read_by_linear_operators(), required)
        nodes = dataflow.graph.nodes
        order = [*dataflow.graph.inputs.values(), *(y for node in nodes for y in node.outputs)]
        self.quantized = [value for value in order if value in required]
        self.moved = {value: self.moved[value] for value in order if value in self.moved}

    @cached_property
    def keys(self) -> dict[Value, str]:
        return quantizer_keys(self._dataflow, self.quantized)

    def group(self, value: Value) -> Value:
        """The value that stands for the group of a value."""
        while value in self._parents:
            value = self._parents[value]
        return value

    def _join(self, value: Value, other: Value) -> None:
        first, second = self.group(value), self.group(other)
        if first is not second:
            self._parents[first] = second

    def group_keys(self, keys: dict[Value, str]) -> dict[Value, str]:
        """The key of each group: that of its first quantizer."""
        groups: dict[Value, str] = {}
        for value in self.quantized:
            groups.setdefault(self.group(value), keys[value])
        return groups

    def integer_nodes(self, linear: Iterable[Node]) -> frozenset[Node]:
        producers, source = self._dataflow.graph.producers, self._dataflow.source
        nodes = {*linear, *(producers[value] for value in self.moved)}
        computed = [value for value in self.quantized if value in self.integers and value not in self._dataflow.chains]
        return frozenset(nodes.union(node for value in computed if (node := source(value)) is not None))

    # -- values that may be integers ---------------------------------------------------------------------------------

    def _integers(self) -> set[Value]:
        """The values that are computed from results of linear operators by operators that run on integers."""
        integers = {
            result
            for result, chain in self._dataflow.chains.items()
            if self._options.bits_of(chain.node.scope) is not None
        }
        for node in self._dataflow.graph.nodes:
            operands = [x for x in node.inputs if x is not None]
            if node.op in FUSED_ACTIVATIONS and not node.domain:
                source = self._dataflow.source(node.outputs[0])
                if source is not None and source is not node and _runs_on_integers(source, source.inputs, integers):
                    integers.add(node.outputs[0])
            elif self._dataflow.moved_operand(node) in integers or _runs_on_integers(node, operands, integers):
                integers.update(y for y in node.outputs if y.dtype == "float32")
        return integers

    def _read_by_linear_operators(self) -> list[Value]:
        """The data operands of linear operators, and the results of convolutions, which have no kernel from integers to
        floating point."""
        chains = [
            chain for chain in self._dataflow.chains.values() if self._options.bits_of(chain.node.scope) is not None
        ]
        operands = [x for chain in chains if (x := chain.node.inputs[0]) is not None]
        return operands + [chain.result for chain in chains if chain.node.op == "Conv"]

    # -- required values ---------------------------------------------------------------------------------------------

    def _require(self, values: list[Value], required: set[Value]) -> None:
        """Adds the values, and the operands from which integer operators compute them, to those that are required."""
        pending = values[::-1]
        while pending:
            x = pending.pop()
            if x in required or x in self.moved or x.dtype != "float32" or self._dataflow.is_static(x):
                continue
            node = self._dataflow.graph.producers.get(x)
            operand = None if node is None else self._dataflow.moved_operand(node)
            if operand is not None:
                self.moved[x] = operand
                self._join(x, operand)
                pending.append(operand)
                continue
            required.add(x)
            if x in self.integers and x not in self._dataflow.chains:
                pending += self._operands(x)

    def _operands(self, x: Value) -> list[Value]:
        """The operands of the operator on integers that computes x."""
        node = self._dataflow.source(x)
        if node is None:
            return []
        operands = [operand for operand in node.inputs if operand is not None]
        if node.op != "Concat":
            return operands[: 2 if node.op in INTEGER_BINARY_OPS else 1]
        rectified = [operand for operand in operands if self._is_rectified(operand)]
        for operand in operands:
            if operand not in rectified or len(rectified) == len(operands):
                self._join(operand, x)
        return operands

    def _is_rectified(self, x: Value) -> bool:
        """Whether a value is the result of a ReLU, which the kernel before it includes only if its range starts at 0.

        A range that is shared with negative values does not.
        """
        node = self._dataflow.graph.producers.get(x)
        while node is not None and (operand := self._dataflow.moved_operand(node)) is not None:
            node = self._dataflow.graph.producers.get(operand)
        return node is not None and node.op in FUSED_ACTIVATIONS


def _runs_on_integers(node: Node, operands: Iterable[Value | None], integers: set[Value]) -> bool:
    """Whether an operator runs on integers when its operands are results of operators that do."""
    if node.domain:
        return False
    if node.op == "Concat":
        return any(x in integers for x in operands)
    if node.op in INTEGER_BINARY_OPS:
        return all(x in integers for x in operands)
    return node.op in INTEGER_UNARY_OPS and node.inputs[0] in integers
