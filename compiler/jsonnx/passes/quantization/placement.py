"""Chooses the values of a graph that are quantized.

Starts at the linear operators that onnxruntime has for integers, and asks for their operands in integers. A value that
is asked for gets a quantizer at the end of the operators that onnxruntime fuses (a linear operator, its bias, the batch
normalization and the ReLU behind it); the operands of Add, Concat and pooling are asked for in turn, so that a network
of convolutions stays in integers. The key of a quantizer is the layer of the first of the fused operators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from ...ir import Constant, Graph, Node, Parameter, Random, State, Value
from .quantization_plan import (
    ActivationQuantizer,
    BiasQuantizer,
    MovedValue,
    QuantizationOptions,
    QuantizationPlan,
    WeightQuantizer,
)

LINEAR_OPS = frozenset({"Conv", "Gemm", "MatMul"})
MOVING_OPS = frozenset({"Flatten", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators whose results have only elements of their first operand."""
ELEMENTWISE_OPS = frozenset({"Add", "Mul"})
POOLING_OPS = frozenset({"AveragePool", "GlobalAveragePool"})
FUSED_ACTIVATIONS = frozenset({"Relu", "Clip"})
VARIANCE_STATE = "/moving_variance"
"""The end of the name of a state that only batch normalization has."""


def plan_quantization(graph: Graph, options: QuantizationOptions = QuantizationOptions()) -> QuantizationPlan:
    """The quantizers of an inference graph, whose weights may be constants or parameters, or of a training graph
    before its loss."""
    return _Planner(graph, options).plan()


def value_of_key(graph: Graph, key: str) -> Value:
    """The value that the quantizer of a key rounds in this graph of the same network. Raises KeyError."""
    return _Planner(graph, QuantizationOptions()).values_by_key()[key]


def observed_graph(graph: Graph, plan: QuantizationPlan) -> Graph:
    """The graph whose outputs are the values of the quantizers, by key."""
    from ..canonicalize import prune

    outputs = {quantizer.key: quantizer.value for quantizer in plan.activations}
    return prune(replace(graph, outputs=outputs, masks={}, losses=(), updates={}))


def _moves(node: Node) -> bool:
    """Whether the result has only elements of the first operand, apart from a dropout's zeros and its scale."""
    if node.domain:
        return False
    return node.op in MOVING_OPS or (node.op == "Mul" and isinstance(node.inputs[1], Random))


