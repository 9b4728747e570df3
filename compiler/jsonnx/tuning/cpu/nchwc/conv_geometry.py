"""Sizes of the correlation of a convolution's operand with its cotangent, which gives the weight gradient.

A dilated convolution never mixes the phases of its rows and columns (for dilation 2, the even and the odd ones). Each
phase is therefore a sample of its own, of a smaller image that is not dilated. Large images are cut into strips of
rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from ....ir import GradientInfo, Value

MAX_SUMMED_POSITIONS = 1024
"""Cotangent positions that one convolution sums over; longer float32 sums would lose accuracy."""
MAX_CACHED_POSITIONS = 512
"""Maximum size of a strip, in cotangent positions times blocks of filters. It keeps filters and image in a core's
cache."""
MAX_UNCUT_POSITIONS = 1024
"""Maximum size of an uncut image, in the same unit. It is larger, since cutting an image costs a Gather."""
MAX_SWAP_RATIO = 1.1
"""Maximum ratio of operand positions to cotangent positions at which the two may exchange roles."""


@dataclass(frozen=True)
class CorrelationGeometry:
    """How the cotangent, as a filter, moves over the operand, as an image. Pairs are rows and columns."""

    samples: int
    """Samples of the batch, times the phases of each."""
    taps: tuple[int, int]
    """Size of the weights."""
    strides: tuple[int, int]
    phases: tuple[int, int]
    """The convolution's dilations."""
    pads: tuple[int, int, int, int]
    """Padding of the whole image: above, left, below, right."""
    image_size: tuple[int, int]
    """Size of a phase of the image, with padding."""
    cotangent_size: tuple[int, int]
    """Size of a phase of the cotangent."""
    cotangent_padding: tuple[int, int]
    """Rows and columns that the cotangent lacks to have phases of equal size."""
    strip_rows: int
    """Rows of a phase of the cotangent that make a strip; all of them if the image is not cut."""

    @staticmethod
    def of(gradient_info: GradientInfo, weights: Value, samples: int) -> CorrelationGeometry | None:
        """The geometry of an uncut image; None for automatic padding, or an axis with stride and dilation."""
        attributes = gradient_info.attributes
        strides, dilations = attributes["strides"] or [1, 1], attributes["dilations"] or [1, 1]
        if attributes["auto_pad"] or any(s > 1 and d > 1 for s, d in zip(strides, dilations, strict=True)):
            return None
        pads_before = (attributes["pads"] or [0] * 4)[:2]
        rows, columns = (
            _axis_geometry(*axis)
            for axis in zip(
                gradient_info.x.shape[2:],
                gradient_info.dy.shape[2:],
                weights.shape[2:],
                strides,
                dilations,
                pads_before,
                strict=True,
            )
        )
        return CorrelationGeometry(
            samples=samples * prod(dilations),
            taps=tuple(weights.shape[2:]),
            strides=tuple(strides),
            phases=tuple(dilations),
            pads=(*pads_before, rows.pad_after, columns.pad_after),
            image_size=(rows.image_size, columns.image_size),
            cotangent_size=(rows.cotangent_size, columns.cotangent_size),
            cotangent_padding=(rows.cotangent_padding, columns.cotangent_padding),
            strip_rows=rows.cotangent_size,
        )

    @property
    def swapped(self) -> CorrelationGeometry | None:
        """The geometry with the roles exchanged: the operand moves over the padded cotangent.

        The result is the weights in reverse order of taps. None if strides, phases or large padding rule it out, or if
        the operand has many more positions than the cotangent.
        """
        (rows, columns), (above, left, below, right) = self.taps, self.pads
        pads = rows - 1 - above, columns - 1 - left, rows - 1 - below, columns - 1 - right
        if min(pads) < 0 or prod(self.strides) > 1 or prod(self.phases) > 1:
            return None
        operand_size = self.image_size[0] - above - below, self.image_size[1] - left - right
        if prod(operand_size) > MAX_SWAP_RATIO * prod(self.cotangent_size):
            return None
        image_size = operand_size[0] + rows - 1, operand_size[1] + columns - 1
        return replace(self, pads=pads, image_size=image_size, cotangent_size=operand_size, strip_rows=operand_size[0])

    def fits_uncut(self, filter_blocks: int) -> bool:
        """Whether an image need not be cut into strips, with this number of blocks of filters."""
        return prod(self.cotangent_size) * filter_blocks <= MAX_UNCUT_POSITIONS

    def strip_row_candidates(self, filter_blocks: int) -> list[int]:
        """Possible values of `strip_rows`, in order of preference, for a number of blocks of filters.

        These are divisors of the rows: the largest whose strip stays in a core's cache, and larger ones.
        """
        rows, columns = self.cotangent_size
        candidates = [n for n in range(1, rows + 1) if rows % n == 0 and n * columns <= MAX_SUMMED_POSITIONS]
        cached = sum(n * columns * filter_blocks <= MAX_CACHED_POSITIONS for n in candidates)
        return candidates[max(0, cached - 1) :]

    @property
    def full_image_size(self) -> tuple[int, int]:
        """The size of the padded image with all its phases."""
        return self.image_size[0] * self.phases[0], self.image_size[1] * self.phases[1]

    def phase_indices(self, phase_size: tuple[int, int]) -> Any:
        """The flat positions of an image in the order of its phases, each of which has this size."""
        (row_phases, column_phases), (rows, columns) = self.phases, phase_size
        positions = np.arange(row_phases * column_phases * rows * columns)
        by_phase = positions.reshape(rows, row_phases, columns, column_phases).transpose(1, 3, 0, 2)
        return by_phase.ravel()

    @property
    def strip_count(self) -> int:
        return self.cotangent_size[0] // self.strip_rows

    @property
    def overlap_ratio(self) -> float:
        """Rows of all strips of the image, relative to its own."""
        return self.strip_count * self.image_rows_per_strip / self.image_size[0]

    @property
    def image_rows_per_strip(self) -> int:
        """Rows of the image that a strip of the cotangent moves over."""
        return self.image_size[0] - (self.strip_count - 1) * self.strip_rows * self.strides[0]


@dataclass(frozen=True)
class _AxisGeometry:
    """The geometry along one axis: sizes of a phase, and the padding that completes the last phase."""

    image_size: int
    cotangent_size: int
    cotangent_padding: int
    pad_after: int


def _axis_geometry(
    operand_size: int, cotangent_size: int, taps: int, stride: int, dilation: int, pad_before: int
) -> _AxisGeometry:
    """The geometry of one axis; the padding at the end reaches what the last window of the last phase reads."""
    size = -(-cotangent_size // dilation)
    pad_after = max(0, dilation * ((size - 1) * stride + taps) - operand_size - pad_before)
    return _AxisGeometry(
        image_size=(operand_size + pad_before + pad_after) // dilation,
        cotangent_size=size,
        cotangent_padding=size * dilation - cotangent_size,
        pad_after=pad_after,
    )
