"""Reverse mode: walks the graph backwards, asks each operator's rule, sums what meets, undoes broadcasting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..core.diagnostics import path_text
from ..core.types import Dim, ShapeError
from ..ir import Builder, Graph, Node, Value
from .registry import NOT_DIFFERENTIABLE, RULES

FLOAT_DTYPES = {"float16", "float32", "float64", "bfloat16"}


class MissingRule(Exception):
    """An operator between a parameter and the loss has no gradient rule, or none for the form it is used in."""

    def __init__(self, node: Node, reason: str = "") -> None:
        self.node, self.path = node, path_text(node.path)
        super().__init__(reason or f"no gradient rule for operator {node.op}")


def gradients(g: Builder, graph: Graph, cotangents: Mapping[Value, Value], wrt: Iterable[Value]) -> dict[Value, Value]:
    """The cotangents of the wanted values, given those of some results; absent where nothing depends on a value.

    Emits into `g`, which holds the nodes of `graph`. Raises MissingRule.
    """
    found = dict(cotangents)
    between = _active_values(graph.nodes, wrt)
    for node in reversed(graph.nodes):
        dys = [found.get(output) for output in node.outputs]
        if all(dy is None for dy in dys) or not any(output in between for output in node.outputs):
            continue
        with g.inherit(node):
            for x, dx in zip(node.inputs, _input_cotangents(g, node, dys), strict=False):
                if x is not None and dx is not None and x in between:
                    dx = unbroadcast(g, dx, x.shape)
                    found[x] = g.Add(found[x], dx) if x in found else dx
    return {value: found[value] for value in wrt if value in found}


def _active_values(nodes: Iterable[Node], wrt: Iterable[Value]) -> set[Value]:
    """The real-valued values that depend on a wanted one."""
    reached = set(wrt)
    for node in nodes:
        if node.op not in NOT_DIFFERENTIABLE and not node.detached and any(x in reached for x in node.inputs):
            reached.update(y for y in node.outputs if y.dtype in FLOAT_DTYPES)
    return reached


def _input_cotangents(g: Builder, node: Node, dys: list[Value | None]) -> list[Value | None]:
    rule = RULES.get(node.op)
    if rule is None:
        raise MissingRule(node)
    try:
        answer = rule(g, node, *dys)
    except (ShapeError, NotImplementedError) as error:
        raise MissingRule(node, str(error)) from error
    return [answer] if answer is None or isinstance(answer, Value) else list(answer)


def unbroadcast(g: Builder, dx: Value, shape: tuple[Dim, ...]) -> Value:
    """Sum a cotangent over the axes along which the value was repeated."""
    if dx.shape == shape:
        return dx
    extra = dx.rank - len(shape)
    if extra > 0:
        dx = g.ReduceSum(dx, list(range(extra)), keepdims=0)
    repeated = [axis for axis, size in enumerate(shape) if size == 1 and dx.shape[axis] != 1]
    return g.ReduceSum(dx, repeated, keepdims=1) if repeated else dx
