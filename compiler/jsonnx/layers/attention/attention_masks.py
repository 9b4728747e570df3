"""Masks of attention: which places may look at which, as ones and zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.types import Dim, TensorType, require, shape_text

if TYPE_CHECKING:
    from ...ir import Builder, Value


def check_mask(name: str, mask: TensorType, shape: tuple[Dim, ...]) -> None:
    """ShapeError where a mask does not broadcast to a shape."""
    fits = mask.rank == len(shape) and all(size in (1, whole) for size, whole in zip(mask.shape, shape, strict=True))
    help = "a size known only by name needs the same name in both"
    require(fits, f"needs a {name} of shape {shape_text(shape)}, got {mask}", help)


def mask_as_float(g: Builder, mask: Value) -> Value:
    """A mask as real numbers: 0 where it is false or 0, else 1."""
    return g.cast(g.cast(mask, "bool"), g.float_dtype)


def band_mask(g: Builder, query: Value, key: Value, axis: int, *, causal: bool, window: int | None) -> Value | None:
    """Of the sizes of two values along an axis: 1 where the place of the key is not too far away, or not too late."""
    if not causal and window is None:
        return None
    ahead = g.Sub(_position_indices(g, query, axis, (-1, 1)), _position_indices(g, key, axis, (1, -1)))
    near = g.Less(g.Abs(ahead), window) if window is not None else None
    before = g.GreaterOrEqual(ahead, 0) if causal else None
    both = g.And(near, before) if near is not None and before is not None else near if before is None else before
    return None if both is None else mask_as_float(g, both)


def _position_indices(g: Builder, x: Value, axis: int, shape: tuple[int, int]) -> Value:
    """0, 1, 2, ... along an axis, as a column or a row."""
    size = x.shape[axis]
    wanted = tuple(size if length == -1 else length for length in shape)
    if isinstance(size, int):  # Range's elements, where ONNX knows them, its strict inference takes for a shape's
        return g.const([[place] for place in range(size)] if shape[1] == 1 else [list(range(size))], "int64")
    count = g.Squeeze(g.Shape(x, start=axis, end=axis + 1), [0])
    return g.reshape(g.Range(g.const(0, "int64"), count, g.const(1, "int64")), wanted)


def mask_penalty(g: Builder, keep: Value, amount: float) -> Value:
    """0 where a mask is 1, and minus this amount where it is 0."""
    return g.Mul(g.Sub(keep, 1.0), amount)


def combine_masks(g: Builder, masks: list[Value], rank: int) -> Value:
    """The product of masks whose last two axes are those of scores of some rank, and whose first ones are its first."""
    result: Value | None = None
    for mask in masks:
        missing = rank - mask.rank if mask.rank > 2 else 0
        if missing:
            mask = g.Unsqueeze(mask, list(range(mask.rank - 2, mask.rank - 2 + missing)))
        result = mask if result is None else g.Mul(result, mask)
    assert result is not None
    return result
