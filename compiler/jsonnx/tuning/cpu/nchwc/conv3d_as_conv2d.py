"""Volumes as images, one for each plane, for a session that has blocks for images (`blocked`) and none for volumes.

A value [batch, channels, depth, height, width] gets a twin [batch * depth, channels, height, width], and what is
computed of it between two convolutions is computed of its twin. A convolution's image has the planes that a window
sees as more channels; then its taps along the depth are more channels, too, and so it is with both of its gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from ....core.types import Dim
from ....ir import Builder, Constant, GradientOf, Graph, Node, Value, tensor_proto
from ....passes.canonicalize import tidy
from .context import fill

CHANNELS_FIRST = [0, 4, 1, 2, 3]
"""The permutation that makes a volume of one whose channels come last, as layers have it."""
CHANNELS_LAST = [0, 2, 3, 4, 1]
DEPTH_FIRST = [0, 2, 1, 3, 4]
"""Which exchanges channels and depth."""


def planes(graph: Graph, block: int) -> Graph:
    """The graph with these convolutions and what stands between them; `block` is the machine's number of channels."""
    if not any(node.op == "Conv" and _suits(node, block) for node in graph.nodes):
        return graph
    twins = _Twins(graph, block)
    new = twins.new
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        told = graph.gradients.get(node.outputs[0])
        with twins.g.origin(node):
            known = GRADIENTS.get(told.op) if told is not None else None
            result: Value | list[Value] | None = None
            if known is not None and told is not None:
                result = known(twins, told.instead(new), node.outputs[0])
            form = None if node.domain else FORMS.get(node.op)
            if result is None and form is not None:
                result = form(twins, node)
        if result is None:
            twins.g.nodes.append(node)
        else:
            new.update(zip(node.outputs, result if isinstance(result, list) else [result], strict=True))
    return tidy(replace(graph, gradients=twins.g.gradients).rewired(twins.g.nodes, new))


class Way(NamedTuple):
    """How windows stand along the depth, and how over an image."""

    size: int
    stride: int
    gap: int
    before: int
    image: dict[str, Any]

    @staticmethod
    def of(attributes: Any, sizes: Sequence[Dim]) -> Way | None:
        """From the attributes of an operator; None where only sizes tell where its windows are."""
        if (attributes.get("auto_pad") or "NOTSET") != "NOTSET" or attributes.get("ceil_mode"):
            return None
        size, stride, gap = (
            list(attributes.get(name) or default)
            for name, default in (("kernel_shape", sizes), ("strides", [1] * 3), ("dilations", [1] * 3))
        )
        pads = list(attributes.get("pads") or [0] * 6)
        image = {"strides": stride[1:], "dilations": gap[1:], "pads": [*pads[1:3], *pads[4:]]}
        return Way(size[0], stride[0], gap[0], pads[0], {"kernel_shape": size[1:], **image})

    def tiles(self, depth: Any, windows: Any) -> bool:
        """Whether windows touch along the depth, without overlap or gap, and none reaches beyond it."""
        touch = self.size == self.stride and self.gap == 1 and self.before == 0
        return touch and bool(self.size * windows <= depth)


def _suits(node: Node, block: int) -> bool:
    """Whether a convolution of volumes gains by blocks, forwards."""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if x is None or w is None or not _is_volume(x) or not _is_volume(y) or node.attribute("group", 1) > 1:
        return False
    return fill(block, w.shape[1] * w.shape[2], w.shape[0])


def _is_volume(x: Value) -> bool:
    return x.rank == 5 and x.dtype == "float32" and x.type.is_fixed(1, 2, 3, 4)


