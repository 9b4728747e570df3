"""The sizes of tensors in batches whose sizes are known."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from ...core.numpy_types import numpy_dtype
from ...core.types import TensorType, evaluate_size


def expected_bytes(type: TensorType, sizes: Mapping[str, int]) -> int:
    """The bytes of a tensor in a batch whose symbols have these sizes; 0 if its size does not follow from them."""
    try:
        return prod(evaluate_size(size, sizes) for size in type.shape) * numpy_dtype(type.dtype).itemsize
    except ValueError:
        return 0
