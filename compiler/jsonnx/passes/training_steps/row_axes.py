"""Which axis of an operator's operands holds the rows of a result: each row is computed from the same row of these."""

from __future__ import annotations

from ...ir import Constant, Node, Value
from ..layout.rules import BROADCASTING_OPS, REDUCTION_OPS, UNARY_OPS

ELEMENTWISE_OPS = {*UNARY_OPS.split(), *BROADCASTING_OPS.split()}
REDUCING_OPS = {*REDUCTION_OPS.split(), "ArgMax", "ArgMin"}
DEFAULT_AXES = {
    "GatherElements": 0,
    "Hardmax": -1,
    "LogSoftmax": -1,
    "OneHot": -1,
    "ScatterElements": 0,
    "Softmax": -1,
    "TopK": -1,
}
"""By operator along one axis of its results: that axis, unless an attribute names another."""
INDEXED_OPS = {"GatherElements", "ScatterElements"}
"""Operators all of whose operands are split along the axis of rows."""


class NotByRow(Exception):
    """A row of a result depends on other rows of an operand."""


def operand_axes(node: Node, axis: int) -> list[int | None]:
    """By operand: its axis of rows, if the rows of the node's results lie along `axis`; None for an operand that all
    rows read. Raises NotByRow."""
    y = node.outputs[0]
    if node.domain:
        raise NotByRow
    if node.op in ELEMENTWISE_OPS:
        return [_aligned_axis(x, y, axis) for x in node.inputs]
    if node.op in ("Gemm", "MatMul"):
        return _product_axes(node, axis)
    if node.op in DEFAULT_AXES:
        operated = node.attribute("axis", DEFAULT_AXES[node.op]) % y.rank
        if axis == operated or (node.op == "OneHot" and operated != y.rank - 1):
            raise NotByRow
        return [axis if index == 0 or node.op in INDEXED_OPS else None for index in range(len(node.inputs))]
    return [_moved_axis(node, axis), None][: len(node.inputs)]


def result_axis(node: Node, operand: Value, axis: int) -> int:
    """The axis of rows of a node's results, if those of an operand lie along `axis`. Raises NotByRow."""
    for result in range(node.outputs[0].rank):
        try:
            axes = operand_axes(node, result)
        except NotByRow:
            continue
        if any(x is operand and other == axis for x, other in zip(node.inputs, axes, strict=True)):
            return result
    raise NotByRow


def reduced_axes(node: Node) -> list[int]:
    """The axes of a Reduce, ArgMax or ArgMin, counted from 0. Raises NotByRow if they are not constant."""
    x, axes = node.inputs[0], node.input(1)
    assert x is not None
    if node.op in ("ArgMax", "ArgMin"):
        return [node.attribute("axis", 0) % x.rank]
    if axes is None:
        return list(range(x.rank))
    if not isinstance(axes, Constant):
        raise NotByRow
    return [int(axis) % x.rank for axis in axes.array] or list(range(x.rank))


def _aligned_axis(x: Value | None, y: Value, axis: int) -> int | None:
    """The axis of an operand that is broadcast to y's axis; None if it has size 1."""
    if x is None or (aligned := axis - y.rank + x.rank) < 0 or x.shape[aligned] == 1:
        return None
    if x.shape[aligned] != y.shape[axis]:
        raise NotByRow
    return aligned


def _product_axes(node: Node, axis: int) -> list[int | None]:
    y, weight = node.outputs[0], node.inputs[1]
    if weight is None or weight.rank != 2 or axis >= y.rank - 1 or node.attribute("transA", 0):
        raise NotByRow
    return [axis, None, *(_aligned_axis(x, y, axis) for x in node.inputs[2:])]


def _moved_axis(node: Node, axis: int) -> int:
    """The axis of the first operand that an operator which adds, removes or exchanges axes moves to `axis`."""
    x, y = node.inputs[0], node.outputs[0]
    if x is None:
        raise NotByRow
    if node.op == "Transpose":
        return int(node.attribute("perm", list(range(y.rank))[::-1])[axis])
    if node.op in REDUCING_OPS:
        removed = reduced_axes(node)
        kept = list(range(x.rank)) if node.attribute("keepdims", 1) else _without(x.rank, removed)
        if kept[axis] in removed:
            raise NotByRow
        return kept[axis]
    axes = node.input(1)
    if node.op not in ("Squeeze", "Unsqueeze") or not isinstance(axes, Constant):
        raise NotByRow
    changed = [int(i) % max(x.rank, y.rank) for i in axes.array]
    if node.op == "Squeeze":
        return _without(x.rank, changed)[axis]
    if axis in changed:
        raise NotByRow
    return _without(y.rank, changed).index(axis)


def _without(rank: int, axes: list[int]) -> list[int]:
    return [axis for axis in range(rank) if axis not in axes]
