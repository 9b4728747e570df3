"""The sizes of weights, and the check of their shapes when a layer declares them."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import TypeVar

from ..core.limits import MAX_WEIGHTS_BYTES, bytes_text
from ..core.numpy_types import numpy_dtype
from ..core.types import ShapeError, TensorType
from .graph import Parameter, State

Weight = TypeVar("Weight", Parameter, State)


def require_weight_size(name: str, type: TensorType) -> None:
    """Raises ShapeError if a weight alone exceeds the limit of a network, before ONNX infers types from its shape."""
    size = 4 * prod(size for size in type.shape if isinstance(size, int))
    if size > MAX_WEIGHTS_BYTES:
        message = f"has the weight {name!r} of shape {list(type.shape)}: {bytes_text(size)}"
        raise ShapeError(f"{message}, the limit is {bytes_text(MAX_WEIGHTS_BYTES)}", code="too-large")


def variable_bytes(types: Iterable[TensorType]) -> int:
    """The number of bytes of weights and states; those whose sizes depend on data do not count."""
    sizes = ((type.elements, numpy_dtype(type.dtype).itemsize) for type in types)
    return sum(elements * item_bytes for elements, item_bytes in sizes if isinstance(elements, int))


def require_same_shape(name: str, first_call: Weight, this_call: Weight) -> Weight:
    """The weight of a layer's first call; raises ShapeError if a later call needs another shape."""
    if first_call.shape != this_call.shape:
        shape, needed_shape = list(first_call.shape), list(this_call.shape)
        message = f"has the weight {name!r} of shape {shape} from its first call, and needs {needed_shape} here"
        raise ShapeError(message, code="shared-weights")
    return first_call
