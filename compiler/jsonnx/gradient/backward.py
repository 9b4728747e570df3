"""The backward pass: visits the nodes in reverse, applies their gradient rules and accumulates cotangents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..core.diagnostics import path_text
from ..core.types import Dim, ShapeError
from ..ir import Graph, Node, Value
from .builder import GradientBuilder
from .registry import NOT_DIFFERENTIABLE, RULES

FLOAT_DTYPES = {"float16", "float32", "float64", "bfloat16"}


class MissingRule(Exception):
    """An operator between a parameter and the loss has no gradient rule, or its rule does not cover its attributes."""

    def __init__(self, node: Node, reason: str = "") -> None:
        self.node, self.path = node, path_text(node.path)
        super().__init__(reason or f"no gradient rule for operator {node.op}")


def gradients(
    g: GradientBuilder, graph: Graph, cotangents: Mapping[Value, Value], wrt: Iterable[Value]
) -> dict[Value, Value]:
    """The cotangents of the values `wrt`, given the cotangents of some results. Omits values that no result depends on.

    Emits into `g`, which contains the nodes of `graph`. Raises MissingRule.
    """
    by_value = dict(cotangents)
    active = _active_values(graph.nodes, wrt)
    for node in reversed(graph.nodes):
        dys = [by_value.get(output) for output in node.outputs]
        if all(dy is None for dy in dys) or not any(output in active for output in node.outputs):
            continue
        with g.inherit(node):
            for x, dx in zip(node.inputs, _input_cotangents(g, node, dys), strict=False):
                if x is not None and dx is not None and x in active:
                    dx = unbroadcast(g, dx, x.shape)
                    by_value[x] = g.Add(by_value[x], dx) if x in by_value else dx
    return {value: by_value[value] for value in wrt if value in by_value}


def _active_values(nodes: Iterable[Node], wrt: Iterable[Value]) -> set[Value]:
    """The real-valued values that depend on a value of `wrt`."""
    active = set(wrt)
    for node in nodes:
        if node.op not in NOT_DIFFERENTIABLE and not node.detached and any(x in active for x in node.inputs):
            active.update(y for y in node.outputs if y.dtype in FLOAT_DTYPES)
    return active


def _input_cotangents(g: GradientBuilder, node: Node, dys: list[Value | None]) -> list[Value | None]:
    rule = RULES.get(node.op)
    if rule is None:
        raise MissingRule(node)
    try:
        dxs = rule(g, node, *dys)
    except (ShapeError, NotImplementedError) as error:
        raise MissingRule(node, str(error)) from error
    return [dxs] if dxs is None or isinstance(dxs, Value) else list(dxs)


def unbroadcast(g: GradientBuilder, dx: Value, shape: tuple[Dim, ...]) -> Value:
    """Sums a cotangent over the axes along which the value was broadcast."""
    if dx.shape == shape:
        return dx
    new_axes = dx.rank - len(shape)
    if new_axes > 0:
        dx = g.ReduceSum(dx, list(range(new_axes)), keepdims=0)
    repeated = [axis for axis, size in enumerate(shape) if size == 1 and dx.shape[axis] != 1]
    return g.ReduceSum(dx, repeated, keepdims=1) if repeated else dx
