"""Numbers of categories as vectors: what Keras' preprocessing layers call `output_mode`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.types import TensorType, require

if TYPE_CHECKING:
    from ...ir import Builder, Value

NO_SPARSE = "Only false is supported: tensors of ONNX models are dense."


def encoded_type(x: TensorType, mode: str, depth: int) -> TensorType:
    """The type of numbers encoded as vectors of `depth`; ShapeError where there is no axis to count along."""
    if mode == "one_hot":
        kept = x.shape[:-1] if x.rank > 1 and x.shape[-1] == 1 else x.shape
        return TensorType("float32", (*kept, depth))
    help = 'give the input the shape [1], or use "one_hot"'
    require(x.rank > 1, f"counts along the axis after the batch's, which {x} does not have", help)
    return TensorType("float32", (x.shape[0], *x.shape[2:], depth))


def encode_categories(g: Builder, x: Value, mode: str, depth: int, weights: Value | None = None) -> Value:
    """Numbers of categories as vectors of `depth`; what is none of 0 to `depth - 1` leaves no trace.

    `one_hot` has a vector for every number, and takes the place of a last axis of size 1. `count` tells how often
    (or with what sum of weights) each number stands along axis 1, `multi_hot` whether it does.
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
    """1 where a number equals its place along a new last axis, else 0. A fraction equals none."""
    places = g.const(list(range(depth)), x.dtype)
    return g.cast(g.Equal(g.Unsqueeze(x, [-1]), places), g.float_dtype)


def count_categories(g: Builder, x: Value, depth: int) -> Value:
    """How often each number from 0 to `depth - 1` stands along the last axis.

    By adding at places, not by comparing with each of them: a vocabulary may have tens of thousands.
    """
    whole = g.cast(x, "int64")
    known: Any = g.And(g.GreaterOrEqual(whole, 0), g.Less(whole, depth))
    if x.dtype.startswith("float"):
        known = g.And(known, g.Equal(g.cast(whole, x.dtype), x))
    shape = (*x.shape[:-1], depth)
    zeros = g.refine(g.Expand(g.const(0.0), g.sizes(shape, x)), shape)
    return g.ScatterElements(zeros, g.Where(known, whole, 0), g.cast(known, g.float_dtype), axis=-1, reduction="add")
