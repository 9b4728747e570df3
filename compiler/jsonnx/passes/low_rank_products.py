"""Products with adapted weights, distributed over the weight and its low-rank adapter.

`x @ (W + s A B)` becomes `x @ W + s (x @ A) @ B`. Neither the adapted weight nor its gradient, values of the size of W,
are computed then. The pass has to see the graph as it was lowered, and before it is differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from string import ascii_letters

from ..ir import Adapter, Builder, Graph, Node, Value
from ..ir.adapters import column_factors
from .canonicalize import prune, with_replaced_inputs

Axes = tuple[tuple[int, ...], ...]
"""By axis of a view: the axes of the weight that it consists of, in their order."""


@dataclass(frozen=True, eq=False)
class View:
    """An adapted weight, or a transposed or reshaped form of it."""

    adapter: Adapter
    weight: Value
    """The same form of the weight without its adapter."""
    axes: Axes

    @property
    def is_matrix(self) -> bool:
        """Whether it is the matrix [inputs, outputs]."""
        return self.axes == (self.adapter.input_axes, self.adapter.output_axes)

    @property
    def is_transposed_matrix(self) -> bool:
        return self.axes == (self.adapter.output_axes, self.adapter.input_axes)


def distribute_adapters(graph: Graph) -> Graph:
    """The graph whose products with adapted weights are sums of two products. Other operators read adapted weights."""
    if not graph.adapters:
        return graph
    g = Builder.extending(graph)
    g.nodes = []
    views: dict[Value, View] = {}
    replacements: dict[Value, Value] = {}
    for node in graph.nodes:
        node = with_replaced_inputs(node, replacements)
        with g.inherit(node):
            result = _distributed(g, node, views)
        if result is not None:
            g.refine(result, node.outputs[0].shape)
            replacements[node.outputs[0]] = result
            continue
        g.nodes.append(node)
        with g.inherit(node):
            _add_view(g, node, views)
        if adapter := graph.adapters.get(node.outputs[0]):
            axes = tuple((axis,) for axis in range(adapter.weight.rank))
            views[node.outputs[0]] = View(adapter, adapter.weight, axes)
    return prune(graph.with_nodes(g.nodes, replacements))


# -- forms of weights ------------------------------------------------------------------------------------------------


def _add_view(g: Builder, node: Node, views: dict[Value, View]) -> None:
    """Notes that the node transposes or reshapes an adapted weight, and emits that form of the weight."""
    view = views.get(node.inputs[0]) if node.inputs and node.inputs[0] is not None else None
    if view is None or node.domain:
        return
    axes: Axes | None = None
    if node.op == "Transpose":
        axes = tuple(view.axes[axis] for axis in node.attribute("perm", [*reversed(range(len(view.axes)))]))
    elif node.op == "Reshape":
        axes = _regrouped(view, node.outputs[0].shape)
    elif node.op == "Identity":
        axes = view.axes
    if axes is not None:
        weight = g.emit(node.op, view.weight, *node.inputs[1:], **node.attributes)
        views[node.outputs[0]] = View(view.adapter, g.refine(weight, node.outputs[0].shape), axes)


def _regrouped(view: View, shape: Sequence[object]) -> Axes | None:
    """The axes after a Reshape to this shape; None if it splits or mixes axes of the weight."""
    sizes, left = view.adapter.weight.shape, [axis for group in view.axes for axis in group]
    groups: list[tuple[int, ...]] = []
    for size in shape:
        group: list[int] = []
        while left and (prod(sizes[axis] for axis in group) != size or (sizes[left[0]] == 1 and not group)):
            group.append(left.pop(0))
        if prod(sizes[axis] for axis in group) != size:
            return None
        groups.append(tuple(group))
    if groups:  # axes of one element at the end
        groups[-1] = (*groups[-1], *left)
    return tuple(groups) if all(sizes[axis] == 1 for axis in left) else None


# -- products --------------------------------------------------------------------------------------------------------


def _distributed(g: Builder, node: Node, views: dict[Value, View]) -> Value | None:
    """The result of the node as a sum of two products; None for another node."""
    if node.domain:
        return None
    index = 0 if node.op == "Gather" else 1
    operand = node.input(index)
    view = views.get(operand) if operand is not None else None
    if view is None or any(x in views for x in node.inputs if x is not operand):
        return None
    emit = {"MatMul": _matmul, "Gemm": _gemm, "Gather": _gather, "Conv": _conv, "Einsum": _einsum}.get(node.op)
    return None if emit is None else emit(g, node, view)


def _scaled(g: Builder, x: Value, adapter: Adapter) -> Value:
    return x if adapter.scale == 1.0 else g.Mul(x, adapter.scale)


def _weighted(g: Builder, y: Value, adapter: Adapter, shape: Sequence[int]) -> Value:
    """Y times the factors of the outputs, in this shape, if the adapter has a magnitude."""
    return y if adapter.magnitude is None else g.Mul(y, g.reshape(column_factors(g, adapter), tuple(shape)))


def _product(g: Builder, x: Value, view: View) -> Value | None:
    """X times the adapted matrix."""
    adapter = view.adapter
    if view.is_matrix:
        low = _scaled(g, g.MatMul(x, adapter.a), adapter)
        y = g.Add(g.MatMul(x, view.weight), g.MatMul(low, adapter.b))
        return _weighted(g, y, adapter, (adapter.b.shape[1],))
    if view.is_transposed_matrix:
        x = _weighted(g, x, adapter, (adapter.b.shape[1],))
        low = _scaled(g, g.MatMul(x, g.transpose(adapter.b, [1, 0])), adapter)
        return g.Add(g.MatMul(x, view.weight), g.MatMul(low, g.transpose(adapter.a, [1, 0])))
    return None


def _matmul(g: Builder, node: Node, view: View) -> Value | None:
    """MatMul(x, W + s A B) -> MatMul(x, W) + MatMul(s MatMul(x, A), B)"""
    x = node.inputs[0]
    return None if x is None else _product(g, x, view)


def _gemm(g: Builder, node: Node, view: View) -> Value | None:
    """Gemm(x, W + s A B, bias) -> Gemm(x, W, bias) + MatMul(s MatMul(x, A), B)"""
    adapter, bias = view.adapter, node.input(2)
    is_transposed = node.attribute("transB", 0) and view.axes == (adapter.output_axes, adapter.input_axes)
    is_plain = node.attribute("alpha", 1.0) == node.attribute("beta", 1.0) == 1.0 and not node.attribute("transA", 0)
    x = node.inputs[0]
    if not is_plain or x is None or not (is_transposed or (view.is_matrix and not node.attribute("transB", 0))):
        return None
    low = g.MatMul(_scaled(g, g.MatMul(x, adapter.a), adapter), adapter.b)
    if adapter.magnitude is None:
        return g.Add(g.Gemm(x, view.weight, bias, **node.attributes), low)
    y = _weighted(g, g.Add(g.Gemm(x, view.weight, **node.attributes), low), adapter, (adapter.b.shape[1],))
    return y if bias is None else g.Add(y, bias)


def _gather(g: Builder, node: Node, view: View) -> Value | None:
    """Gather(W + s A B, indices) -> Gather(W, indices) + MatMul(s Gather(A, indices), B)"""
    adapter, indices = view.adapter, node.inputs[1]
    if not view.is_matrix or node.attribute("axis", 0) != 0:
        return None
    low = _scaled(g, g.Gather(adapter.a, indices, axis=0), adapter)
    y = g.Add(g.Gather(view.weight, indices, axis=0), g.MatMul(low, adapter.b))
    return _weighted(g, y, adapter, (adapter.b.shape[1],))


def _conv(g: Builder, node: Node, view: View) -> Value | None:
    """Conv(x, W + s A B) -> Conv(x, W) + Conv(s Conv(x, A), B), where B is a kernel of one pixel"""
    adapter, x, bias = view.adapter, node.inputs[0], node.input(2)
    if node.attribute("group", 1) != 1 or view.axes[0] != adapter.output_axes or x is None:
        return None
    if any(len(group) != 1 for group in view.axes[1:]):
        return None
    rank, spatial = adapter.a.shape[1], len(view.axes) - 2
    sizes = adapter.weight.shape
    kernel = g.reshape(adapter.a, (*(sizes[axis] for axis in adapter.input_axes), rank))
    order = [adapter.input_axes.index(axis) for (axis,) in view.axes[1:]]
    kernel = g.transpose(kernel, [len(order), *order])
    pixel = g.reshape(g.transpose(adapter.b, [1, 0]), (adapter.b.shape[1], rank, *[1] * spatial))
    low = _scaled(g, g.Conv(x, kernel, **node.attributes), adapter)
    if adapter.magnitude is None:
        return g.Add(g.Conv(x, view.weight, bias, **node.attributes), g.Conv(low, pixel))
    y = g.Add(g.Conv(x, view.weight, **node.attributes), g.Conv(low, pixel))
    y = _weighted(g, y, adapter, (adapter.b.shape[1], *[1] * spatial))
    return y if bias is None else g.Add(y, g.reshape(bias, (adapter.b.shape[1], *[1] * spatial)))


def _einsum(g: Builder, node: Node, view: View) -> Value | None:
    """Einsum(x, W + s A B) -> Einsum(x, W) + Einsum(s Einsum(x, A), B)"""
    adapter, x = view.adapter, node.inputs[0]
    operands, _, result = node.attribute("equation").replace(" ", "").partition("->")
    x_letters, _, letters = operands.partition(",")
    if "." in operands or any(len(group) != 1 for group in view.axes):
        return None
    letter_of = {axis: letter for (axis,), letter in zip(view.axes, letters, strict=True)}
    inputs = "".join(letter_of[axis] for axis in adapter.input_axes)
    outputs = "".join(letter_of[axis] for axis in adapter.output_axes)
    new = next((letter for letter in ascii_letters if letter not in x_letters + letters), None)
    if new is None or not set(inputs) <= set(x_letters) or set(inputs) & set(result):
        return None
    sizes, rank = adapter.weight.shape, adapter.a.shape[1]
    a = g.reshape(adapter.a, (*(sizes[axis] for axis in adapter.input_axes), rank))
    b = g.reshape(adapter.b, (rank, *(sizes[axis] for axis in adapter.output_axes)))
    kept = "".join(letter for letter in x_letters if letter not in inputs) + new
    low = _scaled(g, g.Einsum(x, a, equation=f"{x_letters},{inputs}{new}->{kept}"), adapter)
    change = g.Einsum(low, b, equation=f"{kept},{new}{outputs}->{result}")
    y = g.Add(g.Einsum(x, view.weight, **node.attributes), change)
    if adapter.magnitude is None:
        return y
    factors = g.reshape(column_factors(g, adapter), tuple(sizes[axis] for axis in adapter.output_axes))
    return g.Einsum(y, factors, equation=f"{result},{outputs}->{result}")
