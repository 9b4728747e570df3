"""Emits the updates of many weights by copying the nodes of an earlier one with equal types."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from ..ir import Builder, Constant, Node, Value, WeightUpdate

Results = tuple[Value, Mapping[str, Value]]
"""The next values of a weight and of its slots."""

EMITTED_UPDATES = 2
"""The updates that are emitted before one is copied: the first may emit values that all others share."""


class _EmittedUpdate(NamedTuple):
    """The nodes of an update, the values that differ from weight to weight, and the results."""

    nodes: Sequence[Node]
    operands: Sequence[Value]
    results: Results


class RepeatedUpdates:
    """The weight decay and the steps of all weights of a graph."""

    def __init__(self, g: Builder) -> None:
        self._g = g
        self._emitted: dict[Hashable, list[_EmittedUpdate]] = {}

    def emit(self, weight: Value, slots: Mapping[str, Value], update: WeightUpdate) -> Results:
        """The weight and its slots after weight decay and the step of its optimizer."""
        optimizer, gradient, rate, shared = update.optimizer, update.gradient, update.rate, update.shared
        operands = [weight, gradient, *slots.values()]
        types = [(x.dtype, x.shape, type(x)) for x in operands]
        emitted = self._emitted.setdefault((id(optimizer), rate, *shared.values(), *types), [])
        if len(emitted) >= EMITTED_UPDATES and _is_copyable(emitted[-1]):
            return self._copy(emitted[-1], operands)
        start = len(self._g.nodes)
        results = optimizer.decay_and_update(self._g, weight, gradient, slots, rate, shared)
        emitted.append(_EmittedUpdate(self._g.nodes[start:], operands, results))
        return results

    def _copy(self, update: _EmittedUpdate, operands: Sequence[Value]) -> Results:
        """Appends the nodes of an update, with other operands and with the current origin."""
        scope, path = self._g.scope_and_path
        copies: dict[Value | None, Value] = dict(zip(update.operands, operands, strict=True))
        for node in update.nodes:
            inputs = tuple([copies.get(x, x) for x in node.inputs])
            outputs = tuple([Value(x.type) for x in node.outputs])
            copies.update(zip(node.outputs, outputs, strict=True))
            other_fields = scope, path, node.domain, node.detached, node.region
            self._g.nodes.append(Node(node.op, inputs, outputs, node.attributes, *other_fields))
        next_weight, next_slots = update.results
        return copies.get(next_weight, next_weight), {name: copies.get(x, x) for name, x in next_slots.items()}


def _is_copyable(update: _EmittedUpdate) -> bool:
    """Whether all nodes have one origin and no bodies, and no operand is a constant, whose elements may matter."""
    return (
        len({(node.scope, node.path) for node in update.nodes}) <= 1
        and not any(node.attributes and node.bodies for node in update.nodes)
        and not any(isinstance(x, Constant) for x in update.operands)
    )
