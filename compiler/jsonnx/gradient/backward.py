"""The backward pass: visits the nodes in reverse, applies their gradient rules and accumulates cotangents."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from functools import cache

from ..core.diagnostics import path_text
from ..core.types import Dim, ShapeError, Size
from ..ir import Graph, Node, RecomputedRegion, Value
from .builder import GradientBuilder
from .registry import FLOAT_DTYPES, NOT_DIFFERENTIABLE, ON_QUANTIZED, QUANTIZERS, RULES


class MissingRule(Exception):
    """An operator between a parameter and the loss has no gradient rule, or none in a `case`, such as `with ceil_mode`,
    or its gradient is not possible for another `reason`."""

    def __init__(self, node: Node, case: str = "", reason: str = "") -> None:
        self.node, self.path = node, path_text(node.path)
        super().__init__(reason or f"operator {node.op} has no gradient rule {case}".rstrip())


def gradients(
    g: GradientBuilder, graph: Graph, cotangents: Mapping[Value, Value], wrt: Iterable[Value]
) -> dict[Value, Value]:
    """The cotangents of the values `wrt`, given the cotangents of some results. Omits values that no result depends on.

    Emits into `g`, which contains the nodes of `graph`. The results of the nodes of a region are computed again, from
    the values that these read. Raises MissingRule.
    """
    by_value = dict(cotangents)
    regions = RecomputedNodes(g, graph.nodes)
    active = g.active_values = _active_values(graph.nodes, wrt)
    for node in reversed(graph.nodes):
        dys = [by_value.get(output) for output in node.outputs]
        if all(dy is None for dy in dys) or not any(output in active for output in node.outputs):
            continue
        if node.op not in ON_QUANTIZED and (x := _quantized_input(node, active)) is not None:
            raise MissingRule(node, f"for quantized integers ({x.dtype})")
        available = regions.available(node, dys)
        with g.inherit(available):
            for x, dx in zip(node.inputs, _input_cotangents(g, available, dys), strict=False):
                if x is not None and dx is not None and x in active:
                    dx = unbroadcast(g, dx, x.shape)
                    by_value[x] = g.Add(by_value[x], dx) if x in by_value else dx
    return {value: by_value[value] for value in wrt if value in by_value}


class RecomputedNodes:
    """Emits the nodes of a region again, when the backward pass reaches the region.

    onnxruntime merges equal nodes, and may run nodes early that wait for nothing. So the copies read values through
    Reshapes to the shape that these have. Its target consists of zeros, which stand for "unchanged", but onnxruntime
    cannot know them in advance: they are the size of a cotangent times zero. The Reshape thus waits for the cotangent
    with which the backward pass reaches the region, and copies nothing.
    """

    def __init__(self, g: GradientBuilder, nodes: Iterable[Node]) -> None:
        self._g = g
        self._nodes_by_region: dict[RecomputedRegion, list[Node]] = {}
        for node in nodes:
            if node.region is not None:
                self._nodes_by_region.setdefault(node.region, []).append(node)
        self._copies: dict[Node, Node] = {}
        self._delayed: dict[Value, Value] = {}
        """By a value that copies read: the result of its Reshape, which also serves regions that are reached later."""

    def available(self, node: Node, dys: Iterable[Value | None]) -> Node:
        """The node, or its copy if it belongs to a region. `dys` are the cotangents of its results."""
        if node.region is None:
            return node
        if node not in self._copies:
            self._copy(node.region, next(dy for dy in dys if dy is not None))
        return self._copies[node]

    def _copy(self, region: RecomputedRegion, cotangent: Value) -> None:
        nodes, g = self._nodes_by_region[region], self._g
        copied_region = RecomputedRegion(is_backward=True)
        copies: dict[Value, Value] = {}
        inner = {y for node in nodes for y in node.outputs}
        with g.inherit(replace(nodes[0], region=copied_region)):
            self._delay((x for node in nodes for x in node.inputs if x is not None and x not in inner), cotangent)
        for node in nodes:
            inputs = (None if x is None else copies.get(x) or self._delayed.get(x, x) for x in node.inputs)
            outputs = tuple(Value(y.type) for y in node.outputs)
            copies |= zip(node.outputs, outputs, strict=True)
            self._copies[node] = replace(node, inputs=tuple(inputs), outputs=outputs, region=copied_region)
            g.nodes.append(self._copies[node])

    def _delay(self, values: Iterable[Value], cotangent: Value) -> None:
        """Emits Reshapes of the values of symbolic shapes that wait for a cotangent."""
        axis = next((axis for axis, size in enumerate(cotangent.shape) if isinstance(size, Size)), None)
        if axis is None:
            return
        g, size = self._g, self._g.Shape(cotangent, start=axis, end=axis + 1)
        unchanged_shape = cache(lambda rank: g.Mul(size, [0] * rank))
        for x in values:
            if x not in self._delayed and not x.type.is_static():
                self._delayed[x] = g.refine(g.Reshape(x, unchanged_shape(x.rank)), x.shape)


def _active_values(nodes: Iterable[Node], wrt: Iterable[Value]) -> set[Value]:
    """The values that depend on a value of `wrt` and are real, or integers of a quantized tensor."""
    active = {value for value in wrt if value.dtype in FLOAT_DTYPES}
    for node in nodes:
        if _passes_gradients(node) and any(x in active for x in node.inputs):
            active.update(y for y in node.outputs if y.dtype in FLOAT_DTYPES or _is_quantized(node, active))
    return active


def _is_quantized(node: Node, active: Container[Value | None]) -> bool:
    """Whether the integers that a node computes stand for real numbers."""
    return node.op in QUANTIZERS or _quantized_input(node, active) is not None


def _quantized_input(node: Node, active: Container[Value | None]) -> Value | None:
    """The first active operand that consists of integers."""
    return next((x for x in node.inputs if x is not None and x.dtype not in FLOAT_DTYPES and x in active), None)


def _passes_gradients(node: Node) -> bool:
    return not node.detached and (node.straight_through or node.op not in NOT_DIFFERENTIABLE)


def _input_cotangents(g: GradientBuilder, node: Node, dys: list[Value | None]) -> list[Value | None]:
    if node.straight_through:
        return [dys[0]]
    rule = RULES.get(node.op)
    if rule is None:
        raise MissingRule(node)
    try:
        dxs = rule(g, node, *dys)
    except NotImplementedError as error:
        raise MissingRule(node, case=str(error)) from error
    except ShapeError as error:
        raise MissingRule(node, reason=str(error)) from error
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
