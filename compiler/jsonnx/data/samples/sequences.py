"""Sequences of different lengths: kept one after the other, and padded to the longest one of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .sample_order import generator

BATCHES_PER_BUCKET = 100
"""Batches whose samples are sorted by their lengths together."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """The steps of all sequences, of shape [steps, ...], and the place of each sequence among them."""

    steps: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    pad_value: Any
    min_width: int = 1
    """The least number of steps that sequences are padded to."""

    @staticmethod
    def of(steps: np.ndarray, lengths: np.ndarray, pad_value: Any) -> Sequences:
        """The sequences of these lengths, of consecutive steps."""
        return Sequences(steps, np.cumsum(lengths) - lengths, lengths, pad_value)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: slice | np.ndarray) -> Sequences:
        return replace(self, starts=self.starts[rows], lengths=self.lengths[rows])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.steps.dtype

    @property
    def width(self) -> int:
        """The number of steps that the sequences are padded to."""
        return max(self.min_width, int(self.lengths.max(initial=0)))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the padded sequences."""
        return (len(self), self.width, *self.steps.shape[1:])

    def padded(self) -> np.ndarray:
        """The sequences with the pad value at their ends."""
        offsets = np.arange(self.width)
        mask = offsets < self.lengths[:, None]
        array = np.full(self.shape, self.pad_value, self.dtype)
        array[mask] = self.steps[(self.starts[:, None] + offsets)[mask]]
        return array

    def with_common_width(self) -> Sequences:
        """Some of the sequences, padded to the width of all."""
        return replace(self, min_width=self.width)

    def all_steps(self) -> np.ndarray:
        """The steps of all sequences, one after the other."""
        shifts = np.repeat(self.starts - (np.cumsum(self.lengths) - self.lengths), self.lengths)
        return self.steps[np.arange(len(shifts)) + shifts]

    def row(self, index: int) -> np.ndarray:
        """The steps of a sequence."""
        start = self.starts[index]
        return self.steps[start : start + self.lengths[index]]

    @staticmethod
    def concatenate(parts: Sequence[Sequences]) -> Sequences:
        """The sequences of all parts."""
        shifts = np.cumsum([0, *(len(part.steps) for part in parts[:-1])])
        starts = [part.starts + shift for part, shift in zip(parts, shifts, strict=True)]
        lengths = np.concatenate([part.lengths for part in parts])
        steps = np.concatenate([part.steps for part in parts])
        return Sequences(steps, np.concatenate(starts), lengths, parts[0].pad_value)


def concatenate_arrays(parts: Sequence[Any]) -> Any:
    """The samples of arrays, or of sequences, one after the other."""
    return Sequences.concatenate(parts) if isinstance(parts[0], Sequences) else np.concatenate(parts)


def bucketed_order(order: np.ndarray, lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch with samples of similar lengths in each batch, and the batches in random order.

    Only samples of `BATCHES_PER_BUCKET` consecutive batches are sorted together, so that batches differ from epoch to
    epoch. A last batch that is not full stays the last.
    """
    size = BATCHES_PER_BUCKET * batch_size
    chunks = (order[start : start + size] for start in range(0, len(order), size))
    buckets = np.concatenate([chunk[np.argsort(lengths[chunk], kind="stable")] for chunk in chunks])
    full = len(buckets) // batch_size
    batches = buckets[: full * batch_size].reshape(full, batch_size)
    shuffled = batches[generator(seed, "buckets", epoch).permutation(full)]
    return np.concatenate([shuffled.reshape(-1), buckets[full * batch_size :]])
