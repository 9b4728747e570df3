"""Moves the mask of a ReLU's gradient behind the max pooling that follows the ReLU, where there are fewer elements.

The gradient of the pooling reaches only the greatest element of a window, and there the ReLU's result equals the
pooling's. So `unpool(dy) * (x > 0)` is `unpool(dy * (y > 0))`, which saves two passes over the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...ir import Builder, Graph, Node, Value
from ..rewrite import Match, RuleSet

mask_motion = RuleSet()


def move_relu_mask_after_pool(graph: Graph) -> Graph:
    """Applies ReLU masks to the cotangents of max poolings instead of to their gradients."""
    pools = [node for node in graph.nodes if node.op == "MaxPool"]
    return mask_motion.apply(graph, pools) if pools else graph


@mask_motion("Mul")
def move_mask(m: Match) -> Node | None:
    """Mul(unpool(dy), step(x)) -> unpool(Mul(dy, step(y))), where y = MaxPool(x)"""
    for dx, mask in (m.node.inputs, m.node.inputs[::-1]):
        step = m.original_producer(mask)
        info = None if dx is None else m.g.gradients.get(dx)
        if dx is None or step is None or not is_step_function(step):
            continue
        if info is None or info.op != "MaxPool" or step.inputs[0] is not info.x:
            continue
        pool = next(pool for pool in m.context if pool.inputs[0] is info.x and pool.attributes == info.attributes)
        y = pool.outputs[0]
        masked_dy = m.g.Mul(info.dy, m.g.HardSigmoid(y, **step.attributes))
        values = {info.x: info.x, y: y, info.dy: masked_dy}
        if _recompute(m.g, dx, values, m.graph.producers) is not dx:
            m.g.gradients[m.node.outputs[0]] = replace(info, dy=masked_dy)
            return replace(m.g.nodes.pop(), outputs=m.node.outputs)
    return None


def is_step_function(node: Node) -> bool:
    """Whether a node is the step function as gradient rules emit it: 1 for a positive operand, else 0."""
    is_steep = node.op == "HardSigmoid" and node.attribute("alpha", 0.2) >= 1e30
    return is_steep and abs(node.attribute("beta", 0.5)) < 1e-20


def _recompute(g: Builder, value: Value, values: dict[Value, Value], producers: Mapping[Value, Node]) -> Value:
    """Emits the nodes behind a value again with replaced `values`; the value itself if it depends on none of them."""
    if value not in values and value in producers:
        node = producers[value]
        inputs = [None if x is None else _recompute(g, x, values, producers) for x in node.inputs]
        if any(new is not old for new, old in zip(inputs, node.inputs, strict=True)):
            values[value] = g.refine(g.emit(node.op, *inputs, **node.attributes), value.shape)
    return values.setdefault(value, value)
