"""Samples on which ranges of values are measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.samples.dataset import Dataset
from ...data.samples.sample_order import generator

CALIBRATION_BATCH = 32
"""Samples in a batch: the values of all layers are in memory at a time."""


@dataclass(frozen=True)
class CalibrationSamples:
    """Samples, and what to call them."""

    samples: Dataset
    inputs: tuple[str, ...]
    batch_size: int = CALIBRATION_BATCH
    origin: Any = None
    """The part of the data, its files and the number of samples, as JSON."""

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """The inputs of consecutive batches."""
        for feeds, _ in self.samples.batches(self.batch_size):
            yield {name: feeds[name] for name in self.inputs}


def drawn_samples(samples: Dataset, count: int) -> Dataset:
    """Samples that are drawn from all of the data, in their order; always the same ones."""
    if len(samples) <= count:
        return samples
    rows = generator(0, "calibration").choice(len(samples), count, replace=False)
    return samples.subset(np.sort(rows))
