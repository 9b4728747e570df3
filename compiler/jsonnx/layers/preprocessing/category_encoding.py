"""Encoding of category indices as vectors: the `output_mode` of Keras' preprocessing layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.types import TensorType, require

if TYPE_CHECKING:
    from ...ir import Builder, Value

NO_SPARSE = "Only false is supported: tensors in ONNX models are dense."


def encoded_type(x: TensorType, mode: str, depth: int) -> TensorType:
    """The type of indices encoded as vectors of size `depth`. Raises ShapeError if an axis is missing."""
    if mode == "one_hot":
        leading = x.shape[:-1] if x.rank > 1 and x.shape[-1] == 1 else x.shape
        return TensorType("float32", (*leading, depth))
    help = 'give the input the shape [1], or use "one_hot"'
    require(x.rank > 1, f"counts along the axis after the batch, which {x} does not have", help)
    return TensorType("float32", (x.shape[0], *x.shape[2:], depth))


def encode_categories(g: Builder, x: Value, mode: str, depth: int, weights: Value | None = None) -> Value:
    """Encodes category indices as vectors of size `depth`; indices outside of 0 to `depth - 1` are ignored.

    `one_hot` gives a vector per index, replacing a last axis of size 1. `count` counts the occurrences of each index
    along axis 1, or sums their weights; `multi_hot` is 1 for each index that occurs.
    """
    if mode == "one_hot":
        return one_hot(g, g.Squeeze(x, [-1]) if x.rank > 1 and x.shape[-1] == 1 else x, depth)
    order = [0, *range(2, x.rank), 1]
    x = g.transpose(x, order)
    if weights is not None:
        weights = g.Unsqueeze(g.transpose(weights, order), [-1])
        return g.ReduceSum(g.Mul(one_hot(g, x, depth), weights), [-2], keepdims=0)
    counts = count_categories(g, g.cast(x, "int64") if mode == "multi_hot" else x, depth)
    return g.Min(counts, 1.0) if mode == "multi_hot" else counts


def one_hot(g: Builder, x: Value, depth: int) -> Value:
    """Emits 1 where x equals the position along a new last axis, else 0. Non-integers give zeros."""
    positions = g.positions(depth, x.dtype)
    return g.cast(g.Equal(g.Unsqueeze(x, [-1]), positions), g.float_dtype)


def count_categories(g: Builder, x: Value, depth: int) -> Value:
    """Counts the occurrences of each index from 0 to `depth - 1` along the last axis.

    Uses a scatter, whose cost does not grow with depth as a comparison with every index would: vocabularies may be
    large.
    """
    index = g.cast(x, "int64")
    in_range: Any = g.And(g.GreaterOrEqual(index, 0), g.Less(index, depth))
    if x.dtype.startswith("float"):
        in_range = g.And(in_range, g.Equal(g.cast(index, x.dtype), x))
    shape = (*x.shape[:-1], depth)
    zeros = g.refine(g.Expand(g.const(0.0), g.sizes(shape, x)), shape)
    valid = g.Where(in_range, index, 0)
    return g.ScatterElements(zeros, valid, g.cast(in_range, g.float_dtype), axis=-1, reduction="add")
