"""The shapes of tensors in requests."""

from __future__ import annotations

from math import prod
from typing import Any

from .errors import bad_request

MAX_RANK = 32
"""Axes of a tensor."""
MAX_SIZE = (1 << 63) - 1
MAX_EMPTY_ELEMENTS = 1 << 24
"""The maximum product of the other sizes of a tensor with an axis of size 0, which no values of the request bound."""


def checked_shape(shape: Any, tensor: str) -> tuple[int, ...]:
    """The shape as a tuple. Raises RequestError; `tensor` names the tensor in its message."""
    if not isinstance(shape, list) or any(type(size) is not int or not 0 <= size <= MAX_SIZE for size in shape):
        raise bad_request(f"{tensor} has the shape {shape!r}", "give a list of sizes, such as [1, 4]")
    if len(shape) > MAX_RANK:
        raise bad_request(f"the shape of {tensor} has {len(shape)} axes, the limit is {MAX_RANK}")
    if 0 in shape and prod(filter(None, shape)) > MAX_EMPTY_ELEMENTS:
        message = f"{tensor} has the shape {shape}, without values, but with sizes of more than {MAX_EMPTY_ELEMENTS:,}"
        raise bad_request(f"{message} together")
    return tuple(shape)
