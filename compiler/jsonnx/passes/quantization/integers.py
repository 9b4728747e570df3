"""Rounding to integers of 4 and 8 bits, as QuantizeLinear does it."""

from __future__ import annotations

import numpy as np

INTEGER_BOUNDS = {"uint8": (0, 255), "int8": (-128, 127)}
"""Least and largest value by element type."""

MIN_SCALE = float(np.finfo(np.float32).tiny)
"""Minimum scale: the least normal number, since some processors take smaller ones for zero."""

MAX_BIAS = 2.0**30
"""Maximum integer of a bias: half of what 32 bits hold, so that the sum of products has the other half."""


def quantization_parameters(low: float, high: float, dtype: str = "uint8") -> tuple[np.float32, int]:
    """The scale and the zero point of a range, widened to contain zero: in float32, as a graph computes them.

    Raises ValueError for a range that is not finite or has its ends in the wrong order.
    """
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"[{low}, {high}] is not a finite range")
    low, high = np.minimum(np.float32(low), np.float32(0)), np.maximum(np.float32(high), np.float32(0))
    least, largest = map(np.float32, INTEGER_BOUNDS[dtype])
    with np.errstate(over="ignore"):
        scale = (high - low) / (largest - least)
    if not np.isfinite(scale):
        raise ValueError(f"[{low}, {high}] is too wide")
    if scale < MIN_SCALE:
        scale = np.float32(1)
    return scale, int(np.clip(np.round(least - low / scale), least, largest))


def weight_bound(bits: int) -> int:
    """The largest integer of a weight; the least one is its negative."""
    largest: int = 2 ** (bits - 1) - 1
    return largest


def weight_scales(weight: np.ndarray, axis: int | None, bits: int, block_size: int = 0) -> np.ndarray:
    """The scales of a weight that is rounded symmetrically: of each index of the axis, or a single one; of each block
    along the axis, if there are blocks."""
    if block_size:
        assert axis is not None
        starts = np.arange(0, weight.shape[axis], block_size)
        largest = np.maximum.reduceat(np.abs(weight), starts, axis)
    else:
        other_axes = None if axis is None else tuple(i for i in range(weight.ndim) if i != axis)
        largest = np.abs(weight).max(axis=other_axes, initial=0.0)
    scales = largest / np.float32(weight_bound(bits))
    safe: np.ndarray = np.where(scales < MIN_SCALE, np.float32(1), scales)
    return safe


def quantized_weight(
    weight: np.ndarray, scales: np.ndarray, axis: int | None, bits: int, block_size: int = 0
) -> np.ndarray:
    """The integers of a weight, as int8."""
    if block_size:
        assert axis is not None
        scales = np.repeat(scales, block_size, axis).take(range(weight.shape[axis]), axis)
    elif axis is not None:
        scales = scales.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
    bound = weight_bound(bits)
    integers: np.ndarray = np.clip(np.round(weight / scales), -bound, bound).astype(np.int8)
    return integers


def quantized_bias(bias: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The int32 integers of a bias."""
    return np.clip(np.round(bias / scales), -MAX_BIAS, MAX_BIAS).astype(np.int32)


def scales_for_bias(weight_scales: np.ndarray, x_scale: float, bias: np.ndarray) -> np.ndarray:
    """Scales of a weight, made so large that the bias does not exceed its integers."""
    least = np.abs(bias.astype(np.float64)) / (x_scale * MAX_BIAS)
    return np.maximum(weight_scales, (least if weight_scales.ndim else least.max(initial=0)).astype(np.float32))
