"""The distributions that initializers draw from: numbers drawn in float64 and rounded to float32.

Only a chunk of the draws is held at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np

CHUNK_ELEMENTS = 1 << 13
"""Numbers per draw, so that the float64 draws stay in the CPU cache."""


class Distribution:
    """Numbers that are drawn one by one."""

    is_divisible: ClassVar[bool] = False
    """Whether a part can be drawn without those before it: each number takes one of the generator's."""

    def fill(self, flat: np.ndarray, rng: np.random.Generator) -> None:
        """Draws the elements of a vector."""
        raise NotImplementedError


class Uniform(Distribution):
    """Uniform numbers."""

    is_divisible = True

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def fill(self, flat: np.ndarray, rng: np.random.Generator) -> None:
        _fill_in_chunks(flat, lambda count: rng.uniform(self.low, self.high, count))


class Normal(Distribution):
    """Normal numbers."""

    def __init__(self, mean: float, stddev: float) -> None:
        self.mean, self.stddev = mean, stddev

    def fill(self, flat: np.ndarray, rng: np.random.Generator) -> None:
        _fill_in_chunks(flat, lambda count: rng.normal(self.mean, self.stddev, count))


class TruncatedNormal(Distribution):
    """Normal numbers; those beyond two standard deviations are drawn again, after all others."""

    def __init__(self, mean: float, stddev: float) -> None:
        """`stddev` is the standard deviation before the truncation."""
        self.mean, self.stddev = mean, stddev

    def fill(self, flat: np.ndarray, rng: np.random.Generator) -> None:
        import numpy as np

        beyond, drawn_count = [np.empty(0, np.int64)], 0

        def draw(count: int) -> np.ndarray:
            nonlocal drawn_count
            drawn = rng.normal(size=count)
            beyond.append(drawn_count + np.flatnonzero(abs(drawn) > 2))
            drawn_count += count
            return self.mean + self.stddev * drawn

        _fill_in_chunks(flat, draw)
        positions = np.concatenate(beyond)
        while positions.size:
            drawn = rng.normal(size=positions.size)
            flat[positions] = (self.mean + self.stddev * drawn).astype(np.float32)
            positions = positions[abs(drawn) > 2]


def _fill_in_chunks(flat: np.ndarray, draw: Callable[[int], np.ndarray]) -> None:
    import numpy as np

    for start in range(0, flat.size, CHUNK_ELEMENTS):
        part = flat[start : start + CHUNK_ELEMENTS]
        part[...] = draw(part.size).astype(np.float32)
