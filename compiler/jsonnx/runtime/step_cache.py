"""Batches like one that was taken as it was.

A loop over `Trainer.step` hands in batch after batch of the same shapes and types, and what a step does beside
onnxruntime's run is a tenth of a small one: most of it to find out again that nothing has to be done. So of a batch
like the last one only the values are looked at; where one is not right, the long way tells what and where.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..training.reserved_names import RATE, target_name
from .dataset import Samples
from .validate_arrays import holds


class Layout(NamedTuple):
    """Of an array that is fed as it is, but for a cast to a wider type."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fed: np.dtype[Any]
    size: int | None
    """Of integers that have a limit: how many are valid."""

    @staticmethod
    def of(name: str, given: Any, made: np.ndarray, feeds: Mapping[str, np.ndarray], size: int | None) -> Layout | None:
        """That of a given array which was made ready and fed; None where it was changed."""
        fed = feeds[name]
        if made is not given or fed.shape != made.shape or not np.can_cast(made.dtype, fed.dtype, "safe"):
            return None
        return Layout(name, made.shape, made.dtype, fed.dtype, size)

    def fits(self, array: Any) -> bool:
        """Whether an array is laid out like this, and nothing is wrong with its values."""
        if type(array) is not np.ndarray or array.shape != self.shape or array.dtype != self.dtype:
            return False
        return array.flags.c_contiguous and holds(array, self.size)

    def cast(self, array: np.ndarray) -> np.ndarray:
        return array if self.dtype == self.fed else array.astype(self.fed)


class Familiar(NamedTuple):
    """The layouts of a network's only input and its only target."""

    x: Layout
    y: Layout

    @staticmethod
    def of(x: Any, y: Any, samples: Samples, feeds: Mapping[str, np.ndarray]) -> Familiar | None:
        """What a batch has that was fed as it was, with nothing besides but the step's rate; None for another."""
        if len(samples.inputs) != 1 or len(samples.targets) != 1 or len(feeds) != 3 or RATE not in feeds:
            return None
        ((input, made),), ((target, truth),) = samples.inputs.items(), samples.targets.items()
        limits = {name: limit.size for name, limit in samples.wanted.limits.items()}
        first = Layout.of(input, x, made, feeds, limits.get(input))
        second = Layout.of(target_name(target), y, truth, feeds, limits.get(target))
        return Familiar(first, second) if first and second else None

    def feeds(self, x: Any, y: Any) -> dict[str, np.ndarray] | None:
        """A batch as the step takes it; None where it is not like this."""
        if not self.x.fits(x) or not self.y.fits(y):
            return None
        return {self.x.name: self.x.cast(x), self.y.name: self.y.cast(y)}
