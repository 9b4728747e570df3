"""Decides which convolutions are faster in the NCHWc layout.

The cost model compares multiply-adds. The plain kernels also copy windows into columns, one image after the other,
which takes time per input channel (per output channel for ConvTranspose) whatever the other size is. The NCHWc kernels
compute padding channels too. docs/internals/tuning-log.md has the measurements.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ....ir import Value
from .context import NchwcContext

MAX_PADDED_WORK_RATIO = 1.75
"""Maximum ratio of multiply-adds with padding channels to multiply-adds without for which NCHWc kernels are always
faster."""
MIN_PARTIAL_BLOCK_MACS = 1 << 19
"""Minimum multiply-adds of a convolution with padding channels. In smaller ones the additional nodes cost more than
they save."""
NCHWC_MAC_COST = 1.4
"""Time of a multiply-add of an NCHWc kernel, in multiply-adds of a plain kernel."""
CONV_COST_PER_INPUT = 34
"""Time that a plain Conv takes for each input channel, tap and position besides its multiply-adds, in multiply-adds."""
CONV_TRANSPOSE_COST_PER_OUTPUT = 45
"""Cost of a plain ConvTranspose for each output channel, in the same unit. Only one thread does this work, so it counts
double."""
PADDING_CHANNEL_COST = 2
"""Time that later nodes take for a padding channel, in taps of an input channel."""


def is_well_filled(block_size: int, inputs: Any, outputs: Any) -> bool:
    """Whether padding is a small part of the multiply-adds of a convolution with this number of channels."""
    if not isinstance(inputs, int) or not isinstance(outputs, int) or outputs < block_size:
        return False
    padded_work = _padded_inputs(block_size, inputs) * _padded(block_size, outputs)
    return _is_input_layout(block_size, inputs) and padded_work <= MAX_PADDED_WORK_RATIO * inputs * outputs


def is_profitable(ctx: NchwcContext, w: Value, y: Value, *, transposed: bool = False) -> bool:
    """Whether the NCHWc kernel is faster for a Conv with weights w and result y, or for a ConvTranspose."""
    inputs, outputs = w.shape[:2] if transposed else w.shape[1::-1]
    taps, block_size = prod(w.shape[2:]), ctx.block_size
    if not isinstance(inputs, int) or not isinstance(outputs, int) or not _is_input_layout(block_size, inputs):
        return False
    if is_well_filled(block_size, inputs, outputs):
        return True
    if transposed:
        plain_cost = outputs * (CONV_TRANSPOSE_COST_PER_OUTPUT + inputs)
    else:
        plain_cost = inputs * (CONV_COST_PER_INPUT + outputs)
    nchwc_cost = NCHWC_MAC_COST * (_padded_inputs(block_size, inputs) * _padded(block_size, outputs))
    padding_channels = _padded(block_size, outputs) - outputs
    is_faster = nchwc_cost <= plain_cost and PADDING_CHANNEL_COST * padding_channels <= inputs * taps
    return taps > 1 and is_faster and not _has_few_macs(ctx, y, inputs * taps)


def _is_input_layout(block_size: int, inputs: int) -> bool:
    """Whether an NCHWc Conv takes images with this number of channels: less than a block, or a multiple of 4."""
    return inputs < block_size or inputs % 4 == 0


def _padded(block_size: int, channels: int) -> int:
    return -(-channels // block_size) * block_size


def _padded_inputs(block_size: int, inputs: int) -> int:
    """Input channels that an NCHWc Conv multiplies; less than a block are not padded."""
    return inputs if inputs < block_size else _padded(block_size, inputs)


def _has_few_macs(ctx: NchwcContext, y: Value, macs_per_element: int) -> bool:
    """Whether y is known to take few multiply-adds."""
    sizes = [ctx.expected_rows(y), *y.shape[1:]]
    known_sizes = [size for size in sizes if isinstance(size, int)]
    return len(known_sizes) == len(sizes) and prod(known_sizes) * macs_per_element < MIN_PARTIAL_BLOCK_MACS
