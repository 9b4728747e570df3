"""Finds what makes a result better than it will be in use: samples in training and test data, and inputs that give the
target away."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..samples.sequences import Sequences
from ..samples.stored_arrays import Samples, read_rows

MIN_ROWS = 30
"""Minimum number of rows with a value and a target. A relation in fewer may be chance."""
ROWS_AT_ONCE = 1 << 12
"""Number of rows that are read at once from a file whose samples are streamed."""
MAX_ROWS = 20_000
"""Rows that are compared with the target; of more, every n-th one is."""
MAX_CLASSES = 100
"""Maximum number of classes for comparing columns with the target."""
MAX_COLUMNS = 2_000
"""Columns of an input that are compared with the target."""
MIN_ACCURACY = 0.98
"""Minimum nearest-neighbour accuracy of a single column for it to be reported."""
MAX_REMAINING_ERROR = 0.1
"""The share of the errors of the most frequent class that may remain, so that rare classes are not reported."""
MIN_CORRELATION = 0.99
"""Minimum absolute correlation with the target of a reported column."""


@dataclass(frozen=True)
class Leak:
    """A column that may give a target away."""

    column: str
    target: str
    measure: str
    """`accuracy`: how often the row with the nearest value has the same class. `correlation`: the absolute correlation
    of the values or of their ranks with the target."""
    value: float


@dataclass(frozen=True)
class Duplicates:
    """Samples that occur again: equal inputs, whatever their targets."""

    within: Mapping[str, int]
    """Samples with the inputs of an earlier sample of the same part, by part of the data."""
    in_train: Mapping[str, int]
    """Samples of the other parts with the inputs of a training sample, by part."""
    first: Mapping[str, tuple[int, int]]
    """The first such sample of each part and its equal in the training data, as rows from 1."""


def find_duplicates(parts: Mapping[str, Mapping[str, Samples]]) -> Duplicates:
    """The duplicates in the inputs of each part of the data, [samples, ...] by name."""
    digests = {part: _row_digests(inputs) for part, inputs in parts.items()}
    within = {part: len(rows) - len(set(rows)) for part, rows in digests.items()}
    in_train: dict[str, int] = {}
    first: dict[str, tuple[int, int]] = {}
    train = digests.get("train", [])
    row_of = {digest: row for row, digest in reversed([*enumerate(train, 1)])}
    for part, rows in digests.items():
        if part != "train" and "train" in digests:
            equal = [row for row, digest in enumerate(rows, 1) if digest in row_of]
            in_train[part] = len(equal)
            if equal:
                first[part] = (equal[0], row_of[rows[equal[0] - 1]])
    return Duplicates(within, in_train, first)


def _row_digests(inputs: Mapping[str, Samples]) -> list[bytes]:
    """A digest of the inputs of each sample. Equal numbers of different element types are equal."""
    arrays = [array for _, array in sorted(inputs.items())]
    count = len(arrays[0]) if arrays else 0
    parts = (slice(start, min(start + ROWS_AT_ONCE, count)) for start in range(0, count, ROWS_AT_ONCE))
    return [digest for rows in parts for digest in _digests_in_memory([read_rows(array, rows) for array in arrays])]


def _digests_in_memory(arrays: Sequence[np.ndarray | Sequences]) -> list[bytes]:
    digests = []
    for row in range(len(arrays[0])):
        digest = hashlib.blake2b(digest_size=16)
        for array in arrays:
            values = array.row(row) if isinstance(array, Sequences) else array[row]
            if array.dtype.kind in "fiub":
                digest.update((values.astype(np.float64) + 0.0).tobytes())  # + 0.0 turns -0.0 into 0.0
            else:
                digest.update(repr(np.asarray(values, object).tolist()).encode(errors="surrogatepass"))
        digests.append(digest.digest())
    return digests


def find_leaks(columns: Mapping[str, np.ndarray], target: str, values: np.ndarray, has_classes: bool) -> list[Leak]:
    """The columns, [rows] or [rows, columns], that may give a target away, [rows], by decreasing strength."""
    features = [item for name, column in columns.items() for item in _features(name, column)]
    step = max(1, -(-len(values) // MAX_ROWS))
    classes = np.unique(_comparable(values[::step]), return_inverse=True)[1].reshape(-1) if has_classes else None
    if classes is not None and not 1 < len(np.unique(classes)) <= MAX_CLASSES:
        return []
    leaks = []
    for name, feature in features:
        feature, kept = _comparable(feature[::step]), _is_present(feature[::step]) & _is_present(values[::step])
        if kept.sum() < MIN_ROWS:
            continue
        if classes is not None:
            accuracy, baseline = _nearest_row_accuracy(feature[kept], classes[kept])
            if accuracy >= MIN_ACCURACY and 1 - accuracy <= MAX_REMAINING_ERROR * (1 - baseline):
                leaks.append(Leak(name, target, "accuracy", accuracy))
        elif feature.dtype.kind in "fiub":
            correlation = _correlation(feature[kept].astype(np.float64), values[::step][kept].astype(np.float64))
            if correlation >= MIN_CORRELATION:
                leaks.append(Leak(name, target, "correlation", correlation))
    return sorted(leaks, key=lambda leak: -leak.value)


def _features(name: str, column: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The columns with one value for each row. The columns of a matrix are numbered; images and sequences have none."""
    if column.ndim > 1 and column.size == len(column):
        column = column.reshape(-1)
    if column.ndim == 1:
        return [(name, column)]
    if column.ndim != 2 or column.shape[1] > MAX_COLUMNS:
        return []
    return [(f"{name}[{index}]", column[:, index]) for index in range(column.shape[1])]


