"""Gather, scatter and sort.

An element that is read several times gets the sum of the cotangents. ScatterElements adds them: with duplicate indices,
onnxruntime's ScatterND has a data race (wrong sums on several threads), and a product with a one-hot matrix is slower.
"""

from __future__ import annotations

from math import prod

from ...ir import Constant
from ..lookup_gradients import scatter_add_rows
from ..registry import NOT_DIFFERENTIABLE, Builder, Node, Value, vjp
from .shape import pad_to_shape_of

NOT_DIFFERENTIABLE.update(("NonZero", "Unique"))
NOT_DIFFERENTIABLE.update(
    ("LabelEncoder", "RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "Tokenizer")
)


def scatter_add(g: Builder, x: Value, indices: Value, dy: Value, axis: int) -> Value:
    """Zeros in the shape of x, with each element of dy added at its index along an axis."""
    return g.refine(g.ScatterElements(g.zeros(x), indices, dy, axis=axis, reduction="add"), x.shape)


@vjp("Gather")
def gather(g: Builder, node: Node, dy: Value):
    """y = x[indices], so dx has dy added at the indices. Consecutive constant indices are a slice: dx is a padded
    dy."""
    x, indices = node.inputs
    axis = node.attribute("axis", 0) % x.rank
    rest = [1] * (x.rank - axis - 1)
    rows = dy
    if indices.rank != 1:
        shape = (*x.shape[:axis], indices.type.elements, *x.shape[axis + 1 :])
        rows = g.refine(g.Reshape(dy, g.sizes(shape, dy)), shape)
    size, run = x.shape[axis], consecutive_indices(indices)
    if run is not None and isinstance(size, int):
        first = run[0] % size
        return pad_to_shape_of(g, rows, {axis: first}, {axis: size - first - len(run)}, x), None
    if axis == 0 and rest and x.type.is_static(*range(1, x.rank)):
        return scatter_add_rows(g, x, indices, rows), None
    element_indices = g.Expand(g.Reshape(indices, [-1, *rest]), g.sizes(rows.shape, rows))
    return scatter_add(g, x, g.refine(element_indices, rows.shape), rows, axis), None


def consecutive_indices(indices: Value) -> list[int] | None:
    """The indices, if they are constant and each is one greater than the one before; else None."""
    if not isinstance(indices, Constant) or not indices.array.size:
        return None
    numbers = [int(index) for index in indices.array.ravel()]
    same_sign = (numbers[0] < 0) == (numbers[-1] < 0)
    return numbers if same_sign and numbers == list(range(numbers[0], numbers[0] + len(numbers))) else None


@vjp("GatherElements")
def gather_elements(g: Builder, node: Node, dy: Value):
    """dx has each element of dy added at its index."""
    x, indices = node.inputs
    return scatter_add(g, x, indices, dy, node.attribute("axis", 0)), None


@vjp("GatherND")
def gather_nd(g: Builder, node: Node, dy: Value):
    """dx has each slice of dy added at its index, an index tuple into the first axes that is flattened to one
    number."""
    x, indices = node.inputs
    depth = indices.shape[-1]
    if node.attribute("batch_dims", 0) or not x.type.is_static(*range(1, depth)):
        raise NotImplementedError("with batch axes, or along symbolic ones")
    strides = [prod(x.shape[axis + 1 : depth]) for axis in range(depth)]
    sizes = g.sizes(x.shape[:depth], x)
    flat = g.ReduceSum(g.Mul(g.Mod(indices, sizes), strides), [-1], keepdims=0)
    slices = x.shape[depth:]
    rows = g.Reshape(dy, g.sizes((-1, *slices), x))
    element_indices = g.Expand(g.Reshape(flat, [-1] + [1] * len(slices)), g.Shape(rows))
    zeros = g.Reshape(g.zeros(x), g.sizes((-1, *slices), x))
    sums = g.ScatterElements(zeros, element_indices, rows, axis=0, reduction="add")
    return g.refine(g.Reshape(sums, g.sizes(x.shape, x)), x.shape), None


@vjp("ScatterElements")
def scatter_elements(g: Builder, node: Node, dy: Value):
    """dx = dy, with zeros where updates overwrite x; dupdates is dy at the indices."""
    _, indices, updates = node.inputs
    axis, reduction = node.attribute("axis", 0), node.attribute("reduction", "none")
    require_supported_reduction(node, reduction)
    dx = dy if reduction == "add" else g.ScatterElements(dy, indices, g.zeros(updates), axis=axis)
    return dx, None, g.GatherElements(dy, indices, axis=axis)


@vjp("ScatterND")
def scatter_nd(g: Builder, node: Node, dy: Value):
    """dx = dy, with zeros where updates overwrite x; dupdates is dy at the indices."""
    _, indices, updates = node.inputs
    reduction = node.attribute("reduction", "none")
    require_supported_reduction(node, reduction)
    dx = dy if reduction == "add" else g.ScatterND(dy, indices, g.zeros(updates))
    return dx, None, g.refine(g.GatherND(dy, indices), updates.shape)


def require_supported_reduction(node: Node, reduction: str) -> None:
    if reduction not in ("none", "add"):
        raise NotImplementedError(f"with reduction {reduction}")


@vjp("TopK")
def top_k(g: Builder, node: Node, dy: Value | None, _: Value | None):
    """dx has dy added at the indices of the largest elements, which are distinct."""
    return None if dy is None else [scatter_add(g, node.inputs[0], node.outputs[1], dy, node.attribute("axis", -1))]


@vjp("CumSum")
def cum_sum(g: Builder, node: Node, dy: Value):
    """Each element is part of the sums after it, so dx is the cumulative sum of dy in the other direction."""
    reverse, exclusive = node.attribute("reverse", 0), node.attribute("exclusive", 0)
    return g.CumSum(dy, node.inputs[1], reverse=1 - reverse, exclusive=exclusive), None


@vjp("ReverseSequence")
def reverse_sequence(g: Builder, node: Node, dy: Value):
    """The reversal is its own inverse, so dx = reverse(dy)."""
    return g.emit("ReverseSequence", dy, node.inputs[1], **node.attributes), None
