"""Convolutions of sequences as those of images one row high, for a session that has blocks for images (`blocked`).

A value [batch, channels, steps] gets a twin [batch, channels, 1, steps], and what is computed of it between two
convolutions is computed of its twin. Neither costs anything: the numbers lie in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ....core.types import Dim
from ....ir import Builder, Constant, GradientOf, Graph, Node, Value
from ....passes.canonicalize import tidy

ROW = 2
"""The axis that is put in."""
SPATIAL = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "output_shape": 1}
"""Attributes with a number for each spatial axis, and what they are along the row."""
TURNED = {(0, 2, 1): (1, [0, 3, 1, 2]), (2, 1, 0): (0, [3, 2, 0, 1])}
"""Permutations that give values of rank 3 as layers emit them, steps before channels: where the row's axis comes in
before them, and which permutation gives the twin then."""


def raised(graph: Graph) -> Graph:
    """The graph with these convolutions and what stands between them."""
    if not any(_is_sequential(node) for node in graph.nodes):
        return graph
    twins = _Twins(graph)
    new = twins.new
    # What a gradient is made of has to be there before its twin, which may come sooner than the gradient.
    early = {told.dy for told in graph.gradients.values() if told.op == "MaxPool" and told.dy.rank == 3}
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        form = None if node.domain or len(node.outputs) != 1 else FORMS.get(node.op)
        with twins.g.origin(node):
            result = None if form is None else form(twins, node)
            if result is None:
                twins.g.nodes.append(node)
            told = graph.gradients.get(node.outputs[0])
            if told is not None and told.op in GRADIENTS and told.x.rank == 3:
                result = GRADIENTS[told.op](twins, result or node.outputs[0], told.instead(new))
        if result is not None:
            new[node.outputs[0]] = result
        for y in node.outputs:
            if y in early:
                twins.of(new.get(y, y))
    return tidy(replace(graph, gradients=twins.g.gradients).rewired(twins.g.nodes, new))


def _is_sequential(node: Node) -> bool:
    return node.op in ("Conv", "ConvTranspose") and node.inputs[0] is not None and node.inputs[0].rank == 3


class _Twins:
    """The nodes made so far, and which of their values of rank 3 have a twin."""

    def __init__(self, graph: Graph) -> None:
        self.g = Builder.onto(graph)
        self.g.nodes = []
        self.new: dict[Value, Value] = {}
        """What has come in the place of a value of the graph."""
        self._twins: dict[Value, Value] = {}
        self._producers = graph.producers

    def __contains__(self, x: Value | None) -> bool:
        return x in self._twins

    def of(self, x: Value) -> Value:
        """The twin of a value, which is made where there is none."""
        if x not in self._twins:
            node = self._producers.get(x)
            source = node.inputs[0] if node is not None and node.op == "Transpose" else None
            turned = TURNED.get(tuple(node.attribute("perm"))) if node is not None and source is not None else None
            if turned is None or source is None:
                self._twins[x] = self.put_in(x, ROW)
            else:
                axis, perm = turned
                self._twins[x] = self.g.Transpose(self.put_in(self.new.get(source, source), axis), perm=perm)
        return self._twins[x]

    def operand(self, x: Value) -> Value:
        """What stands beside a twin for a value that is repeated to its shape."""
        return self.of(x) if x.rank == 3 else self.put_in(x, 1) if x.rank == 2 else x

    def put_in(self, x: Value, axis: int) -> Value:
        return self.g.refine(self.g.Unsqueeze(x, [axis]), (*x.shape[:axis], 1, *x.shape[axis:]))

    def with_twin(self, twin: Value, shape: tuple[Dim, ...]) -> Value:
        """The value of this shape, of rank 3, of a twin."""
        result = self.g.refine(self.g.Squeeze(twin, [ROW]), shape)
        self._twins[result] = self.g.refine(twin, (*shape[:ROW], 1, *shape[ROW:]))
        return result


def _window(t: _Twins, node: Node) -> Value | None:
    """What has a moving window: along the row it is one wide."""
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.rank != 3 or (x not in t and not _is_sequential(node)):
        return None
    operands = [t.of(x) if x is not None and x.rank == 3 else x for x in node.inputs]
    twin = t.g.emit(node.op, *operands, **{**node.attributes, **_along_row(node.attributes)})
    return t.with_twin(twin, y.shape)


def _weights(t: _Twins, gradient: Value, told: GradientOf) -> Value:
    """The gradient of a convolution's weights [filters, channels, taps], whose twin tells what it is."""
    told = _twin_of(t, told)  # before what it tells of: as nodes come
    twin = t.put_in(gradient, ROW)
    t.g.gradients[twin] = told
    return t.with_twin(twin, gradient.shape)


