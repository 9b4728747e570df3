"""Rounding to integers of 4 and 8 bits, as QuantizeLinear does it."""

from __future__ import annotations

import numpy as np

INTEGER_BOUNDS = {"uint8": (0, 255), "int8": (-128, 127)}
"""Least and largest value by element type."""


def quantization_parameters(low: float, high: float, dtype: str = "uint8") -> tuple[np.float32, int]:
    """The scale and the zero point of a range, widened to contain zero: in float32, as a graph computes them.

    Raises ValueError for a range that is not finite.
    """
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"the range from {low} to {high} is not finite")
    low, high = np.minimum(np.float32(low), np.float32(0)), np.maximum(np.float32(high), np.float32(0))
    least, largest = map(np.float32, INTEGER_BOUNDS[dtype])
    scale = (high - low) / (largest - least)
    if scale < np.finfo(np.float32).tiny:
        scale = np.float32(1)
    return scale, int(np.clip(np.round(least - low / scale), least, largest))


def weight_bound(bits: int) -> int:
    """The largest integer of a symmetric range."""
    largest: int = 2 ** (bits - 1) - 1
    return largest


def weight_scales(weight: np.ndarray, axis: int | None, bits: int) -> np.ndarray:
    """The scales of a weight that is rounded symmetrically: of each index of the axis, or a single one."""
    other_axes = None if axis is None else tuple(i for i in range(weight.ndim) if i != axis % weight.ndim)
    scales = np.abs(weight).max(axis=other_axes, initial=0.0) / np.float32(weight_bound(bits))
    return np.where(scales < np.finfo(np.float32).tiny, np.float32(1), scales)


def quantized_weight(weight: np.ndarray, scales: np.ndarray, axis: int | None, bits: int) -> np.ndarray:
    """The integers of a weight, as int8 also for fewer bits."""
    if axis is not None:
        scales = scales.reshape([-1 if i == axis % weight.ndim else 1 for i in range(weight.ndim)])
    bound = weight_bound(bits)
    return np.clip(np.round(weight / scales), -bound, bound).astype(np.int8)
