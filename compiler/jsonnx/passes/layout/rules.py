"""What sinks a transpose through an operator, one function a kind of operators.

A rule gets the walk and a node. It answers True where it has emitted the node over physical values, False where the
node has to be kept, over logical ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ...core.types import TensorType
from ...ir import Constant, Node, Value
from .permutation import View, drop_axes, inverse, is_identity, permute
from .propagate import Rule, TransposePropagation, int64_constant


def transpose(ctx: TransposePropagation, node: Node) -> bool:
    (x,) = node.inputs
    assert x is not None
    view = ctx.view(x)
    perm = tuple(node.attribute("perm") or range(x.rank)[::-1])
    ctx.views[node.outputs[0]] = View(view.physical, permute(view.perm, perm))
    return True


def elementwise(ctx: TransposePropagation, node: Node) -> bool:
    layout = ctx.best_layout(node)
    if layout is None:
        return False
    return ctx.emit_physical(
        node, [ctx.operand_in_layout(x, layout) for x in node.inputs], [layout] * len(node.outputs)
    )


def concat(ctx: TransposePropagation, node: Node) -> bool:
    layout = ctx.best_layout(node)
    if layout is None:
        return False
    return ctx.emit_physical(
        node, [ctx.operand_in_layout(x, layout) for x in node.inputs], [layout], axis=layout[node.attribute("axis")]
    )


def along_axis(default: int) -> Callable[[TransposePropagation, Node], bool]:
    """For an operator along one axis, which is an attribute."""

    def rule(s: TransposePropagation, node: Node) -> bool:
        view = s.sinkable_view(node)
        if view is None:
            return False
        axis = view.perm[node.attribute("axis", default)]
        return s.emit_physical(
            node, [view.physical, *other_operands(s, node)], [view.perm] * len(node.outputs), axis=axis
        )

    return rule


def reduction(ctx: TransposePropagation, node: Node) -> bool:
    x = node.inputs[0]
    assert x is not None
    view, axes = ctx.view(x), constant_ints(node, 1)
    given = node.input(1) is not None
    if is_identity(view.perm) or (given and not axes) or node.attribute("noop_with_empty_axes", 0):
        return False
    gone = [axis % x.rank for axis in axes or range(x.rank)]
    perm = view.perm if node.attribute("keepdims", 1) else drop_axes(view.perm, gone)
    return ctx.emit_physical(
        node, [view.physical, *([int64_constant(sorted(permute(view.perm, tuple(gone))))] if given else [])], [perm]
    )


def arg_reduction(ctx: TransposePropagation, node: Node) -> bool:
    x = node.inputs[0]
    assert x is not None
    view, axis = ctx.view(x), node.attribute("axis", 0) % x.rank
    perm = view.perm if node.attribute("keepdims", 1) else drop_axes(view.perm, [axis])
    return not is_identity(view.perm) and ctx.emit_physical(node, [view.physical], [perm], axis=view.perm[axis])


def slice_(ctx: TransposePropagation, node: Node) -> bool:
    view, starts = ctx.sinkable_view(node), node.inputs[1]
    axes = constant_ints(node, 3)
    if axes is None and node.input(3) is None and starts is not None and starts.type.is_static():
        axes = list(range(starts.shape[0]))
    if view is None or axes is None:
        return False
    rest = other_operands(ctx, node)
    return ctx.emit_physical(
        node, [view.physical, *rest[:2], int64_constant(view.perm[axis] for axis in axes), *rest[3:]], [view.perm]
    )


def pad(ctx: TransposePropagation, node: Node) -> bool:
    view, pads = ctx.sinkable_view(node), constant_ints(node, 1)
    if view is None or pads is None or node.input(3) is not None:
        return False
    rank, back = len(view.perm), inverse(view.perm)
    moved = int64_constant([*permute(pads[:rank], back), *permute(pads[rank:], back)])
    return ctx.emit_physical(node, [view.physical, moved, *other_operands(ctx, node)[1:]], [view.perm])


def tile_or_expand(ctx: TransposePropagation, node: Node) -> bool:
    """Tile and Expand, by one number an axis."""
    view, sizes = ctx.sinkable_view(node), constant_ints(node, 1)
    if view is None or sizes is None or len(sizes) > len(view.perm):
        return False
    sizes = [1] * (len(view.perm) - len(sizes)) + sizes
    return ctx.emit_physical(node, [view.physical, int64_constant(permute(sizes, inverse(view.perm)))], [view.perm])


def squeeze(ctx: TransposePropagation, node: Node) -> bool:
    view, axes = ctx.sinkable_view(node), constant_ints(node, 1)
    if view is None or axes is None:
        return False
    gone = [axis % len(view.perm) for axis in axes]
    return ctx.emit_physical(
        node, [view.physical, int64_constant(sorted(view.perm[axis] for axis in gone))], [drop_axes(view.perm, gone)]
    )


def unsqueeze(ctx: TransposePropagation, node: Node) -> bool:
    """The new axes stand where they stand logically, the others around them in their physical order."""
    view, axes = ctx.sinkable_view(node), constant_ints(node, 1)
    if view is None or axes is None:
        return False
    rank = node.outputs[0].rank
    new = sorted(axis % rank for axis in axes)
    old = [axis for axis in range(rank) if axis not in new]
    perm = list(range(rank))
    for place, axis in zip(old, view.perm, strict=True):
        perm[place] = old[axis]
    return ctx.emit_physical(node, [view.physical, int64_constant(new)], [tuple(perm)])


def gather(ctx: TransposePropagation, node: Node) -> bool:
    """Of one index or a list of them."""
    view, indices = ctx.sinkable_view(node), node.inputs[1]
    if view is None or indices is None or indices.rank > 1:
        return False
    axis = node.attribute("axis", 0) % len(view.perm)
    perm = view.perm if indices.rank else drop_axes(view.perm, [axis])
    return ctx.emit_physical(node, [view.physical, ctx.logical(indices)], [perm], axis=view.perm[axis])


def shape(ctx: TransposePropagation, node: Node) -> bool:
    """Sizes are read off the physical value and put in order."""
    x = node.inputs[0]
    assert x is not None
    view = ctx.view(x)
    if is_identity(view.perm):
        return False
    wanted = view.perm[node.attribute("start", 0) : node.attribute("end")]
    first = wanted[0] if wanted else 0
    if wanted == tuple(range(first, first + len(wanted))):
        return ctx.emit_physical(node, [view.physical], [(0,)], start=first, end=first + len(wanted))
    sizes = Value(TensorType("int64", (x.rank,)))
    ctx.nodes.append(replace(node, inputs=(view.physical,), outputs=(sizes,), attributes={}))
    ctx.nodes.append(replace(node, op="Gather", inputs=(sizes, int64_constant(wanted)), attributes={"axis": 0}))
    return True


def other_operands(ctx: TransposePropagation, node: Node) -> list[Value | None]:
    """The operands after the first."""
    return [None if x is None else ctx.logical(x) for x in node.inputs[1:]]


def constant_ints(node: Node, index: int) -> list[int] | None:
    """A constant operand's numbers; None where it is left out or not constant."""
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
"""Any other operator gets logical values."""
