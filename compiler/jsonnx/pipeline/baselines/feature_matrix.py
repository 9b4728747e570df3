"""The columns of samples as one matrix of numbers: for linear models, and for trees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.date_formats import ISO_FORMAT
from ...core.quantities import count_text
from ...core.system.optional_packages import require_package
from ...data.samples.dataset import Dataset
from .encoders import EXTRA, PURPOSE, CategoryEncoder, Encoder, encoder_of
from .raw_columns import ColumnKind, RawColumn, raw_columns

FED_TEXTS = {
    ColumnKind.NUMBERS: ("number", "standardized, missing ones imputed"),
    ColumnKind.CATEGORIES: ("categorical column", "one-hot, rare ones together"),
    ColumnKind.TEXTS: ("text column", "tf-idf"),
    ColumnKind.DATES: ("date column", "by parts"),
    ColumnKind.ARRAYS: ("array input", "flattened"),
    ColumnKind.SEQUENCES: ("sequence input", "length, mean, deviation, extremes, first and last value"),
}
"""A column of each kind, and how it is fed."""


@dataclass(frozen=True)
class FeatureMatrix:
    """Encoded columns."""

    columns: Sequence[RawColumn]
    encoders: Sequence[Encoder]
    number_count: int
    """The numbers of all columns that are numbers."""

    @staticmethod
    def of(samples: Dataset, inputs: Sequence[str]) -> FeatureMatrix:
        """Learns the columns of inputs from training samples. Raises UsageError `missing-package`."""
        columns = sorted(raw_columns(samples, inputs), key=lambda column: column.kind is not ColumnKind.CATEGORIES)
        feeds = samples.take_inputs(slice(None))
        values = [column.values(feeds) for column in columns]
        formats = samples.data_spec.date_inputs
        encoders = [
            encoder_of(column, own, formats.get(column.input, (ISO_FORMAT,)))
            for column, own in zip(columns, values, strict=True)
        ]
        pairs = zip(columns, values, strict=True)
        numbers = sum(own.shape[1] for column, own in pairs if column.kind is ColumnKind.NUMBERS)
        return FeatureMatrix(columns, encoders, numbers)

    def linear(self, samples: Dataset) -> Any:
        """The features [samples, n] of a linear model, sparse if there are texts."""
        feeds = samples.take_inputs(slice(None))
        parts = [encoder.linear(column.values(feeds)) for column, encoder in self._pairs()]
        if any(column.kind is ColumnKind.TEXTS for column in self.columns):
            return require_package("scipy.sparse", EXTRA, PURPOSE).hstack(parts).tocsr()
        return np.concatenate(parts, 1)

    def trees(self, samples: Dataset) -> np.ndarray:
        """The features [samples, n] of trees; missing numbers are NaN."""
        feeds = samples.take_inputs(slice(None))
        return np.concatenate([encoder.trees(column.values(feeds)) for column, encoder in self._pairs()], 1)

    @property
    def category_count(self) -> int:
        """The number of the first features of trees that are categories."""
        return sum(isinstance(encoder, CategoryEncoder) for encoder in self.encoders)

    def _pairs(self) -> list[tuple[RawColumn, Encoder]]:
        return list(zip(self.columns, self.encoders, strict=True))

    @property
    def text(self) -> str:
        """What is fed, in one line."""
        counts = Counter(column.kind for column in self.columns)
        if ColumnKind.NUMBERS in counts:
            counts[ColumnKind.NUMBERS] = self.number_count
        return ", ".join(
            f"{count_text(count, FED_TEXTS[kind][0])} ({FED_TEXTS[kind][1]})" for kind, count in counts.items()
        )
