"""Attention masks: which query positions may attend to which key positions, as ones and zeros."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

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


class Band(NamedTuple):
    """The keys that a query sees by its position: no later ones if `causal`, none at the distance `window` or
    farther."""

    causal: bool
    window: int | None

    def mask(self, g: Builder, queries: Value, keys: Value) -> Value:
        """Emits a mask [queries, keys] for positions [queries, 1] and [1, keys]: 1 where a query sees a key."""
        lag = g.Sub(queries, keys)
        in_window = g.Less(g.Abs(lag), self.window) if self.window is not None else None
        not_later = g.GreaterOrEqual(lag, 0) if self.causal else None
        conditions = [condition for condition in (in_window, not_later) if condition is not None]
        return mask_as_float(g, reduce(g.And, conditions))


def band_mask(g: Builder, query: Value, key: Value, axis: int, band: Band) -> Value | None:
    """Emits the mask [query time, key time] of a band; None if a query sees all keys."""
    if not band.causal and band.window is None:
        return None
    queries = position_indices(g, query, axis, (-1, 1))
    return band.mask(g, queries, position_indices(g, key, axis, (1, -1)))


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
