"""Sizes at which the gradient of an operator changes from one formula to an equivalent one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GradientTuning:
    """Limits that select the fastest formula for a runtime. All formulas compute the same gradients; the defaults
    select the general formula for every size."""

    max_batched_windows: int = 0
    """Conv weights: windows per sample up to which the matrix product sums over the whole batch at once instead of
    sample by sample."""

    max_im2col_channels: int | None = None
    """Conv weights: number of channels or of filters up to which windows are copied into columns (im2col). Beyond it,
    one convolution over the batch computes the gradient. None: always columns."""

    max_row_product_width: int = 0
    """Depthwise Conv weights: image width up to which products of whole image rows replace im2col."""

    convolves_volume_gradients: bool = False
    """Conv inputs of three spatial axes: whether a convolution with flipped kernels may replace ConvTranspose."""

    max_inputs_per_unit: float = 0.0
    """LSTM and RNN: ratio of input features to units up to which a step multiplies state and inputs as one row."""

    max_small_batch: int = 0
    """LSTM: batch size up to which the operator stays in the forward pass and the gates are recomputed from its
    results."""

    max_unrolled_steps: int = 0
    """LSTM, GRU, RNN: number of steps up to which the loops over time are unrolled."""

    max_total_unrolled_steps: int = 0
    """LSTM, RNN: steps of all loops together that may be unrolled although they exceed `max_unrolled_steps`..."""

    min_unroll_weights: int = 0
    """... if the recurrent weights have at least this many elements..."""

    min_unroll_batch: int = 0
    """... and the batch at least this many samples."""


GENERAL_FORMULAS = GradientTuning()
