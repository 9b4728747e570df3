"""The gradient of a bidirectional LSTM, GRU or RNN: those of two nodes of one direction each, which replace it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps

from ..registry import Cotangents, GradientBuilder, Node, Rule, Value
from .rnn_common import SEQUENCE_LENS, replace_node

DIRECTIONS = ("forward", "reverse")


def each_direction(rule: Rule) -> Rule:
    """A rule for nodes of one direction as a rule for nodes of any direction."""

    @wraps(rule)
    def by_direction(g: GradientBuilder, node: Node, *dys: Value | None) -> Cotangents:
        if node.attribute("direction", "forward") != "bidirectional":
            return rule(g, node, *dys)
        split_dys = [_halves(g, dy, axis=0 if index else 1) for index, dy in enumerate(dys)]
        nodes = _split_node(g, node)
        forward, reverse = (
            rule(g, each, *half) for each, half in zip(nodes, zip(*split_dys, strict=True), strict=True)
        )
        dx = g.Add(forward[0], reverse[0])
        pairs = zip(forward[1:], reverse[1:], strict=True)
        return [dx, *(None if a is None or b is None else g.Concat(a, b, axis=0) for a, b in pairs)]

    return by_direction


def _halves(g: GradientBuilder, x: Value | None, axis: int) -> tuple[Value | None, Value | None]:
    """The parts of a value for the two directions, which an axis of size 2 has."""
    if x is None:
        return None, None
    a, b = g.Split(x, axis=axis, num_outputs=2, outputs=2)
    return a, b


def _split_node(g: GradientBuilder, node: Node) -> list[Node]:
    """Two nodes that replace a bidirectional one, with their results concatenated."""
    unsupported = ("activation_alpha", "activation_beta", "layout")
    if node.input(SEQUENCE_LENS) or any(map(node.attribute, unsupported)):
        raise NotImplementedError("with two directions and lengths, parameters of activations or samples first")
    first_node = len(g.nodes)
    operands = [_halves(g, x, axis=0) for x in node.inputs[1:]]
    results = []
    for index, direction in enumerate(DIRECTIONS):
        attributes = {**node.attributes, "direction": direction}
        if activations := node.attribute("activations"):
            count = len(activations) // 2
            attributes["activations"] = activations[index * count :][:count]
        inputs = (node.inputs[0], *(halves[index] for halves in operands))
        outputs = g.emit(node.op, *inputs, outputs=len(node.outputs), **attributes)
        results.append(outputs if isinstance(outputs, tuple) else (outputs,))
    pairs: Sequence[tuple[Value, Value]] = list(zip(*results, strict=True))
    joined = [g.Concat(*pair, axis=0 if index else 1) for index, pair in enumerate(pairs)]
    replace_node(g, node, first_node, joined)
    return [next(each for each in g.nodes if each.outputs[0] is result[0]) for result in results]
