"""Rules that sink a transpose through an operator, one for each kind of operators.

A rule gets the walk and a node. It emits the node over physical values and returns True, or it returns False, and the
node is emitted over logical values. In the docstrings, p is the permutation of the operands' views.
"""

from __future__ import annotations

from dataclasses import replace

from ...core.types import TensorType
from ...ir import Constant, Node, Value
from .permutation import View, drop_axes, inverse, is_identity, permute
from .propagate import Rule, TransposePropagation, int64_constant


def transpose(ctx: TransposePropagation, node: Node) -> bool:
    """Transpose(Transpose(x, p), q) -> Transpose(x, p[q])"""
    (x,) = node.inputs
    assert x is not None
    view = ctx.view(x)
    perm = tuple(node.attribute("perm") or range(x.rank)[::-1])
    ctx.views[node.outputs[0]] = View(view.physical, permute(view.perm, perm))
    return True


def elementwise(ctx: TransposePropagation, node: Node) -> bool:
    """op(Transpose(x, p), y) -> Transpose(op(x, Transpose(y, inverse of p)), p)"""
    layout = ctx.best_layout(node)
    if layout is None:
        return False
    operands = [ctx.operand_in_layout(x, layout) for x in node.inputs]
    return ctx.emit_physical(node, operands, [layout] * len(node.outputs))


def concat(ctx: TransposePropagation, node: Node) -> bool:
    """Concat(Transpose(x, p), y, axis) -> Transpose(Concat(x, Transpose(y, inverse of p), p[axis]), p)"""
    layout = ctx.best_layout(node)
    if layout is None:
        return False
    operands = [ctx.operand_in_layout(x, layout) for x in node.inputs]
    return ctx.emit_physical(node, operands, [layout], axis=layout[node.attribute("axis")])


def along_axis(default: int) -> Rule:
    """op(Transpose(x, p), axis) -> Transpose(op(x, p[axis]), p), where the axis is an attribute with this default"""

    def rule(ctx: TransposePropagation, node: Node) -> bool:
        view = ctx.sinkable_view(node)
        if view is None:
            return False
        axis = view.perm[node.attribute("axis", default)]
        operands = [view.physical, *other_operands(ctx, node)]
        return ctx.emit_physical(node, operands, [view.perm] * len(node.outputs), axis=axis)

    return rule


def reduction(ctx: TransposePropagation, node: Node) -> bool:
    """Reduce(Transpose(x, p), axes) -> Transpose(Reduce(x, p[axes]), p without these axes, unless they are kept)"""
    x = node.inputs[0]
    assert x is not None
    view, axes = ctx.view(x), constant_ints(node, 1)
    has_axes = node.input(1) is not None
    if is_identity(view.perm) or (has_axes and not axes) or node.attribute("noop_with_empty_axes", 0):
        return False
    reduced_axes = tuple(axis % x.rank for axis in axes or range(x.rank))
    perm = view.perm if node.attribute("keepdims", 1) else drop_axes(view.perm, reduced_axes)
    operands = [view.physical, *([int64_constant(sorted(permute(view.perm, reduced_axes)))] if has_axes else [])]
    return ctx.emit_physical(node, operands, [perm])


def arg_reduction(ctx: TransposePropagation, node: Node) -> bool:
    """ArgMax(Transpose(x, p), axis) -> Transpose(ArgMax(x, p[axis]), p without the axis, unless it is kept)"""
    x = node.inputs[0]
    assert x is not None
    view, axis = ctx.view(x), node.attribute("axis", 0) % x.rank
    perm = view.perm if node.attribute("keepdims", 1) else drop_axes(view.perm, [axis])
    return not is_identity(view.perm) and ctx.emit_physical(node, [view.physical], [perm], axis=view.perm[axis])


def slice_(ctx: TransposePropagation, node: Node) -> bool:
    """Slice(Transpose(x, p), axes) -> Transpose(Slice(x, p[axes]), p)"""
    view, starts = ctx.sinkable_view(node), node.inputs[1]
    axes = constant_ints(node, 3)
    if axes is None and node.input(3) is None and starts is not None and starts.type.is_static():
        axes = list(range(starts.shape[0]))
    if view is None or axes is None:
        return False
    starts_and_ends, steps = other_operands(ctx, node)[:2], other_operands(ctx, node)[3:]
    physical_axes = int64_constant(view.perm[axis] for axis in axes)
    return ctx.emit_physical(node, [view.physical, *starts_and_ends, physical_axes, *steps], [view.perm])


def pad(ctx: TransposePropagation, node: Node) -> bool:
    """Pad(Transpose(x, p), pads of all axes) -> Transpose(Pad(x, permuted pads), p)"""
    view, pads = ctx.sinkable_view(node), constant_ints(node, 1)
    if view is None or pads is None or node.input(3) is not None:
        return False
    rank, to_physical = len(view.perm), inverse(view.perm)
    physical_pads = int64_constant([*permute(pads[:rank], to_physical), *permute(pads[rank:], to_physical)])
    return ctx.emit_physical(node, [view.physical, physical_pads, *other_operands(ctx, node)[1:]], [view.perm])


