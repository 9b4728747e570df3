"""Tensors with the mask that Keras attaches to them.

A Keras 3 file states some masks as call arguments, which is redundant if the same mask is attached to the input. Masks
are compared as expressions: nested tuples of operator names and tensor names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from ....layers import Layer
from ....layers.merging import Merge

MaskExpression = tuple[Any, ...] | None


@dataclass(frozen=True)
class NamedTensor:
    """A tensor by its name in the spec."""

    name: str
    mask: MaskExpression = None
    """The mask attached to the tensor; None if there is none, or if its expression is unknown."""
    expression: MaskExpression = None
    """The tensor's own expression, if it is a mask that is passed to a call."""


def output_mask(layer: Layer, inputs: Sequence[NamedTensor]) -> MaskExpression:
    """The mask attached to a layer's first output; None if there is none or its expression is unknown."""
    options: Any = layer
    if layer.type_name == "Masking":
        return any_not_equal(inputs[0].name, float(options.mask_value))
    if layer.type_name in ("Embedding", "ReversibleEmbedding"):
        return not_equal(inputs[0].name, 0.0) if options.mask_zero else None
    if isinstance(layer, Merge):
        masks = [tensor.mask for tensor in inputs]
        return None if None in masks or not masks else reduce(logical_or, masks)
    if layer.type_name == "Concatenate":
        return concatenated_mask(inputs)
    if layer.type_name in ("Attention", "AdditiveAttention"):
        return query_mask(options.arguments, inputs)
    inner = options.layer if layer.type_name == "Bidirectional" else options
    if not layer.supports_masking or getattr(inner, "return_sequences", True) is False or layer.type_name == "Softmax":
        return None
    return inputs[-1].expression or inputs[0].mask


def concatenated_mask(inputs: Sequence[NamedTensor]) -> MaskExpression:
    """The mask of concatenated tensors, as Keras builds it; a tensor without a mask counts as fully valid.

    The axis is not part of the expression: the shapes determine it.
    """
    if all(tensor.mask is None for tensor in inputs):
        return None
    parts = [
        ("ones_like", tensor.name)
        if tensor.mask is None
        else ("or", ("expand_dims", tensor.mask), ("zeros_like", tensor.name))
        for tensor in inputs
    ]
    return ("any", ("concatenate", *parts))


def query_mask(arguments: Sequence[str] | None, inputs: Sequence[NamedTensor]) -> MaskExpression:
    return inputs[(arguments or ("query",)).index("query")].mask


def not_equal(name: str, value: float) -> MaskExpression:
    return ("not_equal", name, value)


def any_not_equal(name: str, value: float) -> MaskExpression:
    return ("any", not_equal(name, value))


def logical_or(left: MaskExpression, right: MaskExpression) -> MaskExpression:
    return ("or", left, right)
