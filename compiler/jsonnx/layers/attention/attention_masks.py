"""Attention masks: which query positions may attend to which key positions, as ones and zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.types import Dim, TensorType, require, shape_text
from ..axes import position_indices

if TYPE_CHECKING:
    from ...ir import Builder, Value


def check_mask(name: str, mask: TensorType, shape: tuple[Dim, ...]) -> None:
    """Raises ShapeError unless a mask broadcasts to a shape."""
    fits = mask.rank == len(shape) and all(size in (1, full) for size, full in zip(mask.shape, shape, strict=True))
    help = "symbolic sizes have to have the same name in both"
    require(fits, f"needs a {name} of shape {shape_text(shape)}, got {mask}", help)


def mask_as_float(g: Builder, mask: Value) -> Value:
    """Converts a mask to floating point: 0 where it is false or 0, else 1."""
    return g.cast(g.cast(mask, "bool"), g.float_dtype)


def band_mask(g: Builder, query: Value, key: Value, axis: int, *, causal: bool, window: int | None) -> Value | None:
    """Emits a mask [query time, key time]: 1 where the key is within the window and, if causal, not later."""
    if not causal and window is None:
        return None
    lag = g.Sub(position_indices(g, query, axis, (-1, 1)), position_indices(g, key, axis, (1, -1)))
    in_window = g.Less(g.Abs(lag), window) if window is not None else None
    not_later = g.GreaterOrEqual(lag, 0) if causal else None
    both = (
        g.And(in_window, not_later)
        if in_window is not None and not_later is not None
        else in_window
        if not_later is None
        else not_later
    )
    return None if both is None else mask_as_float(g, both)


def mask_penalty(g: Builder, keep: Value, amount: float) -> Value:
    """Emits 0 where a mask is 1, and -amount where it is 0."""
    return g.Mul(g.Sub(keep, 1.0), amount)


def combine_masks(g: Builder, masks: list[Value], rank: int) -> Value:
    """Multiplies masks whose last two axes are the scores' last two and whose other axes are the scores' first ones."""
    result: Value | None = None
    for mask in masks:
        missing = rank - mask.rank if mask.rank > 2 else 0
        if missing:
            mask = g.Unsqueeze(mask, list(range(mask.rank - 2, mask.rank - 2 + missing)))
        result = mask if result is None else g.Mul(result, mask)
    assert result is not None
    return result
