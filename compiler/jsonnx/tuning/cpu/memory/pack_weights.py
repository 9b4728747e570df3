"""Small weights as parts of a few vectors, for the session of a step.

A step renews every weight by the same dozen operators, each on elements of its own. With thousands of small weights
these would be most of the operators; and their results, each an output, are what onnxruntime searches for every node
while it makes a session, which takes quadratic time. So small weights that are renewed alike are joined: the step reads
one vector, splits it for the layers, and renews it as a whole. It computes the same numbers.

It has a price: a vector is renewed when the last of its gradients is there, and what they are sums of waits for that.
Where this is large, a few small weights stay by themselves: half of the memory of a step of depthwise convolutions, and
one twentieth of a transformer's time, went into waiting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ....core.reserved_names import OPTIMIZER_SCOPE, is_slot_name, slot_scope
from ....core.types import TensorType
from ....ir import Constant, Graph, Node, Parameter, State, Value, topologically_sorted

MAX_SMALL_WEIGHT_ELEMENTS = 1 << 12
"""Elements of a weight beyond which copying its gradient into a vector costs more than operators of its own."""
MIN_SMALL_WEIGHTS = 32
"""Small weights from which on they are joined in any step."""
MAX_VECTOR_ELEMENTS = 1 << 15
"""Elements of a vector: what its update works on stays in a core's cache from one operator to the next."""


ELEMENTWISE_UPDATE_OPS = frozenset(
    ["Abs", "Add", "Clip", "Div", "Max", "Min", "Mul", "Neg", "Pow", "Reciprocal", "Sign", "Sqrt", "Sub"]
)

PackedVectors = Mapping[str, Sequence[str]]
"""The variables that stand one behind the other in a vector, by its name."""


class _ElementwiseUpdate(NamedTuple):
    """How a weight and its slots are renewed."""

    weight: Parameter
    slots: dict[str, State]
    nodes: list[Node]
    gradients: list[Value]
    """Tensors of the weight's shape that are computed elsewhere."""
    signature: Any
    """Equal for updates that differ in weight, slots and gradients alone."""


def pack_weights(graph: Graph) -> tuple[Graph, PackedVectors]:
    """The same step with small weights joined, and which variables its new ones stand for."""
    groups: dict[Any, list[_ElementwiseUpdate]] = {}
    updates = list(_packable_updates(graph))
    if graph.is_compute_bound and len(updates) < MIN_SMALL_WEIGHTS:
        return graph, {}
    for update in updates:
        groups.setdefault(update.signature, []).append(update)
    joining = _WeightPacker(graph)
    for group in groups.values():
        for part in _vector_groups(group):
            joining.pack(part)
    return joining.build(), joining.packed_vectors


def _vector_groups(group: Iterable[_ElementwiseUpdate]) -> Iterator[list[_ElementwiseUpdate]]:
    """The updates in portions for a vector each, without one that would be alone."""
    part: list[_ElementwiseUpdate] = []
    length = 0
    for update in group:
        size = _total_elements([update.weight])
        if part and length + size > MAX_VECTOR_ELEMENTS:
            if len(part) > 1:
                yield part
            part, length = [], 0
        part.append(update)
        length += size
    if len(part) > 1:
        yield part


def _packable_updates(graph: Graph) -> Iterator[_ElementwiseUpdate]:
    """The updates of small weights that work on each element by itself."""
    scopes: dict[str, list[Node]] = {}
    for node in graph.nodes:
        scopes.setdefault(node.scope, []).append(node)
    slots: dict[str, dict[str, State]] = {}
    for name, state in graph.states.items():
        scope, _, short = name.rpartition("/")
        slots.setdefault(scope, {})[short] = state
    uses = _use_counts(graph.nodes)
    for name, weight in graph.parameters.items():
        scope = slot_scope(name)
        if name in graph.updates and weight.rank and _total_elements([weight]) <= MAX_SMALL_WEIGHT_ELEMENTS:
            found = _as_update(graph, weight, slots.get(scope, {}), scopes.get(scope, []))
            if found is not None and _is_self_contained(found, uses):
                yield found


