"""Operators that rearrange elements; their gradients apply the inverse."""

from __future__ import annotations

from math import prod

import numpy as np

from ...core.types import Dim, Size
from ...ir import Constant, tensor_proto
from ..registry import Builder, Node, Value, vjp
from .matmul import transpose_last_axes

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
"""Slice bounds beyond the ends of any axis."""

AxisLength = int | Value
"""The size of an axis: a number, or a vector of one element if the size is symbolic."""


def constant_operand(node: Node, index: int) -> list[int] | None:
    """The integers of an operand; None if it is omitted. Raises NotImplementedError if it is not constant."""
    value = node.input(index)
    if value is None:
        return None
    if not isinstance(value, Constant):
        raise NotImplementedError(f"if its operand {index} is not constant")
    return [int(number) for number in value.array.ravel()]


def reshape_like(g: Builder, dy: Value, x: Value) -> Value:
    """dy in the shape of x."""
    if dy.shape == x.shape:
        return dy
    symbolic = sum(isinstance(size, Size) for size in x.shape)
    return g.reshape(dy, x.shape) if symbolic <= 1 else g.refine(g.Reshape(dy, g.Shape(x)), x.shape)


@vjp("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(g: Builder, node: Node, dy: Value):
    """dx = dy, in the shape of x."""
    return [reshape_like(g, dy, node.inputs[0])]


@vjp("Transpose")
def transpose(g: Builder, node: Node, dy: Value):
    """y = transpose(x, perm), so dx = transpose(dy, inverse of perm)."""
    perm = node.attribute("perm") or list(range(dy.rank))[::-1]
    return g.Transpose(dy, perm=[perm.index(axis) for axis in range(dy.rank)])


@vjp("Expand")
def expand(g: Builder, node: Node, dy: Value):
    """dx = dy; the backward pass sums over the axes along which x was broadcast."""
    return dy, None


@vjp("Tile")
def tile(g: Builder, node: Node, dy: Value):
    """dx = the sum of dy over the repeats: each axis is split into repeats and elements."""
    x = node.inputs[0]
    repeats = constant_operand(node, 1) or []
    shape: list[Dim] = []
    sums: list[int] = []
    for size, repeat in zip(x.shape, repeats, strict=True):
        if repeat != 1:
            sums.append(len(shape))
            shape.append(repeat)
        shape.append(size)
    if not sums:
        return dy, None
    parts = g.refine(g.Reshape(dy, g.sizes(shape, x)), shape)
    return g.ReduceSum(parts, sums, keepdims=0), None


@vjp("Concat")
def concat(g: Builder, node: Node, dy: Value):
    """y = concat(a, b, ...), so da, db, ... = split(dy)."""
    if len(node.inputs) == 1:
        return dy
    axis = node.attribute("axis") % dy.rank
    sizes = g.sizes([x.shape[axis] for x in node.inputs], *node.inputs)
    parts = g.Split(dy, sizes, axis=axis, outputs=len(node.inputs))
    return [g.refine(part, x.shape) for part, x in zip(parts, node.inputs, strict=True)]


@vjp("Split")
def split(g: Builder, node: Node, *dys: Value | None):
    """dx = concat(dys)."""
    parts = [g.zeros(y) if dy is None else dy for dy, y in zip(dys, node.outputs, strict=True)]
    return [g.refine(g.Concat(*parts, axis=node.attribute("axis", 0)), node.inputs[0].shape)]


# -- slices and padding ---------------------------------------------------------------------------------------------


@vjp("Slice")
def slice_(g: Builder, node: Node, dy: Value):
    """y = x[start:end:step], so dx is dy with zeros between its elements (for |step| > 1), before and after them."""
    x = node.inputs[0]
    starts = constant_operand(node, 1) or []
    axes = constant_operand(node, 3) or list(range(len(starts)))
    steps = constant_operand(node, 4) or [1] * len(starts)
    before: dict[int, AxisLength] = {}
    after: dict[int, AxisLength] = {}
    for start, axis, step in zip(starts, axes, steps, strict=True):
        axis %= x.rank
        if step < 0:
            dy = g.refine(g.Slice(dy, [-1], [INT64_MIN], [axis], [-1]), dy.shape)
        dy = insert_zeros(g, dy, axis, abs(step))
        size, sliced = axis_length(g, x, axis), axis_length(g, dy, axis)
        before[axis] = first_sliced_index(g, start, size, sliced, step > 0)
        after[axis] = subtract(g, subtract(g, size, sliced), before[axis])
    return [pad_to_shape_of(g, dy, before, after, x)]


def insert_zeros(g: Builder, dy: Value, axis: int, step: int) -> Value:
    """Inserts step - 1 zeros between neighbours along an axis."""
    if step == 1:
        return dy
    zeros_after = [0] * (axis + 1) + [step - 1] + [0] * (dy.rank - axis - 1)
    columns = g.Pad(g.Unsqueeze(dy, [axis + 1]), [0] * (dy.rank + 1) + zeros_after)
    shape = [size * step if index == axis else size for index, size in enumerate(dy.shape)]
    spread = g.refine(g.Reshape(columns, g.sizes(shape, dy)), shape)
    shape[axis] = shape[axis] - (step - 1)
    return g.refine(g.Slice(spread, [0], [-(step - 1)], [axis]), shape)


def first_sliced_index(
    g: Builder, start: int, size: AxisLength, sliced_length: AxisLength, forward: bool
) -> AxisLength:
    """The lowest index of a slice; `sliced_length` is the distance from it to the highest, plus one."""
    from_end = start < 0
    if isinstance(size, int):
        low, high = (0, size) if forward else (-1, size - 1)
        index: AxisLength = min(max(start + size if from_end else start, low), high)
    elif from_end:
        index = g.Max(g.Add(size, max(start, -(2**31))), 0 if forward else -1)
    else:
        index = start if forward and start < 2**31 - 1 else g.Min(g.Sub(size, 1), start)
    return index if forward else subtract(g, index, subtract(g, sliced_length, 1))


def axis_length(g: Builder, x: Value, axis: int) -> AxisLength:
    size = x.shape[axis]
    return size if isinstance(size, int) else g.Shape(x, start=axis, end=axis + 1)


def subtract(g: Builder, a: AxisLength, b: AxisLength) -> AxisLength:
    if isinstance(a, int) and isinstance(b, int):
        return a - b
    return a if b == 0 else g.Sub(a, b)


def pad_to_shape_of(
    g: Builder, x: Value, before: dict[int, AxisLength], after: dict[int, AxisLength], like: Value
) -> Value:
    """Pads x with zeros, `before` and `after` it on each axis, to the shape of another value."""
    pads = [*(before.get(axis, 0) for axis in range(x.rank)), *(after.get(axis, 0) for axis in range(x.rank))]
    if all(isinstance(pad, int) for pad in pads):
        return x if not any(pads) else g.refine(g.Pad(x, pads), like.shape)
    parts = [g.const([pad], "int64") if isinstance(pad, int) else pad for pad in pads]
    return g.refine(g.Pad(x, g.Concat(*parts, axis=0)), like.shape)


@vjp("Pad")
def pad(g: Builder, node: Node, dy: Value):
    """dx = dy without the padding; elements that a negative pad removed get zeros."""
    x, mode = node.inputs[0], node.attribute("mode", "constant")
    axes = constant_operand(node, 3) or list(range(x.rank))
    pads = constant_operand(node, 1) or []
    before = {axis % x.rank: pad for axis, pad in zip(axes, pads[: len(axes)], strict=True)}
    after = {axis % x.rank: pad for axis, pad in zip(axes, pads[len(axes) :], strict=True)}
    if mode != "constant":
        return [fold_padding(g, dy, before, after, x, mode)]
    padded_axes = [axis for axis in before if before[axis] > 0 or after[axis] > 0]
    if padded_axes:
        ends = [-after[axis] if after[axis] > 0 else INT64_MAX for axis in padded_axes]
        dy = g.Slice(dy, [max(before[axis], 0) for axis in padded_axes], ends, padded_axes)
    if not any(pad < 0 for pad in pads):
        dy = g.refine(dy, x.shape)
    removed_before, removed_after = ({axis: max(-pad, 0) for axis, pad in side.items()} for side in (before, after))
    return [pad_to_shape_of(g, dy, removed_before, removed_after, x)]


def fold_padding(g: Builder, dy: Value, before: dict[int, int], after: dict[int, int], x: Value, mode: str) -> Value:
    """The gradient of a padding with elements of x: adds the cotangents of the padding to those of its elements.

    They are the reflected neighbours of the edge, the repeated edge itself, or for `wrap` those at the other end.
    """
    if min(*before.values(), *after.values()) < 0:
        raise NotImplementedError(f"in mode {mode} with negative pads")
    offset = 1 if mode == "reflect" else 0
    for axis in before:
        size = axis_length(g, x, axis)
        inner_end = -after[axis] if after[axis] else INT64_MAX
        shape = (*dy.shape[:axis], x.shape[axis], *dy.shape[axis + 1 :])
        total = g.refine(g.Slice(dy, [before[axis]], [inner_end], [axis]), shape)
        for is_end, pad in enumerate((before[axis], after[axis])):
            if pad:
                edge = g.Slice(dy, [-pad], [INT64_MAX], [axis]) if is_end else g.Slice(dy, [0], [pad], [axis])
                if mode == "reflect":
                    edge = g.Slice(edge, [-1], [INT64_MIN], [axis], [-1])
                elif mode == "edge":
                    edge = g.ReduceSum(edge, [axis], keepdims=1)
                rest = subtract(g, size, offset + (1 if mode == "edge" else pad))
                is_first = bool(is_end) == (mode == "wrap")
                begin, end = (offset, rest) if is_first else (rest, offset)
                total = g.Add(total, pad_to_shape_of(g, edge, {axis: begin}, {axis: end}, total))
        dy = total
    return dy


@vjp("Trilu")
def trilu(g: Builder, node: Node, dy: Value):
    """dx = the same triangle of dy."""
    return g.Trilu(dy, *node.inputs[1:], upper=node.attribute("upper", 1)), None


# -- images ----------------------------------------------------------------------------------------------------------


@vjp("SpaceToDepth")
def space_to_depth(g: Builder, node: Node, dy: Value):
    """dx = depth_to_space(dy)."""
    return g.DepthToSpace(dy, blocksize=node.attribute("blocksize"))


@vjp("DepthToSpace")
def depth_to_space(g: Builder, node: Node, dy: Value):
    """dx = space_to_depth(dy). That operator lacks the channel order CRD, for which a transposition replaces it."""
    size, x = node.attribute("blocksize"), node.inputs[0]
    if node.attribute("mode", "DCR") == "DCR":
        return g.SpaceToDepth(dy, blocksize=size)
    n, channels, height, width = x.shape
    parts = g.reshape(dy, (n, channels // size**2, height, size, width, size))
    return g.reshape(g.Transpose(parts, perm=[0, 1, 3, 5, 2, 4]), x.shape)


@vjp("Resize")
def resize(g: Builder, node: Node, dy: Value):
    """dx = the sum of dy over the copies of an element; for interpolation, the transposed linear map applied to dy."""
    x, factors = node.inputs[0], repeat_factors(node)
    if factors is None:
        return [resize_transpose(g, node, dy)]
    mean = g.AveragePool(dy, kernel_shape=factors, strides=factors)
    return [g.refine(g.Mul(mean, float(prod(factors))), x.shape)]


def resize_scales(node: Node) -> list[float | None]:
    """The factor by which a Resize enlarges each axis; None where it is unknown."""
    x, y, scales = node.inputs[0], node.outputs[0], node.input(2)
    assert x is not None
    if isinstance(scales, Constant) and scales.array.size:
        return [float(scale) for scale in scales.array]
    pairs = zip(y.shape, x.shape, strict=True)
    return [b / a if isinstance(a, int) and isinstance(b, int) else 1.0 if a == b else None for b, a in pairs]


def repeat_factors(node: Node) -> list[int] | None:
    """Number of repetitions of each spatial element by a Resize; None if it does more than repeat."""
    factors = resize_scales(node)
    mode = node.attribute("coordinate_transformation_mode", "half_pixel")
    rounding = node.attribute("nearest_mode", "round_prefer_floor")
    repeats = (mode == "half_pixel" and rounding.startswith("round")) or (mode == "asymmetric" and rounding == "floor")
    is_integral = factors[:2] == [1, 1] and all(factor and factor >= 1 and factor.is_integer() for factor in factors)
    if node.attribute("mode", "nearest") != "nearest" or not repeats or not is_integral or node.attribute("axes"):
        return None
    return [int(factor) for factor in factors[2:] if factor]


def resize_transpose(g: Builder, node: Node, dy: Value) -> Value:
    """The transpose of a Resize, a separable linear map: the matrix of each axis is a resized identity matrix."""
    x, scales, has_scales = node.inputs[0], resize_scales(node), isinstance(node.input(2), Constant)
    is_supported = node.attribute("coordinate_transformation_mode") != "tf_crop_and_resize" and not node.attribute(
        "axes"
    )
    is_stretched = node.attribute("keep_aspect_ratio_policy", "stretch") == "stretch"
    if (has_scales and None in scales) or not is_supported or not is_stretched:
        raise NotImplementedError("for a part of the tensor, or for some axes")
    one = tensor_proto(np.ones(1, x.dtype))
    for axis, scale in enumerate(scales):
        if scale != 1:
            n, m = x.shape[axis], dy.shape[axis]
            square = g.refine(g.ConstantOfShape(g.sizes((n, n), x), value=one), (n, n))
            extent = [None, g.const([1, scale], "float32")] if has_scales else [None, None, g.sizes((n, m), x)]
            matrix = g.Resize(g.EyeLike(square), *extent, **node.attributes)
            dy = contract_axis(g, dy, g.refine(matrix, (n, m)), axis)
    return g.refine(dy, x.shape)


def contract_axis(g: Builder, dy: Value, matrix: Value, axis: int) -> Value:
    """Multiplies the elements along an axis of dy by a matrix."""
    if axis == dy.rank - 2:
        return g.MatMul(matrix, dy)
    perm = list(range(dy.rank))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    return g.transpose(g.MatMul(g.transpose(dy, perm), transpose_last_axes(g, matrix)), perm)
