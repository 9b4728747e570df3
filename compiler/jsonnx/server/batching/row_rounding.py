"""How onnxruntime's CPU kernels round the results for a row: by the number of rows of a run, or by the row's place.

Measured with the wheels of onnxruntime for every layer and batch size up to 32, in sessions of one thread. All other
kernels compute each row in the same order of operations, wherever it lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import gcd, prod

import numpy as np

from ...core.numpy_types import numpy_dtype
from ...core.types import Dim
from ...ir import Constant, Node
from ...passes.training_steps.batch_separability import batch_axes

VECTOR_BYTES = 16
"""The vectors of Eigen in the wheels for x86 (SSE) and Arm (NEON)."""

VECTORIZED_OPS = {"Acos", "Asin", "Atan", "Celu", "Cos", "Elu", "Log", "Mish", "Selu", "Sin", "Softplus"}
"""Operators with one formula for whole vectors, and another one for the elements behind the last of them."""
SUMMING_OPS = {"ReduceMean", "ReduceSum"}
"""Operators that add the elements of a row from the first address on that is a multiple of VECTOR_BYTES."""
NORMALIZING_OPS = {"InstanceNormalization"}
"""Operators that do so along all axes behind the second one."""
UNORDERED_OPS = {"Einsum"}
"""Operators that choose the order of additions by the sizes of their operands."""
TWO_ROW_OPS = {"RNN"}
"""Operators with kernels of their own for one row."""


@dataclass
class RowRounding:
    """What a run must have so that a row's result is the same in every run."""

    min_rows: int = 1
    row_multiple: int = 1
    exceptions: list[Node] = field(default_factory=list)
    """The nodes whose results depend on the other rows in any case, in the last bits."""


def row_rounding(nodes: Iterable[Node]) -> RowRounding:
    """The rounding of a graph's nodes, including those of loops."""
    rounding = RowRounding()
    for node in _with_bodies(nodes):
        if not any(batch_axes(x) for x in node.inputs if x is not None):
            continue
        if node.op in UNORDERED_OPS:
            rounding.exceptions.append(node)
        elif node.op in TWO_ROW_OPS:
            rounding.min_rows = 2
        elif node.op in VECTORIZED_OPS and not _is_multiple(node.outputs[0].shape, _vector_elements(node)):
            rounding.row_multiple = max(rounding.row_multiple, _vector_elements(node))
        elif node.op in SUMMING_OPS or node.op in NORMALIZING_OPS:
            _add_sum(node, rounding)
    return rounding


def _with_bodies(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        for body in node.bodies.values():
            yield from _with_bodies(body.nodes)


def _vector_elements(node: Node) -> int:
    x = node.inputs[0]
    assert x is not None
    return VECTOR_BYTES // numpy_dtype(x.dtype).itemsize


def _add_sum(node: Node, rounding: RowRounding) -> None:
    """Adds the rounding of a sum. Axes of size 1 do not count for onnxruntime, and neighbouring axes are merged."""
    x, axes = node.inputs[0], _summed_axes(node)
    assert x is not None
    if np.issubdtype(numpy_dtype(x.dtype), np.integer) or not axes:
        return
    first, last = min(axes), max(axes)
    between = [x.shape[axis] for axis in range(first, last) if axis not in axes]
    if any(isinstance(size, int) and size > 1 for size in between):
        return  # a kernel that adds one element after another
    if all(size == 1 for size in x.shape[last + 1 :]):
        sample = x.shape[1:] if batch_axes(x) == [0] else x.shape[first:]
        vector = _vector_elements(node)
        if not _is_multiple(x.shape[first:], vector) and not _is_multiple(sample, vector):
            rounding.exceptions.append(node)
    elif all(size == 1 or not isinstance(size, int) for size in x.shape[:first]):
        rounding.min_rows = 2  # the sum over the first axis of a matrix has a kernel of its own


def _summed_axes(node: Node) -> set[int]:
    x, axes = node.inputs[0], node.input(1)
    assert x is not None
    if node.op in NORMALIZING_OPS:
        return set(range(2, x.rank))
    given = axes.array.tolist() if isinstance(axes, Constant) else node.attribute("axes", range(x.rank))
    return {axis % x.rank for axis in given}


def _is_multiple(shape: Iterable[Dim], divisor: int) -> bool:
    """Whether the number of elements is a multiple of the divisor for all values of symbols."""
    factors = (size if isinstance(size, int) else gcd(size.offset, *(f for _, f in size.terms)) for size in shape)
    return prod(factors) % divisor == 0
