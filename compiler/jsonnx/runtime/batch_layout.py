"""Batches like one that was taken as it was.

A loop over `Trainer.step` hands in batch after batch of the same shapes and types, and what a step does beside
onnxruntime's run is a tenth of a small one: most of it to find out again that nothing has to be done. So of a batch
like the last one only the values are looked at; where one is not right, the long way tells what and where.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..core.reserved_names import LEARNING_RATE, target_name
from .dataset import Dataset
from .validate_arrays import has_valid_values


class ArrayLayout(NamedTuple):
    """Of an array that is fed as it is, but for a cast to a wider type."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fed_dtype: np.dtype[Any]
    index_size: int | None
    """Of integers that have a limit: how many are valid."""

    @staticmethod
    def of(
        name: str, given: Any, validated: np.ndarray, feeds: Mapping[str, np.ndarray], size: int | None
    ) -> ArrayLayout | None:
        """That of a given array which was made ready and fed; None where it was changed."""
        fed = feeds[name]
        if (
            validated is not given
            or fed.shape != validated.shape
            or not np.can_cast(validated.dtype, fed.dtype, "safe")
        ):
            return None
        return ArrayLayout(name, validated.shape, validated.dtype, fed.dtype, size)

    def matches(self, array: Any) -> bool:
        """Whether an array is laid out like this, and nothing is wrong with its values."""
        if type(array) is not np.ndarray or array.shape != self.shape or array.dtype != self.dtype:
            return False
        return array.flags.c_contiguous and has_valid_values(array, self.index_size)

    def cast(self, array: np.ndarray) -> np.ndarray:
        return array if self.dtype == self.fed_dtype else array.astype(self.fed_dtype)


class CachedLayout(NamedTuple):
    """The layouts of a network's only input and its only target."""

    x: ArrayLayout
    y: ArrayLayout

    @staticmethod
    def of(x: Any, y: Any, samples: Dataset, feeds: Mapping[str, np.ndarray]) -> CachedLayout | None:
        """What a batch has that was fed as it was, with nothing besides but the step's rate; None for another."""
        if len(samples.inputs) != 1 or len(samples.targets) != 1 or len(feeds) != 3 or LEARNING_RATE not in feeds:
            return None
        ((input, made),), ((target, truth),) = samples.inputs.items(), samples.targets.items()
        limits = {name: limit.size for name, limit in samples.data_spec.index_ranges.items()}
        first = ArrayLayout.of(input, x, made, feeds, limits.get(input))
        second = ArrayLayout.of(target_name(target), y, truth, feeds, limits.get(target))
        return CachedLayout(first, second) if first and second else None

    def feeds(self, x: Any, y: Any) -> dict[str, np.ndarray] | None:
        """A batch as the step takes it; None where it is not like this."""
        if not self.x.matches(x) or not self.y.matches(y):
            return None
        return {self.x.name: self.x.cast(x), self.y.name: self.y.cast(y)}