class _Chain:
    """A linear operator and the nodes behind it that are fused with it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.result = node.outputs[0]
        self.before_activation = self.result
        self.bias_add: Node | None = None
        self.normalization: Node | None = None
        self.values = {self.result}

    def extend(self, value: Value) -> None:
        self.result = value
        self.values.add(value)


class _Planner:
    def __init__(self, graph: Graph, options: QuantizationOptions) -> None:
        self._graph, self._options = graph, options
        self._readers: dict[Value, list[Node]] = {}
        self._static: set[Value] = set()
        for node in graph.nodes:
            for x in node.inputs:
                if x is not None:
                    self._readers.setdefault(x, []).append(node)
            if node.inputs and all(x is None or self._is_static(x) for x in node.inputs):
                self._static.update(node.outputs)
        self._roots = set(graph.roots)
        self._normalizations = {name.removesuffix(VARIANCE_STATE) for name in graph.states if VARIANCE_STATE in name}
        self._chains: dict[Value, _Chain] = {}
        """By result: the fused operators that compute it."""
        self._asked: dict[Value, bool] = {}
        """By value that is quantized: whether it was computed in floating point."""
        self._moved: dict[Value, Value] = {}
        """By result of an operator that moves elements: its operand."""
        self._groups: dict[Value, Value] = {}
        self._ordinals: dict[Node, int] = {}
        counts: Counter[tuple[str, str]] = Counter()
        for node in graph.nodes:
            op = "MatMul" if node.op == "Gemm" else node.op
            self._ordinals[node] = counts[node.scope, op]
            if sum(x is not None and not self._is_static(x) for x in node.inputs) and not self._is_bias_add(node):
                counts[node.scope, op] += 1

    def _is_static(self, x: Value) -> bool:
        return isinstance(x, (Constant, Parameter, State)) or x in self._static

    def _is_bias_add(self, node: Node) -> bool:
        return node.op in ELEMENTWISE_OPS and any(x is not None and self._is_static(x) for x in node.inputs)

    # -- the plan ----------------------------------------------------------------------------------------------------

    def plan(self) -> QuantizationPlan:
        linear = [node for node in self._graph.nodes if self._has_weight(node)]
        for node in linear:
            chain = self._chain(node)
            self._chains[chain.result] = chain
        kept = [node for node in linear if self._options.bits(node.scope) is not None]
        for node in kept:
            self._ask(node.inputs[0])
        for chain in self._chains.values():
            if chain.node.op == "Conv" and self._options.bits(chain.node.scope) is not None:
                self._ask(chain.result)
        keys = self._keys()
        chains = {chain.node: chain for chain in self._chains.values()}
        return QuantizationPlan(
            self._options,
            tuple(self._activations(keys)),
            tuple(MovedValue(value, keys[self._group(value)]) for value in self._moved),
            tuple(self._weight(chains[node]) for node in kept),
            tuple(bias for node in kept if (bias := self._bias(chains[node])) is not None),
        )

    def values_by_key(self) -> dict[str, Value]:
        return {quantizer.key: quantizer.value for quantizer in self.plan().activations}

    def _has_weight(self, node: Node) -> bool:
        if node.op not in LINEAR_OPS or node.domain or len(node.inputs) < 2:
            return False
        x, weight = node.inputs[:2]
        if x is None or weight is None or x.dtype != "float32":
            return False
        return not self._is_static(x) and self._is_static(weight) and weight.rank >= 2

    def _ask(self, value: Value | None) -> None:
        """Makes a value available in integers."""
        pending = [value]
        while pending:
            x = pending.pop()
            if x is None or x in self._asked or x in self._moved or self._is_static(x) or x.dtype != "float32":
                continue
            node = self._graph.producers.get(x)
            if node is not None and _moves(node) and node.outputs[0] is x:
                self._moved[x] = node.inputs[0]  # type: ignore[assignment]
                pending.append(node.inputs[0])
                continue
            chain = self._chains.get(x)
            if chain is not None and self._options.bits(chain.node.scope) is not None:
                self._asked[x] = False
                continue
            operands = self._operands(x)
            self._asked[x] = not operands
            pending += operands

    def _operands(self, x: Value) -> list[Value]:
        """The operands that have to be integers for x to be computed in integers; none if it is not."""
        node = self._graph.producers.get(x)
        if node is not None and node.op in FUSED_ACTIVATIONS and len(self._readers[node.inputs[0]]) == 1:  # type: ignore[index]
            node = self._graph.producers.get(node.inputs[0])  # type: ignore[arg-type]
        if node is None or node.domain:
            return []
        operands = [operand for operand in node.inputs if operand is not None]
        if node.op == "Concat" and all(map(self._may_be_integer, operands)):
            for operand in operands:
                self._join(operand, x)
            return operands
        if node.op in ELEMENTWISE_OPS and all(map(self._may_be_integer, operands)):
            return operands
        if node.op in POOLING_OPS and self._may_be_integer(operands[0]):
            return operands[:1]
        return []

    def _may_be_integer(self, x: Value) -> bool:
        """Whether a value is computed from results of linear operators by operators that may run in integers."""
        while True:
            if x in self._chains:
                return self._options.bits(self._chains[x].node.scope) is not None
            if x in self._asked:
                return not self._asked[x]
            node = self._graph.producers.get(x)
            if node is None or node.domain or self._is_static(x):
                return False
            if _moves(node) or node.op in FUSED_ACTIVATIONS or node.op in POOLING_OPS:
                x = node.inputs[0]  # type: ignore[assignment]
                continue
            if node.op in ELEMENTWISE_OPS or node.op == "Concat":
                return all(operand is not None and self._may_be_integer(operand) for operand in node.inputs)
            return False

    def _join(self, x: Value, other: Value) -> None:
        first, second = self._root(x), self._root(other)
        if first is not second:
            self._groups[first] = second

    def _root(self, x: Value) -> Value:
        while x in self._moved or x in self._groups:
            x = self._moved.get(x) or self._groups[x]
        return x

    def _group(self, x: Value) -> Value:
        return self._root(x)

    # -- fused operators ---------------------------------------------------------------------------------------------

    def _chain(self, node: Node) -> _Chain:
        chain = _Chain(node)
        while (follower := self._linear_follower(chain)) is not None:
            chain.extend(follower)
        chain.before_activation = chain.result
        reader = self._only_reader(chain.result)
        if reader is not None and reader.op in FUSED_ACTIVATIONS and reader.inputs[0] is chain.result:
            chain.extend(reader.outputs[0])
        return chain

    def _only_reader(self, x: Value) -> Node | None:
        readers = self._readers.get(x, ())
        return readers[0] if len(readers) == 1 and x not in self._roots else None

    def _linear_follower(self, chain: _Chain) -> Value | None:
        """The result of the bias or the normalization that follows."""
        x = chain.result
        if x in self._roots:
            return None
        readers = self._readers.get(x, ())
        scopes = {reader.scope for reader in readers}
        if len(scopes) == 1 and scopes <= self._normalizations:
            (scope,) = scopes
            chain.normalization = readers[0]
            return self._result_of_layer(scope)
        reader = self._only_reader(x)
        if reader is None or reader.domain:
            return None
        if self._is_bias_add(reader):
            if reader.op == "Add" and chain.bias_add is None and len(chain.values) == 1:
                chain.bias_add = reader
            return reader.outputs[0]
        return None

    def _result_of_layer(self, scope: str) -> Value | None:
        """The only value of a layer that others read."""
        results = [
            y
            for node in self._graph.nodes
            if node.scope == scope
            for y in node.outputs
            if (y in self.graph_outputs or any(reader.scope != scope for reader in self._readers.get(y, ())))
        ]
        return results[0] if len(results) == 1 else None

    @property
    def graph_outputs(self) -> set[Value]:
        return set(self._graph.outputs.values())

    # -- quantizers --------------------------------------------------------------------------------------------------

    def _anchor(self, x: Value) -> tuple[Node | None, set[Value]]:
        if x in self._chains:
            return self._chains[x].node, self._chains[x].values
        node = self._graph.producers.get(x)
        if node is not None and node.op in FUSED_ACTIVATIONS and len(self._readers[node.inputs[0]]) == 1:  # type: ignore[index]
            inner = self._graph.producers.get(node.inputs[0])  # type: ignore[arg-type]
            if inner is not None:
                return inner, {node.inputs[0], x}  # type: ignore[arg-type]
        return node, {x}

    def _keys(self) -> dict[Value, str]:
        keys: dict[Value, str] = {}
        used: set[str] = set()
        for x in self._asked:
            node, values = self._anchor(x)
            if node is None:
                keys[x] = getattr(x, "name", "")
                used.add(keys[x])
                continue
            leaves = any(
                value in self._roots or any(reader.scope != node.scope for reader in self._readers.get(value, ()))
                for value in values
            )
            key = node.scope
            if not leaves or key in used:
                op = "MatMul" if node.op == "Gemm" else node.op
                key = f"{node.scope}/{op}_{self._ordinals[node]}"
            keys[x] = key
            used.add(key)
        return keys

    def _activations(self, keys: dict[Value, str]) -> Iterator[ActivationQuantizer]:
        order = {x: index for index, node in enumerate(self._graph.nodes) for x in node.outputs}
        for x in sorted(self._asked, key=lambda value: order.get(value, -1)):
            yield ActivationQuantizer(keys[x], x, keys[self._group(x)], self._asked[x])

    def _weight(self, chain: _Chain) -> WeightQuantizer:
        node = chain.node
        weight = node.inputs[1]
        assert weight is not None
        axis = 0 if node.op == "Conv" or node.attribute("transB", 0) else weight.rank - 1
        bits = self._options.bits(node.scope) or 8
        return WeightQuantizer(
            node.scope, node, weight, axis if self._options.per_channel else None, bits, chain.normalization
        )

    def _bias(self, chain: _Chain) -> BiasQuantizer | None:
        bias = chain.node.input(2)
        if bias is not None:
            return BiasQuantizer(chain.node.scope, chain.node, bias)
        if chain.bias_add is None:
            return None
        (bias,) = (x for x in chain.bias_add.inputs if x is not None and self._is_static(x))
        return BiasQuantizer(chain.node.scope, chain.node, bias, chain.bias_add)
