"""Counts of samples by class, as graphs: what the metrics of classifiers have in common."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from ...core.types import Dim, TensorType, require

if TYPE_CHECKING:
    from ...ir import Builder, Value

MAX_CLASSES = 1000
"""Maximum number of classes for counting pairs of classes."""


def accepts_class_indices(target: TensorType, output: TensorType) -> bool:
    """Whether the target has the index of a class where the output has a score for each class."""
    return target.dtype == "int64" and target.rank == output.rank - 1


def check_class_target(target: TensorType, output: TensorType) -> None:
    """Raises ShapeError unless the target is class indices or has a number for each number of the output."""
    is_alike = target.rank == output.rank and target.dtype == output.dtype
    message = f"needs class indices or {output} as the target, the loss takes {target}"
    require(is_alike or accepts_class_indices(target, output), message)


def one_hot_target(g: Builder, target: Value, output: Value) -> Value:
    """The target in the shape of the output: class indices become 1 for the class and 0 for the others."""
    if not accepts_class_indices(target.type, output.type):
        return target
    classes = g.positions(output.type.static_size(-1), "int64")
    return g.cast(g.Equal(g.Unsqueeze(target, [-1]), classes), output.dtype)


def class_indices(g: Builder, target: Value, output: Value, axis: int = -1) -> Value:
    """The index of the target's class, where the target may also have a number for each class along an axis."""
    return target if accepts_class_indices(target.type, output.type) else g.ArgMax(target, axis=axis, keepdims=0)


def trailing_ones(g: Builder, weights: Value, rank: int) -> Value:
    """The weights as float32, with further axes of size 1, so that they broadcast to values of a rank."""
    weights = g.cast(weights, "float32")
    return g.Unsqueeze(weights, list(range(weights.rank, rank))) if weights.rank < rank else weights


def weighted_counts(g: Builder, index: Value, shape: tuple[int, ...], weights: Value | None = None) -> Value:
    """The number of occurrences of each index of a tensor of this shape, or the sum of its weights.

    `index` counts the elements of the tensor in row-major order; numbers outside of it are not counted. `weights`
    broadcast to `index`.
    """
    size = prod(shape)
    is_valid = g.And(g.GreaterOrEqual(index, 0), g.Less(index, size))
    amounts = g.cast(is_valid, "float32")
    if weights is not None:
        amounts = g.Mul(amounts, trailing_ones(g, weights, index.rank))
    index = g.Where(is_valid, index, 0)
    zeros = g.filled(0.0, [size], "float32")
    flat_index, flat_amounts = (g.refine(g.Reshape(x, [-1]), (index.type.elements,)) for x in (index, amounts))
    counts = g.ScatterElements(zeros, flat_index, flat_amounts, axis=0, reduction="add")
    return g.Reshape(counts, list(shape))


def sums_by_class(g: Builder, values: Value, weights: Value | None) -> Value:
    """The sums of values [..., classes] over all axes but the last, as [1, classes]."""
    if weights is not None:
        values = g.Mul(values, trailing_ones(g, weights, values.rank))
    sums = g.ReduceSum(values, list(range(values.rank - 1)), keepdims=0)
    return g.Reshape(sums, [1, values.type.static_size(-1)])


def static_units(output: TensorType, rank: int | None = None) -> int:
    """The size of the last axis. Raises ShapeError unless it is static, and the rank is the given one."""
    require(rank is None or output.rank == rank, f"needs an output [batch, units], got {output}")
    size: Dim = output.shape[-1]
    require(
        output.rank > 1 and isinstance(size, int), f"needs an output whose last axis has a fixed size, got {output}"
    )
    return size if isinstance(size, int) else 0
