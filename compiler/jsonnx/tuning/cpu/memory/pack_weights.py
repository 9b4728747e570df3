"""Packs small weights into a few vectors, for the session of a step.

A step updates every weight by about a dozen element-wise operators. With thousands of small weights, these are most of
its nodes, and for every node onnxruntime searches all outputs while it creates a session, which takes quadratic time.
So small weights with equal updates are packed: the step reads one vector, splits it for the layers and updates it as a
whole. The numbers stay the same.

The update of a vector waits for the last of its gradients, and until then the memory of their operands cannot be
released. So the weights of a compute-bound step are packed only if there are many small ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ....core.reserved_names import OPTIMIZER_SCOPE, is_slot_name
from ....core.types import TensorType
from ....ir import Constant, Graph, Node, Parameter, State, Value, topologically_sorted
from ....passes.canonicalize import with_replaced_inputs
from .elementwise_updates import ElementwiseUpdate, elementwise_updates

MAX_SMALL_WEIGHT_ELEMENTS = 1 << 12
"""Maximum size of a packed weight, in elements. Copying a larger gradient costs more than separate operators."""
MIN_SMALL_WEIGHTS = 32
"""Minimum number of small weights that a compute-bound step packs."""
MAX_VECTOR_ELEMENTS = 1 << 15
"""Elements of a vector, so that it stays in a core's cache from one operator of its update to the next."""

PackedVectors = Mapping[str, Sequence[str]]
"""By the name of a vector: the names of the variables in it, in order."""


def pack_weights(graph: Graph, packs_weights: bool | None = None) -> tuple[Graph, PackedVectors]:
    """Packs small weights and their slots; returns the step and the variables in its vectors.

    `packs_weights` says whether any are packed; with None, the graph decides.
    """
    groups: dict[Any, list[ElementwiseUpdate]] = {}
    updates = list(elementwise_updates(graph, lambda weight: _total_elements([weight]) <= MAX_SMALL_WEIGHT_ELEMENTS))
    if packs_weights is None:
        packs_weights = not graph.is_compute_bound or len(updates) >= MIN_SMALL_WEIGHTS
    if not packs_weights:
        return graph, {}
    for update in updates:
        groups.setdefault(update.signature, []).append(update)
    packer = _WeightPacker(graph)
    for group in groups.values():
        for vector_updates in _vector_groups(group):
            packer.pack(vector_updates)
    return packer.build(), packer.packed_vectors


def _vector_groups(updates: Iterable[ElementwiseUpdate]) -> Iterator[list[ElementwiseUpdate]]:
    """Splits updates into groups of the size of a vector; a group of one update is left out."""
    group: list[ElementwiseUpdate] = []
    length = 0
    for update in updates:
        elements = _total_elements([update.weight])
        if group and length + elements > MAX_VECTOR_ELEMENTS:
            if len(group) > 1:
                yield group
            group, length = [], 0
        group.append(update)
        length += elements
    if len(group) > 1:
        yield group