def _pooled(t: _Twins, gradient: Value, told: GradientOf) -> Value:
    """The gradient of a max pooling, where what was pooled has a twin."""
    if told.x not in t:
        return gradient
    told = _twin_of(t, told)
    twin = t.of(gradient)
    t.g.gradients[twin] = told
    return t.with_twin(twin, gradient.shape)


def _twin_of(t: _Twins, told: GradientOf) -> GradientOf:
    attributes = {**told.attributes, **_along_row(told.attributes)}
    return GradientOf(told.op, t.of(told.x), t.of(told.dy), attributes)


def _along_row(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that have a number for each spatial axis, or for both of its ends."""
    found = {name: [along, *attributes[name]] for name, along in SPATIAL.items() if attributes.get(name)}
    if pads := attributes.get("pads"):
        found["pads"] = [0, pads[0], 0, pads[1]]
    return found


def _elementwise(t: _Twins, node: Node) -> Value | None:
    y = node.outputs[0]
    if y.rank != 3 or not any(x in t and x is not None and x.shape == y.shape for x in node.inputs):
        return None
    twin = t.g.emit(node.op, *(None if x is None else t.operand(x) for x in node.inputs), **node.attributes)
    return t.with_twin(twin, y.shape)


def _reduction(t: _Twins, node: Node) -> Value | None:
    x, axes, y = node.inputs[0], node.input(1), node.outputs[0]
    if x not in t or x is None or not isinstance(axes, Constant):
        return None
    places = sorted({ROW, *(_moved(axis) for axis in axes.array.tolist())})
    result = t.g.emit(node.op, t.of(x), places, **node.attributes)
    return t.g.refine(t.g.Squeeze(result, [ROW]) if node.attribute("keepdims", 1) else result, y.shape)


def _moved(axis: int) -> int:
    """Where an axis is in the twin."""
    axis %= 3
    return axis + (axis >= ROW)


def _steps_before_channels(t: _Twins, node: Node) -> Value | None:
    x, y = node.inputs[0], node.outputs[0]
    if x not in t or x is None or list(node.attribute("perm")) != [0, 2, 1]:
        return None
    return t.g.refine(t.g.Squeeze(t.g.Transpose(t.of(x), perm=[0, 2, 3, 1]), [1]), y.shape)


def _frame(t: _Twins, node: Node) -> Value | None:
    """What is cut from the ends of sequences, or put around them."""
    (x, *places), y = node.inputs, node.outputs[0]
    if x not in t or x is None or not all(isinstance(p, Constant) or p is None for p in places):
        return None
    given: list[Any] = [p.array if isinstance(p, Constant) else None for p in places]
    if node.op == "Pad" and len(places) < 3:
        before, after = given[0].tolist()[:3], given[0].tolist()[3:]
        given[0] = [end for ends in (before, after) for end in (*ends[:ROW], 0, *ends[ROW:])]
    elif node.op == "Slice" and len(places) >= 3 and given[2] is not None:
        given[2] = [_moved(axis) for axis in given[2].tolist()]
    else:
        return None
    twin = t.g.emit(node.op, t.of(x), *given, **node.attributes)
    return t.with_twin(twin, y.shape)


def _enlargement(t: _Twins, node: Node) -> Value | None:
    """Every element several times."""
    x, scales = node.inputs[0], node.input(2)
    if x not in t or x is None or x.rank != 3 or not isinstance(scales, Constant) or len(node.inputs) > 3:
        return None
    twin = t.g.emit(node.op, t.of(x), None, np.insert(scales.array, ROW, 1), **node.attributes)
    return t.with_twin(twin, node.outputs[0].shape)


GRADIENTS: dict[str, Callable[[_Twins, Value, GradientOf], Value]] = {"Conv": _weights, "MaxPool": _pooled}

FORMS: dict[str, Callable[[_Twins, Node], Value | None]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool"), _window),
    **dict.fromkeys(("Add", "Div", "Exp", "HardSigmoid", "LeakyRelu", "Mul", "Neg", "Relu"), _elementwise),
    **dict.fromkeys(("Sigmoid", "Sub", "Tanh"), _elementwise),
    **dict.fromkeys(("ReduceMean", "ReduceSum"), _reduction),
    "Transpose": _steps_before_channels,
    "Pad": _frame,
    "Resize": _enlargement,
    "Slice": _frame,
}