def _as_update(
    graph: Graph, weight: Parameter, slots: dict[str, State], nodes: Iterable[Node]
) -> _ElementwiseUpdate | None:
    """The update whose operators are these, if each works on the elements one by one."""
    roles: dict[Value | None, Any] = {None: None, weight: "weight"}
    roles |= {state: ("slot", short) for short, state in slots.items()}
    made: dict[Value | None, int] = {}
    own: list[Node] = []
    gradients: list[Value] = []
    steps = []
    for node in nodes:
        if len(node.outputs) != 1 or node.outputs[0].type != weight.type:
            continue  # a number that all weights share, whichever of them came first
        if node.op not in ELEMENTWISE_UPDATE_OPS or node.domain:
            return None
        for x in node.inputs:
            if x is None or x in roles:
                continue
            if x.type == weight.type:
                roles[x] = ("gradient", len(gradients))
                gradients.append(x)
            elif x.rank:
                return None
            else:
                roles[x] = (x.dtype, x.array.tobytes()) if isinstance(x, Constant) else x
        steps.append((node.op, tuple(node.attributes.items()), tuple(roles[x] for x in node.inputs)))
        made[node.outputs[0]] = len(own)
        roles[node.outputs[0]] = ("step", len(own))
        own.append(node)
    variables: list[Parameter | State] = [weight, *slots.values()]
    results = [made.get(graph.updates.get(variable.name)) for variable in variables]
    if None in results or any(variable.type != weight.type for variable in variables):
        return None
    return _ElementwiseUpdate(weight, slots, own, gradients, (weight.dtype, tuple(steps), tuple(slots), tuple(results)))


def _is_self_contained(update: _ElementwiseUpdate, use_counts: Mapping[Value, int]) -> bool:
    """Whether nothing but the update itself reads its slots and what it computes."""
    own = _use_counts(update.nodes)
    inside = [*update.slots.values(), *(node.outputs[0] for node in update.nodes)]
    return all(own[x] == use_counts[x] for x in inside)


def _use_counts(nodes: Iterable[Node]) -> Counter[Value]:
    return Counter(x for node in nodes for x in node.inputs if x is not None)


class _WeightPacker:
    """A step on the way to joined weights."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.packed_vectors = graph, dict[str, tuple[str, ...]]()
        self._parameters, self._states, self._updates = dict(graph.parameters), dict(graph.states), dict(graph.updates)
        self._weight_views: dict[Value, Value] = {}
        self._leading_nodes: list[Node] = []
        self._trailing_nodes: list[Node] = []
        self._replaced_values: set[Value] = set()

    def pack(self, group: Sequence[_ElementwiseUpdate]) -> None:
        """Let these weights, which are renewed alike, be one."""
        model, weights = group[0], [update.weight for update in group]
        of: dict[Value | None, Value] = {model.weight: self._add_vector(weights, self._parameters)}
        self._emit_split(of[model.weight], weights)
        for short, slot in model.slots.items():
            of[slot] = self._add_vector([update.slots[short] for update in group], self._states)
        for index, gradient in enumerate(model.gradients):
            of[gradient] = self._emit_concat([update.gradients[index] for update in group])
        for node in model.nodes:
            result = of[node.outputs[0]] = Value(of[model.weight].type)
            self._trailing_nodes.append(
                replace(node, inputs=tuple(of.get(x, x) for x in node.inputs), outputs=(result,))
            )
        variables: list[Parameter | State] = [model.weight, *model.slots.values()]
        for variable in variables:
            vector: Any = of[variable]
            self._updates[vector.name] = of[self.graph.updates[variable.name]]
        self._replaced_values.update(node.outputs[0] for update in group for node in update.nodes)

    def build(self) -> Graph:
        """The graph with what was joined."""
        kept = [node for node in self.graph.nodes if node.outputs[0] not in self._replaced_values]
        # Where nobody tells it otherwise (`tuning.cpu.schedule`), onnxruntime begins with what the last of the results
        # needs. That should be a weight of the last layers: the vectors' gradients would have it go all the way back
        # first, and to the other weights' gradients afterwards.
        own = [node for node in kept if is_slot_name(node.scope)]
        others = [node for node in kept if not is_slot_name(node.scope)]
        nodes = topologically_sorted([*self._leading_nodes, *others, *self._trailing_nodes, *own])
        wired = [n.with_inputs(self._weight_views.get(x, x) if x else None for x in n.inputs) for n in nodes]
        graph = replace(self.graph, parameters=self._parameters, states=self._states, updates=self._updates)
        return graph.with_nodes(wired, self._weight_views)

    def _add_vector(self, variables: Sequence[Any], known: dict[str, Any]) -> Any:
        """What stands for these variables from now on."""
        name = f"{variables[0].name}+{len(variables) - 1}"  # nothing else is called so: names have no plus
        self.packed_vectors[name] = tuple(variable.name for variable in variables)
        for gone in self.packed_vectors[name]:
            del known[gone], self._updates[gone]
        known[name] = type(variables[0])(name, _flat_type(variables), None)
        return known[name]

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
    """The type of these values' elements in one row."""
    return TensorType(values[0].dtype, (_total_elements(values),))


def _total_elements(values: Iterable[Value]) -> int:
    return sum(prod(value.shape) for value in values)


def _int64_constant(numbers: Sequence[Any]) -> Constant:
    return Constant(TensorType("int64", (len(numbers),)), np.array(numbers, np.int64))
