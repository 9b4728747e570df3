"""Which features an input or an output without classes has, by its element type, its shape and its columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from ...core.types import Size, TensorType
from .features import Feature, FeatureValues, word_counts
from .statistics import CategoryStatistics, DescribedFeature, NumberStatistics, are_categories

MAX_COLUMNS = 256
"""Columns of an input that have a feature each; more have their mean and deviation."""
MAX_ELEMENTS = 16
"""Elements without names that have a feature each."""


def array_features(
    name: str, columns: Sequence[str], type: TensorType, array: np.ndarray, pad_value: float = 0.0
) -> Iterator[Feature]:
    """The features of the array [rows, ...] of an input or an output.

    Columns and few elements have one each; more numbers, such as those of images, their mean and their standard
    deviation; sequences, which `pad_value` pads, their length and the mean of their numbers. Of a longer series of
    texts, the last one counts.
    """
    shape, is_text = array.shape[1:], type.dtype == "string"
    title = columns[0] if len(columns) == 1 else name
    if any(isinstance(size, Size) for size in type.shape[1:]):
        yield Feature(title, name, "length", pad_value="" if is_text else pad_value)
        if not is_text:
            yield Feature(title, name, "mean", pad_value=pad_value)
    elif prod(shape) == 1:
        yield Feature(title, name)
    elif shape == (len(columns),) and len(columns) <= MAX_COLUMNS:
        yield from (Feature(column, name, index=index) for index, column in enumerate(columns))
    elif len(shape) == 1 and shape[0] <= MAX_ELEMENTS:
        yield from (Feature(f"{title}[{index}]", name, index=index) for index in range(shape[0]))
    elif is_text:
        yield Feature(title, name, index=prod(shape) - 1)
    elif shape[-1:] == (len(columns),) and 1 < len(columns) <= MAX_COLUMNS:
        yield from (Feature(column, name, "mean", index) for index, column in enumerate(columns))
    else:
        yield Feature(title, name, "mean")
        yield Feature(title, name, "deviation")


def described_feature(feature: Feature, parts: Sequence[FeatureValues], is_date: bool = False) -> DescribedFeature:
    """The statistics of the values of a feature, in parts. Texts that are no categories are counted by their words:
    most occur once, and dates after those of the training data would all be unknown."""
    texts = [text for part in parts if isinstance(part, list) for text in part]
    if isinstance(parts[0], list) and (feature.labels or (are_categories(texts) and not is_date)):
        return DescribedFeature(feature, CategoryStatistics.of(texts, feature.labels))
    if isinstance(parts[0], list):
        return DescribedFeature(replace(feature, measure="words"), NumberStatistics.of(word_counts(texts)))
    numbers = np.concatenate([part for part in parts if isinstance(part, np.ndarray)])
    return DescribedFeature(feature, NumberStatistics.of(numbers))
