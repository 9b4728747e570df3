"""Masks that Keras 3 writes out as arguments of calls: whether they are those that go beside the inputs anyway.

A mask is known by how it is made, as a nested tuple: of which value by which comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from ...layers import Layer
from ...layers.merging import Merge

Key = tuple[Any, ...] | None


def mask_beside(brick: Layer, inputs: Sequence[Any]) -> Key:
    """How the mask beside a layer's first output is made; None where there is none, or where that is not known."""
    given: Any = brick
    if brick.type_name == "Masking":
        return some_differ(inputs[0].name, float(given.mask_value))
    if brick.type_name in ("Embedding", "ReversibleEmbedding"):
        return differ(inputs[0].name, 0.0) if given.mask_zero else None
    if isinstance(brick, Merge):
        masks = [value.mask for value in inputs]
        return None if None in masks or not masks else reduce(either, masks)
    if brick.type_name == "Concatenate":
        return concatenated(inputs)
    if brick.type_name in ("Attention", "AdditiveAttention"):
        return query_mask(given.arguments, inputs)
    inner = given.layer if brick.type_name == "Bidirectional" else given
    if not brick.supports_masking or getattr(inner, "return_sequences", True) is False or brick.type_name == "Softmax":
        return None
    mask: Key = inputs[-1].made or inputs[0].mask
    return mask


def concatenated(inputs: Sequence[Any]) -> Key:
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


def query_mask(arguments: Sequence[str] | None, inputs: Sequence[Any]) -> Key:
    mask: Key = inputs[(arguments or ("query",)).index("query")].mask
    return mask


def differ(name: str, value: float) -> Key:
    return ("not_equal", name, value)


def some_differ(name: str, value: float) -> Key:
    return ("any", differ(name, value))


def either(left: Key, right: Key) -> Key:
    return ("or", left, right)