def tile_or_expand(ctx: TransposePropagation, node: Node) -> bool:
    """op(Transpose(x, p), sizes) -> Transpose(op(x, permuted sizes), p), where there is one size per axis"""
    view, sizes = ctx.sinkable_view(node), constant_ints(node, 1)
    if view is None or sizes is None or len(sizes) > len(view.perm):
        return False
    sizes = [1] * (len(view.perm) - len(sizes)) + sizes
    return ctx.emit_physical(node, [view.physical, int64_constant(permute(sizes, inverse(view.perm)))], [view.perm])


def squeeze(ctx: TransposePropagation, node: Node) -> bool:
    """Squeeze(Transpose(x, p), axes) -> Transpose(Squeeze(x, p[axes]), p without these axes)"""
    view, axes = ctx.sinkable_view(node), constant_ints(node, 1)
    if view is None or axes is None:
        return False
    squeezed_axes = [axis % len(view.perm) for axis in axes]
    physical_axes = int64_constant(sorted(view.perm[axis] for axis in squeezed_axes))
    return ctx.emit_physical(node, [view.physical, physical_axes], [drop_axes(view.perm, squeezed_axes)])


def unsqueeze(ctx: TransposePropagation, node: Node) -> bool:
    """Unsqueeze(Transpose(x, p), axes) -> Transpose(Unsqueeze(x, axes), p around these axes)"""
    view, axes = ctx.sinkable_view(node), constant_ints(node, 1)
    if view is None or axes is None:
        return False
    rank = node.outputs[0].rank
    inserted_axes = sorted(axis % rank for axis in axes)
    other_axes = [axis for axis in range(rank) if axis not in inserted_axes]
    perm = list(range(rank))
    for logical_axis, axis in zip(other_axes, view.perm, strict=True):
        perm[logical_axis] = other_axes[axis]
    return ctx.emit_physical(node, [view.physical, int64_constant(inserted_axes)], [tuple(perm)])


def gather(ctx: TransposePropagation, node: Node) -> bool:
    """Gather(Transpose(x, p), index or indices, axis) -> Transpose(Gather(x, index or indices, p[axis]), p)"""
    view, indices = ctx.sinkable_view(node), node.inputs[1]
    if view is None or indices is None or indices.rank > 1:
        return False
    axis = node.attribute("axis", 0) % len(view.perm)
    perm = view.perm if indices.rank else drop_axes(view.perm, [axis])
    return ctx.emit_physical(node, [view.physical, ctx.logical(indices)], [perm], axis=view.perm[axis])


def shape(ctx: TransposePropagation, node: Node) -> bool:
    """Shape(Transpose(x, p)) -> Gather(Shape(x), p), or Shape(x) if the selected axes are adjacent in x"""
    x = node.inputs[0]
    assert x is not None
    view = ctx.view(x)
    if is_identity(view.perm):
        return False
    physical_axes = view.perm[node.attribute("start", 0) : node.attribute("end")]
    start = physical_axes[0] if physical_axes else 0
    end = start + len(physical_axes)
    if physical_axes == tuple(range(start, end)):
        return ctx.emit_physical(node, [view.physical], [(0,)], start=start, end=end)
    sizes = Value(TensorType("int64", (x.rank,)))
    ctx.nodes.append(replace(node, inputs=(view.physical,), outputs=(sizes,), attributes={}))
    ctx.nodes.append(replace(node, op="Gather", inputs=(sizes, int64_constant(physical_axes)), attributes={"axis": 0}))
    return True


def other_operands(ctx: TransposePropagation, node: Node) -> list[Value | None]:
    """The logical operands after the first."""
    return [None if x is None else ctx.logical(x) for x in node.inputs[1:]]


def constant_ints(node: Node, index: int) -> list[int] | None:
    """The integers of a constant operand; None if it is absent or not constant."""
    value = node.input(index)
    return [int(number) for number in value.array.ravel()] if isinstance(value, Constant) else None


UNARY_OPS = (
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid "
    "HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh "
    "Softplus Softsign Sqrt Tan Tanh ThresholdedRelu"
)

BROADCASTING_OPS = (
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Clip Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean "
    "Min Mod Mul Or PRelu Pow Sub Sum Where Xor"
)

REDUCTION_OPS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"
)

RULES: dict[str, Rule] = {
    **dict.fromkeys([*UNARY_OPS.split(), *BROADCASTING_OPS.split()], elementwise),
    **dict.fromkeys(REDUCTION_OPS.split(), reduction),
    **dict.fromkeys(["ArgMax", "ArgMin"], arg_reduction),
    **dict.fromkeys(["Softmax", "LogSoftmax", "Hardmax", "TopK"], along_axis(-1)),
    **dict.fromkeys(["Tile", "Expand"], tile_or_expand),
    "Split": along_axis(0),
    "Concat": concat,
    "Gather": gather,
    "Pad": pad,
    "Shape": shape,
    "Slice": slice_,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
"""Operators without a rule use logical values."""