class _Twins:
    """The nodes made so far, and which of their volumes have a twin."""

    def __init__(self, graph: Graph, block: int) -> None:
        self.g = Builder.onto(graph)
        self.g.nodes, self.block = [], block
        self.new: dict[Value, Value] = {}
        """What has come in the place of a value of the graph."""
        self._twins: dict[Value, Value] = {}
        self._seen: dict[Any, Value] = {}
        self._producers = graph.producers

    def __contains__(self, x: Value | None) -> bool:
        return x in self._twins

    def of(self, x: Value) -> Value:
        """The twin of a volume, which is made where there is none."""
        if x not in self._twins:
            batch, channels, depth, *size = x.shape
            node = self._producers.get(x)
            if node is not None and node.op == "Transpose" and node.attribute("perm") == CHANNELS_FIRST:
                source = node.inputs[0]
                assert source is not None
                last = self.g.reshape(self.new.get(source, source), (batch * depth, *size, channels))
                self._twins[x] = self.g.Transpose(last, perm=[0, 3, 1, 2])
            else:
                turned = x if channels == 1 else self.g.Transpose(x, perm=DEPTH_FIRST)
                self._twins[x] = self.g.reshape(turned, (batch * depth, channels, *size))
        return self._twins[x]

    def with_twin(self, twin: Value, shape: tuple[Dim, ...]) -> Value:
        """The volume of this shape of a twin."""
        batch, channels, depth, *size = shape
        twin = self.g.refine(twin, (batch * depth, channels, *size))
        apart = self.g.reshape(twin, (batch, depth, channels, *size))
        result = self.g.Transpose(apart, perm=DEPTH_FIRST)
        self._twins[result] = twin
        return result

    def seen(self, x: Value, way: Way, windows: int, between: int = 1) -> Value:
        """[batch * windows, size * channels, height, width]: the planes that each window along the depth sees, were
        those of x so far from one another. Where it sees none there are zeros."""
        key = x, *way[:4], windows, between
        if key not in self._seen:
            g, (batch, channels, depth, *image) = self.g, x.shape
            place = np.arange(windows)[:, None] * way.stride + np.arange(way.size) * way.gap - way.before
            there = (place >= 0) & (place < depth * between) & (place % between == 0)
            plane = np.where(there, place // between, depth)
            rows = g.reshape(self.of(x), (batch, depth * channels, *image))
            if not there.all():
                rows = g.Pad(rows, [0, 0, 0, 0, 0, channels, 0, 0])
            numbers = (plane[..., None] * channels + np.arange(channels)).ravel()
            if not np.array_equal(numbers, np.arange(rows.shape[1])):
                rows = self.channels(rows, numbers)
            seen = g.reshape(rows, (batch * windows, way.size * channels, *image))
            if seen.shape[1] < self.block:  # too few for a block: both who read them want them last
                seen = g.Transpose(g.Transpose(seen, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2])
            self._seen[key] = seen
        return self._seen[key]

    def channels(self, x: Value, numbers: np.ndarray) -> Value:
        """Some channels of a twin, or of planes beside each other."""
        return self.g.Gather(x, self.g.const(numbers.ravel(), "int64"), axis=1)


def _convolution(t: _Twins, node: Node) -> Value | None:
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert x is not None
    assert w is not None
    way = Way.of(node.attributes, w.shape[2:]) if _suits(node, t.block) else None
    if way is None:
        return None
    filters, channels, deep, *size = w.shape
    weights = t.g.reshape(t.g.Transpose(w, perm=DEPTH_FIRST), (filters, deep * channels, *size))
    return t.with_twin(t.g.Conv(t.seen(x, way, y.shape[2]), weights, node.input(2), **way.image), y.shape)


def _operand_gradient(t: _Twins, node: Node) -> Value | None:
    """A transposed convolution of images; along the depth it is one of the cotangent with the taps turned round."""
    x, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    if x is None or w is None or not _is_volume(x) or node.attribute("group", 1) > 1 or node.input(2) is not None:
        return None
    way, rest = Way.of(node.attributes, w.shape[2:]), node.attribute("output_padding", [0] * 3)
    filters, channels, deep, *size = w.shape
    if way is None or not _is_volume(y) or not fill(t.block, filters * deep, channels):
        return None
    turned = t.g.Gather(t.g.Transpose(w, perm=[2, 0, 1, 3, 4]), np.arange(deep)[::-1].copy(), axis=0)
    weights = t.g.reshape(turned, (deep * filters, channels, *size))
    back = way._replace(stride=1, before=(deep - 1) * way.gap - way.before)
    given = {**way.image, **({"output_padding": rest[1:]} if any(rest) else {})}
    return t.with_twin(t.g.ConvTranspose(t.seen(x, back, y.shape[2], way.stride), weights, **given), y.shape)


def _weights_gradient(t: _Twins, told: GradientOf, weights: Value) -> Value | None:
    """The gradient of weights [filters, channels, deep, high, wide], whose image tells what it is."""
    x, dy = told.x, told.dy
    if not _is_volume(x) or not _is_volume(dy) or told.attributes["group"] > 1:
        return None
    way = Way.of(told.attributes, weights.shape[2:])
    filters, channels, deep, *size = weights.shape
    if way is None or not fill(t.block, channels * deep, filters):
        return None
    seen, dy = t.seen(x, way, dy.shape[2]), t.of(dy)
    met = _met(t.g, seen, dy, way)
    given = {name: way.image[name] for name in ("kernel_shape", "strides", "dilations", "pads")}
    t.g.gradients[met] = GradientOf("Conv", seen, dy, {"group": 1, "auto_pad": None, **given})
    apart = t.g.reshape(met, (filters, deep, channels, *size))
    return t.g.Transpose(apart, perm=DEPTH_FIRST)


def _met(g: Builder, x: Value, dy: Value, way: Way) -> Value:
    """The gradient of an image's weights as one convolution, as the rule has it for many channels."""
    size, strides, gaps, before = (
        *(way.image[name] for name in ("kernel_shape", "strides", "dilations")),
        way.image["pads"],
    )
    sides = zip(x.shape[2:], dy.shape[2:], size, strides, gaps, before, strict=False)
    after = [max(0, (k - 1) * gap + 1 + stride * (m - 1) - n - front) for n, m, k, stride, gap, front in sides]
    place = {"strides": [*gaps, 1], "dilations": [*strides, 1], "pads": [*before[:2], 0, *after, 0]}
    image = g.Unsqueeze(g.Transpose(x, perm=[0, 2, 3, 1]), [0])
    filters = g.Unsqueeze(g.Transpose(dy, perm=[1, 0, 2, 3]), [-1])
    met = g.Slice(g.Squeeze(g.Conv(image, filters, **place), [0]), [0, 0], size, [1, 2])
    return g.refine(g.Transpose(met, perm=[0, 3, 1, 2]), (dy.shape[1], x.shape[1], *size))


def _pool(t: _Twins, node: Node) -> Value | None:
    """The greatest of a window is that of its planes', each of which has one; so it is with means."""
    x, y = node.inputs[0], node.outputs[0]
    way = Way.of(node.attributes, ()) if x in t and len(node.outputs) == 1 else None
    if x is None or way is None or not way.tiles(x.shape[2], y.shape[2]):
        return None
    if node.op == "MaxPool":
        return t.with_twin(t.g.Max(*_by_planes(t, t.g.MaxPool(t.of(x), **way.image), x, y, way)), y.shape)
    given = {**way.image, "count_include_pad": node.attribute("count_include_pad", 0)}
    parts = _by_planes(t, t.g.AveragePool(t.of(x), **given), x, y, way)
    return t.with_twin(t.g.Mul(reduce(t.g.Add, parts), 1.0 / way.size), y.shape)


def _by_planes(t: _Twins, image: Value, x: Value, y: Value, way: Way) -> list[Value]:
    """What a pooling of all planes of x gave, for each plane of a window by itself, as twins of volumes like y."""
    pooled = t.with_twin(image, (*x.shape[:3], *y.shape[3:]))
    seen = t.seen(pooled, way, y.shape[2])
    return [t.channels(seen, part) for part in np.arange(seen.shape[1]).reshape(way.size, -1)]


def _pool_gradient(t: _Twins, told: GradientOf, plain: Value) -> Value | None:
    """What a window got goes to its first plane with its maximum, and there to the first element of an image."""
    x, dy, g = told.x, told.dy, t.g
    way = Way.of(told.attributes, ()) if x in t else None
    if way is None or not way.tiles(x.shape[2], dy.shape[2]) or x.shape[1] % t.block:
        return None
    parts, rest, shares = _by_planes(t, g.MaxPool(t.of(x), **way.image), x, dy, way), t.of(dy), []
    most = g.Max(*parts)
    for part in parts[:-1]:
        shares.append(g.Mul(rest, g.HardSigmoid(g.Sub(part, most), alpha=1e38, beta=1.0)))
        rest = g.Sub(rest, shares[-1])
    batch, channels, depth, *_ = x.shape
    got = g.Concat(*shares, rest, axis=1) if shares else rest
    rows = g.reshape(got, (batch, dy.shape[2] * way.size * channels, *dy.shape[3:]))
    if missing := depth - dy.shape[2] * way.size:
        rows = g.Pad(rows, [0, 0, 0, 0, 0, missing * channels, 0, 0])
    got = g.reshape(rows, (batch * depth, channels, *dy.shape[3:]))
    dx = _to_first(g, t.of(x), got, way.image)
    g.gradients[dx] = GradientOf("MaxPool", t.of(x), got, way.image)
    return t.with_twin(dx, plain.shape)


def _to_first(g: Builder, x: Value, dy: Value, window: dict[str, Any]) -> Value:
    """The gradient of a max pooling of images in the form that the rule has for any."""
    _, places = g.MaxPool(x, outputs=2, **window)
    nothing = g.ConstantOfShape(g.Reshape(g.Size(x), [1]), value=tensor_proto(np.zeros(1, x.dtype)))
    dx = g.ScatterElements(nothing, g.Reshape(places, [-1]), g.Reshape(dy, [-1]), axis=0, reduction="add")
    return g.refine(g.Reshape(dx, g.Shape(x)), x.shape)


def _elementwise(t: _Twins, node: Node) -> Value | None:
    y = node.outputs[0]
    if y.rank != 5 or not any(x in t and x is not None and x.shape == y.shape for x in node.inputs):
        return None
    operands = [_beside(t, x, y) for x in node.inputs if x is not None]
    if None in operands:
        return None
    return t.with_twin(t.g.emit(node.op, *operands, **node.attributes), y.shape)


def _beside(t: _Twins, x: Value, y: Value) -> Value | None:
    """An operand of the twin of y: a volume's, or what is one number, or one for each channel."""
    if x.shape == y.shape:
        return t.of(x)
    if x.type.elements == 1:
        return t.g.reshape(x, ())
    return t.g.reshape(x, (y.shape[1], 1, 1)) if (1, *x.shape)[-5:] == (1, y.shape[1], 1, 1, 1) else None


def _enlargement(t: _Twins, node: Node) -> Value | None:
    """Every element as a tile of equal ones: planes several times, and what is in them."""
    x, y, scales = node.inputs[0], node.outputs[0], node.input(2)
    plain = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if x not in t or x is None or node.attributes != plain:
        return None
    if not isinstance(scales, Constant) or scales.array.size != x.rank:
        return None
    times = scales.array[2]
    if list(scales.array[:2]) != [1, 1] or times != int(times):
        return None
    batch, channels, depth, *image = x.shape
    numbers = np.repeat(np.arange(depth), int(times))[:, None] * channels + np.arange(channels)
    rows = t.channels(t.g.reshape(t.of(x), (batch, depth * channels, *image)), numbers)
    several = t.g.reshape(rows, (batch * y.shape[2], channels, *image))
    return t.with_twin(t.g.Resize(several, None, np.delete(scales.array, 2), **plain), y.shape)


def _joined(t: _Twins, node: Node) -> Value | None:
    """Channels of several volumes behind one another."""
    y = node.outputs[0]
    if not any(x in t for x in node.inputs) or node.attribute("axis") not in (1, -4):
        return None
    return t.with_twin(t.g.Concat(*(t.of(x) for x in node.inputs if x is not None), axis=1), y.shape)


def _split(t: _Twins, node: Node) -> list[Value] | None:
    x, outputs = node.inputs[0], node.outputs
    if x not in t or x is None or node.attribute("axis", 0) not in (1, -4):
        return None
    ends = np.cumsum([y.shape[1] for y in outputs])
    parts = np.split(np.arange(x.shape[1]), ends[:-1])
    return [t.with_twin(t.channels(t.of(x), part), y.shape) for part, y in zip(parts, outputs, strict=True)]


def _shape(t: _Twins, node: Node) -> Value | None:
    """Of a volume only the number of samples is not known before, and its twin tells it."""
    x, ends = node.inputs[0], (node.attribute("start", 0), node.attribute("end", 5))
    if x not in t or x is None or ends[0] != 0 or not 0 < ends[1] <= 5:
        return None
    samples = t.g.Div(t.g.Shape(t.of(x), start=0, end=1), x.shape[2])
    return samples if ends[1] == 1 else t.g.Concat(samples, t.g.const(x.shape[1 : ends[1]], "int64"), axis=0)


def _reduction(t: _Twins, node: Node) -> Value | None:
    """Means and sums of each channel."""
    x, axes, y = node.inputs[0], node.input(1), node.outputs[0]
    if x not in t or x is None or not isinstance(axes, Constant) or sorted(axes.array % 5) != [0, 2, 3, 4]:
        return None
    return t.g.reshape(t.g.emit(node.op, t.of(x), [0, 2, 3], **node.attributes), y.shape)


def _channels_last(t: _Twins, node: Node) -> Value | None:
    x, y = node.inputs[0], node.outputs[0]
    if x not in t or x is None or node.attribute("perm") != CHANNELS_LAST:
        return None
    return t.g.reshape(t.g.Transpose(t.of(x), perm=[0, 2, 3, 1]), y.shape)


GRADIENTS: dict[str, Callable[[_Twins, GradientOf, Value], Value | None]] = {
    "Conv": _weights_gradient,
    "MaxPool": _pool_gradient,
}

FORMS: dict[str, Callable[[_Twins, Node], Value | list[Value] | None]] = {
    "Conv": _convolution,
    "ConvTranspose": _operand_gradient,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "Resize": _enlargement,
    "Concat": _joined,
    "Split": _split,
    "Shape": _shape,
    **dict.fromkeys(("Add", "Div", "Exp", "HardSigmoid", "LeakyRelu", "Mul", "Neg", "Relu"), _elementwise),
    **dict.fromkeys(("Sigmoid", "Sub", "Tanh"), _elementwise),
    **dict.fromkeys(("ReduceMean", "ReduceSum"), _reduction),
    "Transpose": _channels_last,
}
