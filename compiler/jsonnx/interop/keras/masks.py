"""Masks that Keras 3 writes out as arguments of calls: whether they are those that go beside the inputs anyway.

A mask is known by how it is made, as a nested tuple: of which value by which comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from ...layers import Layer
from ...layers.merging import Merge

MaskExpression = tuple[Any, ...] | None


def output_mask(layer: Layer, inputs: Sequence[Any]) -> MaskExpression:
    """How the mask beside a layer's first output is made; None where there is none, or where that is not known."""
    given: Any = layer
    if layer.type_name == "Masking":
        return any_not_equal(inputs[0].name, float(given.mask_value))
    if layer.type_name in ("Embedding", "ReversibleEmbedding"):
        return not_equal(inputs[0].name, 0.0) if given.mask_zero else None
    if isinstance(layer, Merge):
        masks = [value.mask for value in inputs]
        return None if None in masks or not masks else reduce(logical_or, masks)
    if layer.type_name == "Concatenate":
        return concatenated_mask(inputs)
    if layer.type_name in ("Attention", "AdditiveAttention"):
        return query_mask(given.arguments, inputs)
    inner = given.layer if layer.type_name == "Bidirectional" else given
    if not layer.supports_masking or getattr(inner, "return_sequences", True) is False or layer.type_name == "Softmax":
        return None
    mask: MaskExpression = inputs[-1].expression or inputs[0].mask
    return mask


def concatenated_mask(inputs: Sequence[Any]) -> MaskExpression:
    """The mask of values side by side, as Keras makes it: a value without one counts as a whole.

    Along which axis follows from the shapes: another would fit no value.
    """
    if all(value.mask is None for value in inputs):
        return None
    parts = [
        ("ones_like", value.name)
        if value.mask is None
        else ("or", ("expand_dims", value.mask), ("zeros_like", value.name))
        for value in inputs
    ]
    return ("any", ("concatenate", *parts))


def query_mask(arguments: Sequence[str] | None, inputs: Sequence[Any]) -> MaskExpression:
    mask: MaskExpression = inputs[(arguments or ("query",)).index("query")].mask
    return mask


def not_equal(name: str, value: float) -> MaskExpression:
    return ("not_equal", name, value)


def any_not_equal(name: str, value: float) -> MaskExpression:
    return ("any", not_equal(name, value))


def logical_or(left: MaskExpression, right: MaskExpression) -> MaskExpression:
    return ("or", left, right)
