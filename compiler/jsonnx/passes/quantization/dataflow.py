"""Readers of values, values that depend on weights only, and linear operators with what is fused with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property

import numpy as np

from ...ir import Constant, Graph, Node, Parameter, State, Value
from .operators import AFFINE_OPS, FUSED_ACTIVATIONS, INTEGER_LINEAR_OPS, moves_elements

VARIANCE_STATE = "/moving_variance"
"""The end of the name of a state that only batch normalization has."""


class LinearChain:
    """A linear operator and the operators behind it that belong to its integer kernel or to its weights.

    `normalization` is a node of the layer of batch normalization behind it.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.values = [node.outputs[0]]
        self.bias_add: Node | None = None
        self.normalization: Node | None = None

    @property
    def result(self) -> Value:
        return self.values[-1]


class Dataflow:
    def __init__(self, graph: Graph, *, are_final: bool = False) -> None:
        """`are_final`: whether the weights have folded all that they will, as weights that are constants have."""
        self.graph = graph
        self._are_final = are_final or not (graph.parameters or graph.states)
        self.roots = set(graph.roots)
        self.readers: dict[Value, list[Node]] = {}
        self._static: set[Value] = set()
        self._weight_dependent: set[Value] = set()
        self._drawn: set[Value] = {x for x in graph.randoms.values() if not x.is_model_input}
        """Values that depend on nothing but weights and the random numbers of a training step."""
        for node in graph.nodes:
            operands = [x for x in node.inputs if x is not None]
            for x in operands:
                self.readers.setdefault(x, []).append(node)
            if operands and all(self.is_static(x) for x in operands):
                self._static.update(node.outputs)
                if any(isinstance(x, (Parameter, State)) or x in self._weight_dependent for x in operands):
                    self._weight_dependent.update(node.outputs)
            elif operands and all(self.is_static(x) or x in self._drawn for x in operands):
                self._drawn.update(node.outputs)

    def is_static(self, x: Value) -> bool:
        """Whether a value depends on nothing but weights and constants."""
        return isinstance(x, (Constant, Parameter, State)) or x in self._static

    def is_quantizable_weight(self, x: Value | None) -> bool:
        """Whether an operand is a matrix or a tensor of weights that are finite, as far as they are known."""
        if x is None or x.dtype != "float32" or x.rank < 2:
            return False
        if isinstance(x, Constant):
            return x.array.size > 0 and bool(np.isfinite(x.array).all())
        return isinstance(x, (Parameter, State)) or x in self._weight_dependent

    def dynamic_operands(self, node: Node) -> list[Value]:
        return [x for x in node.inputs if x is not None and not self.is_static(x)]

    def is_affine(self, node: Node) -> bool:
        """Whether a node computes `x * scale + shift` of one operand, with weights or constants."""
        is_affine_op = node.op in AFFINE_OPS or node.op == "BatchNormalization"
        return is_affine_op and not node.domain and len(self.dynamic_operands(node)) == 1

    def moved_operand(self, node: Node) -> Value | None:
        """The operand whose elements are those of the result, apart from zeros and the noise of a training step; None
        for an operator that computes."""
        if node.op in ("Add", "Mul") and not self._drawn.isdisjoint(node.inputs) and not node.domain:
            (x,) = [*(x for x in self.dynamic_operands(node) if x not in self._drawn), None][:1]
            return x
        x = node.inputs[0] if node.inputs and moves_elements(node) else None
        return None if x is None or self.is_static(x) else x

    def only_reader(self, x: Value) -> Node | None:
        readers = self.readers.get(x, ())
        return readers[0] if len(readers) == 1 and x not in self.roots else None

    def source(self, x: Value) -> Node | None:
        """The node that computes a value, or that computes it before a ReLU whose operand nothing else reads."""
        node = self.graph.producers.get(x)
        if node is None or node.op not in FUSED_ACTIVATIONS or node.domain or node.inputs[0] is None:
            return node
        return self.graph.producers.get(node.inputs[0]) if self.only_reader(node.inputs[0]) is node else node

    @cached_property
    def chains(self) -> dict[Value, LinearChain]:
        """The linear operators that may run on integers, by the result of their chain."""
        linear = (self._chain(node) for node in self.graph.nodes if self._is_linear(node))
        return {chain.result: chain for chain in linear}

    @cached_property
    def chains_by_node(self) -> dict[Node, LinearChain]:
        return {chain.node: chain for chain in self.chains.values()}

    def _is_linear(self, node: Node) -> bool:
        if node.op not in INTEGER_LINEAR_OPS or node.domain:
            return False
        x, weight, bias = node.inputs[0], node.inputs[1], node.input(2)
        if x is None or x.dtype != "float32" or self.is_static(x) or not self.is_quantizable_weight(weight):
            return False
        if node.op == "Conv":
            return True
        has_vector = bias is None or (self.is_static(bias) and bias.rank == 1)
        is_plain = not node.attribute("transA", 0) and node.attribute("alpha", 1.0) == node.attribute("beta", 1.0) == 1
        return weight is not None and weight.rank == 2 and x.rank >= 2 and has_vector and is_plain

    def _chain(self, node: Node) -> LinearChain:
        chain = LinearChain(node)
        while (result := self._affine_result(chain)) is not None:
            chain.values.append(result)
        reader = self.only_reader(chain.result)
        if reader is not None and reader.op in FUSED_ACTIVATIONS and reader.inputs[0] is chain.result:
            chain.values.append(reader.outputs[0])
        return chain

    def _affine_result(self, chain: LinearChain) -> Value | None:
        """The result of the bias, the scale or the batch normalization that reads the result of a chain."""
        x = chain.result
        readers = self.readers.get(x, [])
        scopes = {reader.scope for reader in readers}
        is_reshaped = any(reader.op == "Reshape" for reader in readers)
        if len(scopes) == 1 and x not in self.roots and scopes <= self._normalizations and not is_reshaped:
            result = self._layer_result(readers[0].scope)
            chain.normalization = None if result is None else readers[0]
            return result
        reader = self.only_reader(x)
        if reader is None or not self._acts_on_channels(reader, chain.node):
            return None
        if reader.op == "Add" and len(chain.values) == 1:
            chain.bias_add = reader
        return reader.outputs[0]

    def _acts_on_channels(self, node: Node, linear: Node) -> bool:
        """Whether a node scales or shifts the channels of the result of a linear operator, as weights of its own can.

        An affine function that is left behind final weights could not be folded into them, apart from a bias.
        """
        x = linear.outputs[0]
        if not self.is_affine(node) or node.outputs[0].type != x.type:
            return False
        if self._are_final and (node.op != "Add" or linear.op != "MatMul"):
            return False
        if node.op == "BatchNormalization":
            return True
        (operand,) = (other for other in node.inputs if other is not None and self.is_static(other))
        axis = 1 if linear.op == "Conv" else x.rank - 1
        return all(size == 1 or x.rank - distance == axis for distance, size in enumerate(operand.shape[::-1], 1))

    def _layer_result(self, scope: str) -> Value | None:
        """The only value of a layer that is read outside of it."""
        results = [y for node in self._nodes_by_scope[scope] for y in node.outputs if self._is_read_outside(y, scope)]
        return results[0] if len(results) == 1 else None

    def leaves_layer(self, values: Iterable[Value], scope: str) -> bool:
        """Whether another layer, or the caller of the graph, reads one of the values, or its elements in another
        order."""
        pending = list(values)
        while pending:
            x = pending.pop()
            if self._is_read_outside(x, scope):
                return True
            pending += [y for node in self.readers.get(x, ()) if self.moved_operand(node) is x for y in node.outputs]
        return False

    def _is_read_outside(self, x: Value, scope: str) -> bool:
        return x in self._outputs or any(node.scope != scope for node in self.readers.get(x, ()))

    @cached_property
    def _outputs(self) -> set[Value]:
        return set(self.graph.outputs.values())

    @cached_property
    def _normalizations(self) -> set[str]:
        """The layers of batch normalization that are not folded, since their weights are not constants."""
        states = {} if self._are_final else self.graph.states
        return {name.removesuffix(VARIANCE_STATE) for name in states if name.endswith(VARIANCE_STATE)}

    @cached_property
    def _nodes_by_scope(self) -> dict[str, list[Node]]:
        nodes: dict[str, list[Node]] = {}
        for node in self.graph.nodes:
            nodes.setdefault(node.scope, []).append(node)
        return nodes

    @cached_property
    def ordinals(self) -> dict[Node, int]:
        """The number of each node among those of its operator and its layer, the same in all graphs of a network:
        without nodes that only compute weights, add biases or drop elements."""
        counts: Counter[tuple[str, str]] = Counter()
        ordinals = {}
        for node in self.graph.nodes:
            if self.dynamic_operands(node) and not self.is_affine(node) and self.moved_operand(node) is None:
                ordinals[node] = counts[node.scope, operator_name(node)]
                counts[node.scope, operator_name(node)] += 1
        return ordinals


def operator_name(node: Node) -> str:
    """The operator in keys, under which a product has one name in all graphs of a network."""
    return "MatMul" if node.op == "Gemm" else node.op
