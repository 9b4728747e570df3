"""Thresholds between equivalent formulas for the gradient of an operator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GradientTuning:
    """Limits that select the fastest formula for a runtime. All formulas compute the same gradients; the defaults
    select the general formula for every size."""

    max_batched_windows: int = 0
    """Conv weights: maximum number of windows per sample for one matrix product over the whole batch instead of one for
    each sample."""

    max_im2col_channels: int | None = None
    """Conv weights: maximum number of channels or of filters for copying windows into columns (im2col). For more, one
    convolution over the batch computes the gradient. None: always columns."""

    max_row_product_width: int = 0
    """Depthwise Conv weights: maximum image width for products of whole image rows in place of im2col."""

    convolves_volume_gradients: bool = False
    """Conv inputs of three spatial axes: whether a convolution with flipped kernels may replace ConvTranspose."""

    max_inputs_per_unit: float = 0.0
    """LSTM and RNN: maximum ratio of input features to units for multiplying state and inputs as one row..."""

    max_row_weights: int = 0
    """... and maximum size of the recurrent weights, in elements."""

    max_small_batch: int = 0
    """LSTM: maximum batch size for keeping the operator in the forward pass and recomputing the gates from its
    results."""

    max_unrolled_steps: int = 0
    """LSTM, GRU, RNN: maximum number of steps of an unrolled loop over time."""

    max_total_unrolled_steps: int = 0
    """LSTM, RNN: steps of all loops together that may be unrolled although they exceed `max_unrolled_steps`..."""

    min_unroll_weights: int = 0
    """... if the recurrent weights have at least this many elements..."""

    max_unroll_weights: int = 0
    """... and at most this many..."""

    min_unroll_batch: int = 0
    """... and the batch at least this many samples."""


GENERAL_FORMULAS = GradientTuning()
