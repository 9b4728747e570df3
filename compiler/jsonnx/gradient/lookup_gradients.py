"""The gradient of a table of which a step looks rows up: dense, with zeros in all other rows, or sparse."""

from __future__ import annotations

from math import prod

from ..core.reserved_names import gradient_indices_name, gradient_rows_name
from ..ir import Builder, GradientInfo, Value


def scatter_add_rows(g: Builder, x: Value, indices: Value, rows: Value) -> Value:
    """Zeros in the shape of x, with each row added at its index.

    Indices address single elements, because onnxruntime's ScatterElements is faster for rank 1 than for rank
    2.
    """
    row_elements = prod(x.shape[1:])
    first = g.Mul(g.Reshape(g.cast(indices, "int64"), [-1, 1]), row_elements)
    element_indices = g.Reshape(g.Add(first, list(range(row_elements))), [-1])
    zeros, elements = g.runtime_zeros(x, rows), g.Reshape(rows, [-1])
    sums = g.ScatterElements(zeros, element_indices, elements, axis=0, reduction="add")
    total = g.reshape(sums, x.shape)
    g.gradients[total] = GradientInfo("Gather", indices, rows, {})
    return total


def sparse_gradient(g: Builder, weight: str, info: GradientInfo) -> dict[str, Value]:
    """The results of a shard that stand for the gradient of a weight that one lookup reads: the indices [n], and a row
    for each of them."""
    indices = g.refine(g.Reshape(g.cast(info.x, "int64"), [-1]), (info.x.type.elements,))
    return {gradient_indices_name(weight): indices, gradient_rows_name(weight): info.dy}