class _WeightPacker:
    """Replaces groups of weights by vectors; `build` returns the graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.packed_vectors = graph, dict[str, tuple[str, ...]]()
        self._parameters, self._states, self._updates = dict(graph.parameters), dict(graph.states), dict(graph.updates)
        self._weight_views: dict[Value, Value] = {}
        self._leading_nodes: list[Node] = []
        self._trailing_nodes: list[Node] = []
        self._replaced_values: set[Value] = set()

    def pack(self, group: Sequence[ElementwiseUpdate]) -> None:
        """Replaces weights and slots with equal updates by vectors, and their updates by one update of vectors."""
        first, weights = group[0], [update.weight for update in group]
        vectors: dict[Value | None, Value] = {first.weight: self._add_vector(weights, self._parameters)}
        self._emit_split(vectors[first.weight], weights)
        for slot_name, slot in first.slots.items():
            vectors[slot] = self._add_vector([update.slots[slot_name] for update in group], self._states)
        for index, gradient in enumerate(first.gradients):
            vectors[gradient] = self._emit_concat([update.gradients[index] for update in group])
        for node in first.nodes:
            type = vectors[first.weight].type.with_dtype(node.outputs[0].dtype)
            result = vectors[node.outputs[0]] = Value(type)
            inputs = tuple(vectors.get(x, x) for x in node.inputs)
            self._trailing_nodes.append(replace(node, inputs=inputs, outputs=(result,)))
        variables: list[Parameter | State] = [first.weight, *first.slots.values()]
        for variable in variables:
            vector: Any = vectors[variable]
            self._updates[vector.name] = vectors[self.graph.updates[variable.name]]
        self._replaced_values.update(node.outputs[0] for update in group for node in update.nodes)

    def build(self) -> Graph:
        """The graph with vectors."""
        kept = [node for node in self.graph.nodes if node.outputs[0] not in self._replaced_values]
        # Unless the session keeps the order of the graph (`tuning.cpu.schedule`), onnxruntime first runs what the last
        # result needs. The updates of single weights stay last: the update of a vector needs the whole backward pass,
        # and the other gradients would be computed after it.
        single_updates = [node for node in kept if is_slot_name(node.scope)]
        others = [node for node in kept if not is_slot_name(node.scope)]
        nodes = topologically_sorted([*self._leading_nodes, *others, *self._trailing_nodes, *single_updates])
        nodes = [with_replaced_inputs(node, self._weight_views) for node in nodes]
        graph = replace(self.graph, parameters=self._parameters, states=self._states, updates=self._updates)
        return graph.with_nodes(nodes, self._weight_views)

    def _add_vector(self, variables: Sequence[Any], graph_variables: dict[str, Any]) -> Any:
        """Replaces variables by a vector."""
        name = f"{variables[0].name}+{len(variables) - 1}"  # unique, since names of variables have no plus
        self.packed_vectors[name] = tuple(variable.name for variable in variables)
        for packed_name in self.packed_vectors[name]:
            del graph_variables[packed_name], self._updates[packed_name]
        graph_variables[name] = type(variables[0])(name, _flat_type(variables), None)
        return graph_variables[name]

    def _emit_split(self, vector: Value, weights: Sequence[Value]) -> None:
        pieces = [Value(_flat_type([weight])) for weight in weights]
        sizes = _int64_constant([piece.shape[0] for piece in pieces])
        self._leading_nodes.append(Node("Split", (vector, sizes), tuple(pieces), {"axis": 0}, OPTIMIZER_SCOPE))
        for weight, piece in zip(weights, pieces, strict=True):
            self._weight_views[weight] = self._emit_reshape(piece, weight.type, self._leading_nodes)

    def _emit_concat(self, values: Sequence[Value]) -> Value:
        flat = [self._emit_reshape(value, _flat_type([value]), self._trailing_nodes) for value in values]
        result = Value(_flat_type(values))
        self._trailing_nodes.append(Node("Concat", tuple(flat), (result,), {"axis": 0}, OPTIMIZER_SCOPE))
        return result

    def _emit_reshape(self, x: Value, type: TensorType, nodes: list[Node]) -> Value:
        if x.type == type:
            return x
        result = Value(type)
        nodes.append(Node("Reshape", (x, _int64_constant(type.shape)), (result,), {}, OPTIMIZER_SCOPE))
        return result


def _flat_type(values: Sequence[Value]) -> TensorType:
    """The type of a vector with the elements of all values."""
    return TensorType(values[0].dtype, (_total_elements(values),))


def _total_elements(values: Iterable[Value]) -> int:
    return sum(prod(value.shape) for value in values)


def _int64_constant(numbers: Sequence[Any]) -> Constant:
    return Constant(TensorType("int64", (len(numbers),)), np.array(numbers, np.int64))
