"""The shapes of tensors in requests."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from .errors import bad_request

MAX_RANK = 32
"""Axes of a tensor."""
MAX_ELEMENTS = 1 << 48
"""Elements of a tensor, and the product of the sizes other than 0: NumPy refuses shapes beyond the address space."""


def checked_shape(shape: object, tensor: str) -> tuple[int, ...]:
    """A shape with sizes that an array can have. Raises RequestError; `tensor` names the tensor in its message."""
    if not isinstance(shape, Sequence) or any(type(size) is not int or size < 0 for size in shape):
        raise bad_request(f"{tensor} has the shape {shape!r}", "give a list of sizes, such as [1, 4]")
    if len(shape) > MAX_RANK:
        raise bad_request(f"the shape of {tensor} has {len(shape)} axes, the limit is {MAX_RANK}")
    if prod(size for size in shape if size) > MAX_ELEMENTS:
        raise bad_request(f"{tensor} has the shape {list(shape)}, beyond {MAX_ELEMENTS:,} elements")
    return tuple(shape)
