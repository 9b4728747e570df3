"""Checks that nodes compute with any number of samples, also where a file has the numbers of its own shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import onnx

from ..core.types import BATCH, Dim, ShapeError, Size, shape_text
from ..ir import Value
from .tensors import attributes_of
from .unreadable_graph import node_text

EXPORT_HELP = (
    "export the model with a batch axis that is dynamic: torch.onnx.export with `dynamic_axes`, or with "
    "`dynamic_shapes` where dynamo=True"
)
_ELEMENTWISE = (
    *("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod"),
    *("Mul", "Or", "Pow", "PRelu", "Sub", "Sum", "Where", "Xor"),
)
_REDUCTIONS = ("Reduce", "Arg", "DynamicQuantizeLinear")
"""Starts of the names of operators whose results may be numbers of all samples together."""


def require_any_batch(
    node: onnx.NodeProto, operands: Sequence[Value | None], results: Sequence[Value | None], fixed_batch: int | None
) -> None:
    """Raises ShapeError for a node that computes with one number of samples alone, or that mixes the samples of a file
    which fixes their number."""
    values = [value for value in operands if value is not None]
    if not any(map(counts_samples, (size for value in values for size in value.shape))):
        return
    for a, b in _equal_sizes(node, values):
        if a != b and 1 not in (a, b) and _is_known(a) and _is_known(b):
            raise _error(node, values, f"the sizes {a} and {b} are not equal")
    if fixed_batch is None:
        return
    if any(map(counts_samples, _summed_sizes(node, values))):
        raise _error(node, values, "it sums over the samples")
    if node.op_type.startswith(_REDUCTIONS):
        return
    for result in results:
        if result is not None and result.rank and all(isinstance(size, int) for size in result.shape):
            raise _error(node, values, f"its result {shape_text(result.shape)} has no axis with the samples")


def counts_samples(size: Dim) -> bool:
    """Whether a size depends on the number of samples and on nothing else."""
    return isinstance(size, Size) and all(symbol == str(BATCH) for symbol, _ in size.terms)


def has_merged_batch(shape: Sequence[Dim]) -> bool:
    """Whether an axis has the samples and others."""
    return any(counts_samples(size) and size != BATCH for size in shape)


def _is_known(size: Dim) -> bool:
    return isinstance(size, int) or counts_samples(size)


def _equal_sizes(node: onnx.NodeProto, values: Sequence[Value]) -> Iterator[tuple[Dim, Dim]]:
    """Pairs of sizes of operands that are equal unless one of them is repeated."""
    if node.op_type in ("MatMul", "Gemm"):
        if len(values) > 1 and values[0].rank and values[1].rank:
            yield _summed_sizes(node, values)  # type: ignore[misc]
            yield from zip(values[0].shape[-3::-1], values[1].shape[-3::-1], strict=False)
    elif node.op_type in _ELEMENTWISE:
        for a, b in pairwise(values):
            yield from zip(a.shape[::-1], b.shape[::-1], strict=False)
    elif node.op_type == "Concat":
        axis = attributes_of(node)["axis"] % values[0].rank
        for a, b in pairwise(values):
            yield from (pair for i, pair in enumerate(zip(a.shape, b.shape, strict=False)) if i != axis)


def _summed_sizes(node: onnx.NodeProto, values: Sequence[Value]) -> tuple[Dim, ...]:
    """The sizes of the axes of both operands that a product sums over; none of another operator."""
    if node.op_type not in ("MatMul", "Gemm") or len(values) < 2 or not values[0].rank or not values[1].rank:
        return ()
    attributes = attributes_of(node)
    a, b = values[0].shape, values[1].shape
    first = a[0 if attributes.get("transA", 0) else -1]
    return first, b[-1 if attributes.get("transB", 0) or len(b) == 1 else -2]


def _error(node: onnx.NodeProto, values: Sequence[Value], reason: str) -> ShapeError:
    shapes = " and ".join(f"{shape_text(value.shape)}" for value in values)
    message = f"cannot compute {node_text(node.op_type, node.name)} for any number of samples: of {shapes}, {reason}"
    return ShapeError(message, EXPORT_HELP)
