"""Updates of weights that consist of element-wise operators, so that parts of a weight can be updated apart from one
another, and several weights together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ....core.reserved_names import slot_scope
from ....ir import Constant, Graph, Node, Parameter, State, Value

ELEMENTWISE_UPDATE_OPS = frozenset(
    ["Abs", "Add", "Clip", "Div", "Max", "Min", "Mul", "Neg", "Pow", "Reciprocal", "Sign", "Sqrt", "Sub"]
)


class ElementwiseUpdate(NamedTuple):
    """The nodes that update a weight and its slots."""

    weight: Parameter
    slots: dict[str, State]
    nodes: list[Node]
    gradients: list[Value]
    """Operands of the weight's shape that are computed outside the update."""
    signature: Any
    """Equal for updates that differ only in weight, slots and gradients."""


def elementwise_updates(graph: Graph, is_candidate: Callable[[Parameter], bool]) -> Iterator[ElementwiseUpdate]:
    """The element-wise updates of some weights."""
    scopes: dict[str, list[Node]] = {}
    for node in graph.nodes:
        scopes.setdefault(node.scope, []).append(node)
    slots: dict[str, dict[str, State]] = {}
    for name, state in graph.states.items():
        scope, _, slot_name = name.rpartition("/")
        slots.setdefault(scope, {})[slot_name] = state
    use_counts = _use_counts(graph.nodes)
    for name, weight in graph.parameters.items():
        scope = slot_scope(name)
        if name in graph.updates and weight.rank and is_candidate(weight):
            update = _as_update(graph, weight, slots.get(scope, {}), scopes.get(scope, []))
            if update is not None and _is_self_contained(update, use_counts):
                yield update


def _as_update(
    graph: Graph, weight: Parameter, slots: dict[str, State], nodes: Iterable[Node]
) -> ElementwiseUpdate | None:
    """The update by these nodes; None if one of them is not element-wise.

    The signature lists the operators with the roles of their operands: the weight, a slot, a gradient, a result of the
    update, a number.
    """
    type, rank = weight.type, weight.rank
    roles: dict[Value | None, Any] = {None: None, weight: "weight"}
    roles |= {state: ("slot", slot_name) for slot_name, state in slots.items()}
    result_indices: dict[Value | None, int] = {}
    update_nodes: list[Node] = []
    gradients: list[Value] = []
    steps = []
    for node in nodes:
        y = node.outputs[0]
        is_cast = node.op == "Cast" and y.rank == rank and y.shape == weight.shape  # of a slot stored in 16 bits
        if len(node.outputs) != 1 or y.rank != rank or not (is_cast or y.type == type):
            continue  # a number that all weights share; it has the scope of the first of them
        if not (is_cast or node.op in ELEMENTWISE_UPDATE_OPS) or node.domain:
            return None
        for x in node.inputs:
            if x is None or x in roles:
                continue
            if not x.type.shape:
                roles[x] = (x.dtype, x.array.tobytes()) if isinstance(x, Constant) else x
            elif x.type == type:
                roles[x] = ("gradient", len(gradients))
                gradients.append(x)
            else:
                return None
        steps.append((node.op, tuple(node.attributes.items()), *[roles[x] for x in node.inputs]))
        result_indices[node.outputs[0]] = len(update_nodes)
        roles[node.outputs[0]] = ("step", len(update_nodes))
        update_nodes.append(node)
    variables: list[Parameter | State] = [weight, *slots.values()]
    results = [result_indices.get(graph.updates.get(variable.name)) for variable in variables]
    if None in results or any(variable.shape != weight.shape for variable in variables):
        return None
    signature = (tuple(variable.dtype for variable in variables), tuple(steps), tuple(slots), tuple(results))
    return ElementwiseUpdate(weight, slots, update_nodes, gradients, signature)


def _is_self_contained(update: ElementwiseUpdate, use_counts: Mapping[Value, int]) -> bool:
    """Whether only the update reads its slots and the results of its nodes."""
    outer_use_counts = {x: use_counts[x] for x in (*update.slots.values(), *[node.outputs[0] for node in update.nodes])}
    for node in update.nodes:
        for x in node.inputs:
            if x in outer_use_counts:
                outer_use_counts[x] -= 1
    return not any(outer_use_counts.values())


def _use_counts(nodes: Iterable[Node]) -> Counter[Value]:
    return Counter(x for node in nodes for x in node.inputs if x is not None)
