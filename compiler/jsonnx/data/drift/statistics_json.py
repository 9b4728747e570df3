"""Statistics of data as JSON values, and back. Files of others are not trusted: every value is checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import pairwise
from math import isfinite, prod
from typing import Any, get_args

from ...core.types import TensorType
from .features import Feature, Measure
from .statistics import (
    CategoryStatistics,
    ColumnStatistics,
    DataStatistics,
    DescribedFeature,
    NumberStatistics,
)
from .text_vocabulary import TextVocabulary

VERSION = 1
"""The version of the format."""
TEXT_MEASURES = ("class", "label")


def statistics_text(statistics: DataStatistics) -> str:
    """The text of a file with statistics: a line for each feature."""
    document = statistics_to_json(statistics)
    lines = []
    for key, value in document.items():
        text = json.dumps(value)
        if isinstance(value, list):
            text = "[" + ",".join(f"\n    {json.dumps(item)}" for item in value) + "\n  ]"
        lines.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def statistics_to_json(statistics: DataStatistics) -> dict[str, Any]:
    """The statistics as a JSON value."""
    return {
        "version": VERSION,
        "rows": statistics.rows,
        "read_rows": statistics.read_rows,
        "predicted_part": statistics.predicted_part,
        "predicted_rows": statistics.predicted_rows,
        "columns": [_feature_to_json(item) for item in statistics.columns],
        "outputs": [_feature_to_json(item) for item in statistics.outputs],
    }


def _feature_to_json(described: DescribedFeature) -> dict[str, Any]:
    feature = described.feature
    optional = {
        "index": feature.index,
        "pad_value": feature.pad_value,
        "labels": [*feature.labels] or None,
        "threshold": feature.cut,
        "vocabulary": None if feature.vocabulary is None else asdict(feature.vocabulary),
    }
    given = {key: value for key, value in optional.items() if value is not None}
    identity = {"name": feature.name, "source": feature.source, "measure": feature.measure}
    return {**identity, **given, **described.statistics.to_json()}


def statistics_from_json(value: object) -> DataStatistics:
    """The statistics in a JSON value. Raises ValueError with the end of a sentence if it has none."""
    document = _object(value)
    if document.get("version") != VERSION:
        raise ValueError(f"has statistics of version {document.get('version')!r}, not {VERSION}")
    return DataStatistics(
        _count(document, "rows"),
        _count(document, "read_rows"),
        tuple(_feature_from_json(item) for item in _list(document, "columns")),
        _text(document, "predicted_part"),
        _count(document, "predicted_rows"),
        tuple(_feature_from_json(item) for item in _list(document, "outputs")),
    )


def _feature_from_json(value: object) -> DescribedFeature:
    document = _object(value)
    measure = _text(document, "measure")
    if measure not in get_args(Measure):
        raise ValueError(f"has the unknown measure {measure!r}")
    pad_value = document.get("pad_value")
    if not isinstance(pad_value, str):
        pad_value = _optional_number(document, "pad_value")
    labels = tuple(document["labels"]) if isinstance(document.get("labels"), list) else ()
    if not all(isinstance(label, str) for label in labels):
        raise ValueError("has labels that are not texts")
    index = _count(document, "index") if "index" in document else None
    feature = Feature(
        _text(document, "name"),
        _text(document, "source"),
        next(name for name in get_args(Measure) if name == measure),
        index,
        pad_value,
        labels,
        _optional_number(document, "threshold"),
        _vocabulary_from_json(document["vocabulary"]) if "vocabulary" in document else None,
    )
    if measure == "unknown words" and feature.vocabulary is None:
        raise ValueError("lacks the vocabulary of the unknown words")
    if (measure in TEXT_MEASURES and len(labels) < 2) or (measure == "length" and pad_value is None):
        raise ValueError(f"lacks what the measure {measure!r} needs")
    return DescribedFeature(feature, _statistics_from_json(document))


def _vocabulary_from_json(value: object) -> TextVocabulary:
    document = _object(value)
    words, lowers, strips = _list(document, "words"), document.get("lowers"), document.get("strips_punctuation")
    if not all(isinstance(word, str) for word in words) or not (isinstance(lowers, bool) and isinstance(strips, bool)):
        raise ValueError("has a vocabulary that is none")
    return TextVocabulary(tuple(words), lowers, strips)


def _statistics_from_json(document: dict[str, Any]) -> ColumnStatistics:
    count, missing = _count(document, "count"), _count(document, "missing")
    if "values" in document:
        values = {text: _count(_object(document["values"]), text) for text in _object(document["values"])}
        return CategoryStatistics(count, missing, values, _count(document, "others"))
    edges, bins = _list(document, "edges"), [_count({"bins": item}, "bins") for item in _list(document, "bins")]
    if not all(_is_number(edge) for edge in edges) or any(a >= b for a, b in pairwise(edges)):
        raise ValueError("has edges of bins that are not ascending numbers")
    if len(bins) != len(edges) + 1:
        raise ValueError(f"has {len(bins)} bins and {len(edges)} edges between them")
    low, high, mean, std = (_optional_number(document, key) for key in ("min", "max", "mean", "std"))
    return NumberStatistics(count, missing, low, high, mean, std, tuple(map(float, edges)), tuple(bins))


def require_sources(described: Iterable[DescribedFeature], types: Mapping[str, TensorType]) -> None:
    """Raises ValueError with the end of a sentence unless all features are of these inputs or outputs."""
    for feature in (item.feature for item in described):
        type = types.get(feature.source)
        if type is None:
            raise ValueError(f"has statistics of {feature.source!r}, which the model lacks")
        sizes = type.shape[1:] if feature.measure != "mean" else type.shape[-1:]
        size = prod(size for size in sizes if isinstance(size, int))
        is_text, takes_text = type.dtype == "string", feature.measure in ("value", "words", "unknown words", "length")
        takes_number = feature.measure not in ("words", "unknown words")
        if (feature.index or 0) >= size or not (takes_text if is_text else takes_number):
            raise ValueError(f"has statistics of {feature.title!r} that do not fit the model")


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("has another JSON value where statistics are an object")
    return value


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise ValueError(f"has no list {key!r}")
    return value


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str):
        raise ValueError(f"has no text {key!r}")
    return value


def _count(document: dict[str, Any], key: str) -> int:
    value = document.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise ValueError(f"has no count {key!r}")
    return value


def _optional_number(document: dict[str, Any], key: str) -> float | None:
    value = document.get(key)
    if value is not None and not _is_number(value):
        raise ValueError(f"has no number {key!r}")
    return None if value is None else float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