def _is_present(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "OU":
        return np.array([value is not None for value in values.tolist()], bool)
    return np.isfinite(values) if values.dtype.kind == "f" else np.ones(len(values), bool)


def _comparable(values: np.ndarray) -> np.ndarray:
    """The values as an array that NumPy can sort: texts that are missing are empty."""
    if values.dtype.kind != "O":
        return values
    return np.array(["" if value is None else str(value) for value in values.tolist()], str)


def _nearest_row_accuracy(feature: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """The share of rows whose class is the majority among the other rows with the same value, or else with the nearest
    number; and the share of the most frequent class. A text that occurs once has no neighbour."""
    distinct, groups = np.unique(feature, return_inverse=True)
    counts = np.zeros((len(distinct), int(classes.max()) + 1), np.int32)
    np.add.at(counts, (groups.reshape(-1), classes), 1)
    others = counts[groups.reshape(-1)]
    rows = np.arange(len(classes))
    others[rows, classes] -= 1
    predicted = others.argmax(1)
    alone = others.sum(1) == 0
    predicted[alone] = -1
    if feature.dtype.kind in "fiub" and len(distinct) > 1:
        positions = groups.reshape(-1)[alone]
        numbers = distinct.astype(np.float64)
        gaps = np.concatenate([[np.inf], np.diff(numbers), [np.inf]])
        nearest = np.where(gaps[positions] <= gaps[positions + 1], positions - 1, positions + 1)
        predicted[alone] = counts.argmax(1)[nearest]
    return float((predicted == classes).mean()), float(np.bincount(classes).max() / len(classes))


def _correlation(feature: np.ndarray, target: np.ndarray) -> float:
    """The absolute correlation of the values, or of their ranks if that is greater; 0 for a constant column."""
    pairs = ((feature, target), (_ranks(feature), _ranks(target)))
    return max(_pearson(a, b) for a, b in pairs)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum()) * np.sqrt((b * b).sum()))
    return min(1.0, abs(float((a * b).sum())) / norm) if norm > 0 and np.isfinite(norm) else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value; equal values have the mean of their ranks."""
    _, groups, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[groups.reshape(-1)])
