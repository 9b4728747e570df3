"""The sizes of a correlation: how a convolution's cotangent moves over its operand for the weights' gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from ....ir import GradientInfo, Value

MAX_SUMMED_POSITIONS = 1024
"""Places of a strip, or of several that are summed up together, of which sums are exact enough."""
MAX_CACHED_POSITIONS = 512
"""Places of a strip, once for each block of filters, up to which filters and image stay in a core's cache. Of 32 and 64
filters over 32 x 32 places a step of convolutional networks takes 0.82 to 0.9 of the time that whole images take."""
MAX_UNCUT_POSITIONS = 1024
"""The same of an image that is not cut, which saves a Gather: a step of ResNet-20 takes 0.98 of the time where a core
has a cache of 1 MB. Cut into strips of so many, a U-Net takes 1.03."""
MAX_SWAP_RATIO = 1.1
"""How many times the places of the cotangent the operand may have, to be what moves over it."""


@dataclass(frozen=True)
class CorrelationGeometry:
    """How the cotangent moves over the image."""

    samples: int
    """Of which every phase is one."""
    taps: tuple[int, int]
    strides: tuple[int, int]
    phases: tuple[int, int]
    """Of rows and columns."""
    pads: tuple[int, int, int, int]
    """Above, left, below, right."""
    image_size: tuple[int, int]
    """Height and width of a phase, with padding."""
    cotangent_size: tuple[int, int]
    """Of a phase of the cotangent."""
    cotangent_padding: tuple[int, int]
    """Rows and columns of the cotangent that its last phases lack."""
    strip_rows: int
    """Rows of a phase of the cotangent that make a strip."""

    @staticmethod
    def of(gradient_info: GradientInfo, weights: Value, samples: int) -> CorrelationGeometry | None:
        given = gradient_info.attributes
        strides, gaps = given["strides"] or [1, 1], given["dilations"] or [1, 1]
        if given["auto_pad"] or any(stride > 1 < gap for stride, gap in zip(strides, gaps, strict=True)):
            return None
        taps, counts = weights.shape[2:], gradient_info.dy.shape[2:]
        before = (given["pads"] or [0] * 4)[:2]
        places = [-(-m // gap) for m, gap in zip(counts, gaps, strict=True)]
        missing = [p * gap - m for p, gap, m in zip(places, gaps, counts, strict=True)]
        sides = list(zip(gradient_info.x.shape[2:], before, strides, gaps, taps, places, strict=True))
        after = [max(0, gap * ((m - 1) * stride + tap) - n - front) for n, front, stride, gap, tap, m in sides]
        image = [(n + front + back) // gap for (n, front, _, gap, *_), back in zip(sides, after, strict=True)]
        return CorrelationGeometry(
            samples=samples * prod(gaps),
            taps=tuple(taps),
            strides=tuple(strides),
            phases=tuple(gaps),
            pads=(*before, *after),
            image_size=tuple(image),
            cotangent_size=tuple(places),
            cotangent_padding=tuple(missing),
            strip_rows=places[0],
        )

    @property
    def swapped(self) -> CorrelationGeometry | None:
        """How the operand moves over the cotangent in a frame, which gives the weights from the last to the first; None
        where that is not the same, or takes longer."""
        (rows, columns), (above, left, below, right) = self.taps, self.pads
        pads = rows - 1 - above, columns - 1 - left, rows - 1 - below, columns - 1 - right
        if min(pads) < 0 or prod(self.strides) > 1 or prod(self.phases) > 1:
            return None
        places = self.image_size[0] - above - below, self.image_size[1] - left - right
        if prod(places) > MAX_SWAP_RATIO * prod(self.cotangent_size):
            return None
        image = places[0] + rows - 1, places[1] + columns - 1
        return replace(self, pads=pads, image_size=image, cotangent_size=places, strip_rows=places[0])

    def fits_uncut(self, filter_blocks: int) -> bool:
        """Whether the image need not be cut for so many blocks of filters."""
        return prod(self.cotangent_size) * filter_blocks <= MAX_UNCUT_POSITIONS

    def strip_row_candidates(self, filter_blocks: int) -> list[int]:
        """How many rows a strip may have for so many blocks of filters: as many as stay in a cache, or else more."""
        rows = [
            r
            for r in range(1, self.cotangent_size[0] + 1)
            if self.cotangent_size[0] % r == 0 and r * self.cotangent_size[1] <= MAX_SUMMED_POSITIONS
        ]
        cached = sum(r * self.cotangent_size[1] * filter_blocks <= MAX_CACHED_POSITIONS for r in rows)
        return rows[max(0, cached - 1) :]

    @property
    def full_image_size(self) -> tuple[int, int]:
        """Height and width of the image with all its phases."""
        return self.image_size[0] * self.phases[0], self.image_size[1] * self.phases[1]

    def phase_indices(self, phase_size: tuple[int, int]) -> Any:
        """The places of rows and columns in one row, phase by phase, each having so many."""
        (rows, columns), (high, wide) = self.phases, phase_size
        places = np.arange(rows * columns * high * wide).reshape(high, rows, wide, columns)
        return places.transpose(1, 3, 0, 2).ravel()

    @property
    def strip_count(self) -> int:
        return self.cotangent_size[0] // self.strip_rows

    @property
    def overlap_ratio(self) -> float:
        return self.strip_count * self.image_rows_per_strip / self.image_size[0]

    @property
    def image_rows_per_strip(self) -> int:
        """Rows of the image that a strip of the cotangent moves over."""
        return self.image_size[0] - (self.strip_count - 1) * self.strip_rows * self.strides[0]
