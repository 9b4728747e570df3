"""What sinks a transpose through an operator, one function a kind of operators.

A rule gets the walk and a node. It answers True where it has emitted the node over physical values, False where the
node has to be kept, over logical ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ...core.types import TensorType
from ...ir import Constant, Node, Value
from .permutation import View, inverse, is_identity, permuted, without
from .propagate import Rule, Sinking, ints


def transpose(s: Sinking, node: Node) -> bool:
    (x,) = node.inputs
    assert x is not None
    view = s.view(x)
    perm = tuple(node.attribute("perm") or range(x.rank)[::-1])
    s.views[node.outputs[0]] = View(view.physical, permuted(view.perm, perm))
    return True


def elementwise(s: Sinking, node: Node) -> bool:
    layout = s.layout(node)
    if layout is None:
        return False
    return s.emit(node, [s.arranged(x, layout) for x in node.inputs], [layout] * len(node.outputs))


def concat(s: Sinking, node: Node) -> bool:
    layout = s.layout(node)
    if layout is None:
        return False
    return s.emit(node, [s.arranged(x, layout) for x in node.inputs], [layout], axis=layout[node.attribute("axis")])


def along(default: int) -> Callable[[Sinking, Node], bool]:
    """For an operator along one axis, which is an attribute."""

    def rule(s: Sinking, node: Node) -> bool:
        view = s.sinkable(node)
        if view is None:
            return False
        axis = view.perm[node.attribute("axis", default)]
        return s.emit(node, [view.physical, *others(s, node)], [view.perm] * len(node.outputs), axis=axis)

    return rule


def reduction(s: Sinking, node: Node) -> bool:
    x = node.inputs[0]
    assert x is not None
    view, axes = s.view(x), numbers(node, 1)
    given = node.input(1) is not None
    if is_identity(view.perm) or (given and not axes) or node.attribute("noop_with_empty_axes", 0):
        return False
    gone = [axis % x.rank for axis in axes or range(x.rank)]
    perm = view.perm if node.attribute("keepdims", 1) else without(view.perm, gone)
    return s.emit(node, [view.physical, *([ints(sorted(permuted(view.perm, tuple(gone))))] if given else [])], [perm])


def arg_reduction(s: Sinking, node: Node) -> bool:
    x = node.inputs[0]
    assert x is not None
    view, axis = s.view(x), node.attribute("axis", 0) % x.rank
    perm = view.perm if node.attribute("keepdims", 1) else without(view.perm, [axis])
    return not is_identity(view.perm) and s.emit(node, [view.physical], [perm], axis=view.perm[axis])


def slice_(s: Sinking, node: Node) -> bool:
    view, starts = s.sinkable(node), node.inputs[1]
    axes = numbers(node, 3)
    if axes is None and node.input(3) is None and starts is not None and starts.type.is_fixed():
        axes = list(range(starts.shape[0]))
    if view is None or axes is None:
        return False
    rest = others(s, node)
    return s.emit(node, [view.physical, *rest[:2], ints(view.perm[axis] for axis in axes), *rest[3:]], [view.perm])


def pad(s: Sinking, node: Node) -> bool:
    view, pads = s.sinkable(node), numbers(node, 1)
    if view is None or pads is None or node.input(3) is not None:
        return False
    rank, back = len(view.perm), inverse(view.perm)
    moved = ints([*permuted(pads[:rank], back), *permuted(pads[rank:], back)])
    return s.emit(node, [view.physical, moved, *others(s, node)[1:]], [view.perm])


def repeat(s: Sinking, node: Node) -> bool:
    """Tile and Expand, by one number an axis."""
    view, sizes = s.sinkable(node), numbers(node, 1)
    if view is None or sizes is None or len(sizes) > len(view.perm):
        return False
    sizes = [1] * (len(view.perm) - len(sizes)) + sizes
    return s.emit(node, [view.physical, ints(permuted(sizes, inverse(view.perm)))], [view.perm])


def squeeze(s: Sinking, node: Node) -> bool:
    view, axes = s.sinkable(node), numbers(node, 1)
    if view is None or axes is None:
        return False
    gone = [axis % len(view.perm) for axis in axes]
    return s.emit(node, [view.physical, ints(sorted(view.perm[axis] for axis in gone))], [without(view.perm, gone)])


def unsqueeze(s: Sinking, node: Node) -> bool:
    """The new axes stand where they stand logically, the others around them in their physical order."""
    view, axes = s.sinkable(node), numbers(node, 1)
    if view is None or axes is None:
        return False
    rank = node.outputs[0].rank
    new = sorted(axis % rank for axis in axes)
    old = [axis for axis in range(rank) if axis not in new]
    perm = list(range(rank))
    for place, axis in zip(old, view.perm, strict=True):
        perm[place] = old[axis]
    return s.emit(node, [view.physical, ints(new)], [tuple(perm)])


def gather(s: Sinking, node: Node) -> bool:
    """Of one index or a list of them."""
    view, indices = s.sinkable(node), node.inputs[1]
    if view is None or indices is None or indices.rank > 1:
        return False
    axis = node.attribute("axis", 0) % len(view.perm)
    perm = view.perm if indices.rank else without(view.perm, [axis])
    return s.emit(node, [view.physical, s.logical(indices)], [perm], axis=view.perm[axis])


def shape(s: Sinking, node: Node) -> bool:
    """Sizes are read off the physical value and put in order."""
    x = node.inputs[0]
    assert x is not None
    view = s.view(x)
    if is_identity(view.perm):
        return False
    wanted = view.perm[node.attribute("start", 0) : node.attribute("end")]
    first = wanted[0] if wanted else 0
    if wanted == tuple(range(first, first + len(wanted))):
        return s.emit(node, [view.physical], [(0,)], start=first, end=first + len(wanted))
    sizes = Value(TensorType("int64", (x.rank,)))
    s.nodes.append(replace(node, inputs=(view.physical,), outputs=(sizes,), attributes={}))
    s.nodes.append(replace(node, op="Gather", inputs=(sizes, ints(wanted)), attributes={"axis": 0}))
    return True


def others(s: Sinking, node: Node) -> list[Value | None]:
    """The operands after the first."""
    return [None if x is None else s.logical(x) for x in node.inputs[1:]]


def numbers(node: Node, index: int) -> list[int] | None:
    """A constant operand's numbers; None where it is left out or not constant."""
    value = node.input(index)
    return [int(number) for number in value.array.ravel()] if isinstance(value, Constant) else None


UNARY = (
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid "
    "HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh "
    "Softplus Softsign Sqrt Tan Tanh ThresholdedRelu"
)

BROADCASTING = (
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Clip Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean "
    "Min Mod Mul Or PRelu Pow Sub Sum Where Xor"
)

REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"
)

RULES: dict[str, Rule] = {
    **dict.fromkeys([*UNARY.split(), *BROADCASTING.split()], elementwise),
    **dict.fromkeys(REDUCTIONS.split(), reduction),
    **dict.fromkeys(["ArgMax", "ArgMin"], arg_reduction),
    **dict.fromkeys(["Softmax", "LogSoftmax", "Hardmax", "TopK"], along(-1)),
    **dict.fromkeys(["Tile", "Expand"], repeat),
    "Split": along(0),
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
