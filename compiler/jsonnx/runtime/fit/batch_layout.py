"""A fast path for batches with the shapes and element types of the batch before.

A loop over `Trainer.step` passes batches of the same layout again and again, and finding out each time that an array
needs no conversion takes a large part of a small step. For a batch of the cached layout only the values are checked; if
one is invalid, the full validation reports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ...core.reserved_names import LEARNING_RATE, target_name
from ...data.samples.dataset import Dataset
from ...data.samples.stored_arrays import Samples
from ...data.samples.valid_values import has_valid_values


class ArrayLayout(NamedTuple):
    """The layout of an array that is fed as it is, or cast to a wider type."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fed_dtype: np.dtype[Any]
    index_size: int | None
    """The number of valid values of an array of indices."""

    @staticmethod
    def of(
        name: str, argument: Any, validated: Samples, feeds: Mapping[str, np.ndarray], index_size: int | None
    ) -> ArrayLayout | None:
        """The layout of the user's argument; None if it was converted before it was fed."""
        fed = feeds[name]
        if (
            not isinstance(validated, np.ndarray)
            or validated is not argument
            or fed.shape != validated.shape
            or not np.can_cast(validated.dtype, fed.dtype, "safe")
        ):
            return None
        return ArrayLayout(name, validated.shape, validated.dtype, fed.dtype, index_size)

    def matches(self, array: Any) -> bool:
        """Whether an array has this layout and only valid values."""
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
        """The layout of a batch of one input and one target that were fed unconverted, with nothing else but the
        learning rate; None for any other batch."""
        if len(samples.inputs) != 1 or len(samples.targets) != 1 or len(feeds) != 3 or LEARNING_RATE not in feeds:
            return None
        ((input, validated_x),), ((output, validated_y),) = samples.inputs.items(), samples.targets.items()
        sizes = {name: index_range.size for name, index_range in samples.data_spec.index_ranges.items()}
        x_layout = ArrayLayout.of(input, x, validated_x, feeds, sizes.get(input))
        y_layout = ArrayLayout.of(target_name(output), y, validated_y, feeds, sizes.get(output))
        return CachedLayout(x_layout, y_layout) if x_layout and y_layout else None

    def feeds(self, x: Any, y: Any) -> dict[str, np.ndarray] | None:
        """The feeds of a batch, without the learning rate; None if the batch has another layout or invalid values."""
        if not self.x.matches(x) or not self.y.matches(y):
            return None
        return {self.x.name: self.x.cast(x), self.y.name: self.y.cast(y)}
