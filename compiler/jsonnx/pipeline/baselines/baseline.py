"""A baseline: a model that is fitted without the network, and predicts the numbers of one output."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ...data.samples.dataset import Dataset


class Baseline(Protocol):
    """A simple model of one output."""

    @property
    def title(self) -> str:
        """The name that people read."""

    @property
    def fitted_rows(self) -> int:
        """The training samples that it is fitted on."""

    def scores(self, samples: Dataset, shape: tuple[int, ...]) -> np.ndarray:
        """Probabilities, or other numbers, in the shape of the output for these samples."""
