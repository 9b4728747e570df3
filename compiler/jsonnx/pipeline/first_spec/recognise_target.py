"""Recognises the task from the target: classes or numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...core.diagnostics import UsageError
from .recognise_labels import (
    SPACES_HELP,
    LabelLists,
    are_labels_between_spaces,
    label_lists,
    listed_labels,
    no_labels,
)
from .recognise_series import series_columns

Task = Literal["classification", "regression"]

MAX_INTEGER_CLASSES = 20
"""Maximum number of distinct integers in a target of classes."""
MIN_ROWS_PER_CLASS = 5
"""Minimum mean number of rows of a class. With fewer, integers are numbers to be predicted."""
MAX_CLASSES = 1_000
RARE_SHARE = 0.9
"""The share of rows of one class above which the other class is rare."""
MAX_TAIL_DIFFERENCE = 0.25
"""Maximum difference between the target of the last rows and of all rows: the share of rows whose class would have to
change, or the distance of the means in standard deviations."""


@dataclass(frozen=True)
class RecognisedTarget:
    """The target of an output."""

    columns: tuple[str, ...]
    """One column, or a column of 0 and 1 for each label."""
    task: Task
    labels: tuple[str, ...] = ()
    """The names of the classes, or of the labels; empty if the column has the indices of the classes."""
    class_count: int = 0
    largest_share: float = 0.0
    """The share of the most frequent class."""
    is_ordered: bool = False
    """Whether the last rows are unlike the others, so that they cannot serve as validation data."""
    has_several_labels: bool = False
    """Whether each class is a label that a row may have or lack, whatever its others."""
    label_separator: str | None = None
    """The mark between the labels in the texts of the column."""

    @property
    def name(self) -> str:
        """What an output is called."""
        return "labels" if len(self.columns) > 1 else self.columns[0]

    @property
    def is_binary(self) -> bool:
        """Whether each unit of the output is a probability of its own."""
        return self.has_several_labels or self.class_count == 2

    @property
    def has_two_classes(self) -> bool:
        return self.class_count == 2 and not self.has_several_labels

    @property
    def is_rare(self) -> bool:
        """Whether one of two classes is rare."""
        return self.has_two_classes and self.largest_share > RARE_SHARE


def recognise_target(
    name: str,
    column: np.ndarray,
    task: Task | None,
    tail: float,
    is_text_table: bool,
    others: Mapping[str, np.ndarray],
) -> RecognisedTarget:
    """The target in a column; `tail` is the fraction of rows at the end that validation will take.

    `is_text_table`: whether the file is one of texts, where integers may be names of classes, too. `others` are the
    other columns, which tell what missing values are. Raises UsageError for a column that cannot be predicted.
    """
    if column.ndim > 1 and column.size == len(column):
        column = column.reshape(-1)
    is_text = column.dtype.kind not in "fiub"
    if column.ndim > 1 and is_text:
        return recognise_label_lists(name, column.reshape(len(column), -1).tolist(), tail)
    found = label_lists(column.tolist()) if is_text and task is None and column.ndim == 1 else None
    if found is not None:
        return _label_target(name, found, tail)
    _require_one_value_a_row(name, column, is_text, others)
    values = column
    if is_text:  # names of classes in a table of text are read without the spaces around them
        values = np.array([text.strip() if is_text_table else text for text in column.tolist()], str)
    distinct, indices, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) < 2:
        raise _unsuitable(name, "has the same value in all rows", "name a column whose values differ")
    is_integer = column.dtype.kind in "iub" or (column.dtype.kind == "f" and _are_integers(column))
    if (task or _task_of(column, distinct, is_integer)) == "regression":
        return _numeric_target(name, column, tail)
    if not is_text and not is_integer:
        help = "use --task regression, or write the classes as integers or names"
        raise _unsuitable(name, "has fractional numbers, which are no classes", help)
    if len(distinct) > MAX_CLASSES:
        help = "use --task regression, or name another column" if not is_text else "name another column"
        raise _unsuitable(name, f"has {len(distinct):,} different values, too many for classes", help)
    labels, class_count = _classes(name, distinct, is_text, is_text_table)
    if labels and column.dtype.kind == "f":
        help = "write the classes as integers or names, or number them from 0"
        raise _unsuitable(name, "has real numbers as names of classes", help)
    share = float(counts.max() / len(column))
    is_ordered = _class_difference(indices.reshape(-1), tail) > MAX_TAIL_DIFFERENCE
    return RecognisedTarget((name,), "classification", labels, class_count, share, is_ordered=is_ordered)


def _task_of(column: np.ndarray, distinct: np.ndarray, is_integer: bool) -> Task:
    """The task of predicting a column with these different values."""
    kind = column.dtype.kind
    if kind == "f":  # 0.0 and 1.0, as a column of integers becomes by other programs
        is_few = distinct.tolist() == [0, 1]
    else:
        is_few = len(distinct) <= MAX_INTEGER_CLASSES and len(column) >= MIN_ROWS_PER_CLASS * len(distinct)
    return "classification" if kind not in "fiu" or (is_integer and is_few) else "regression"


def recognise_label_lists(name: str, values: Sequence[Any], tail: float) -> RecognisedTarget:
    """The target in a column with a list of labels in each row. Raises UsageError for one that cannot be predicted."""
    return _label_target(name, listed_labels(values), tail)


def _label_target(name: str, lists: LabelLists, tail: float) -> RecognisedTarget:
    """The target of a column with any number of labels in a row. Raises UsageError for one that cannot be predicted."""
    labels = lists.labels
    if len(labels) < 2:
        raise no_labels(name) if not labels else _unsuitable(name, "has only one label", "name another column")
    if len(labels) > MAX_CLASSES:
        help = "leave out labels that few rows have, or name another column"
        raise _unsuitable(name, f"has {len(labels):,} different labels", help)
    numbers = {label: number for number, label in enumerate(labels)}
    counts = np.bincount([numbers[label] for row in lists.rows for label in row], minlength=len(labels))
    last = lists.rows[len(lists.rows) - max(1, int(len(lists.rows) * tail)) :]
    last_counts = np.bincount([numbers[label] for row in last for label in row], minlength=len(labels))
    shares, last_shares = counts / len(lists.rows), last_counts / len(last)
    chance = 3 * np.sqrt(shares * (1 - shares) / len(last))  # of rows at random, few labels differ by more
    is_ordered = bool((np.abs(last_shares - shares) - chance).max() > MAX_TAIL_DIFFERENCE)
    share = float(shares.max())
    return RecognisedTarget(
        (name,), "classification", tuple(labels), len(labels), share, is_ordered, True, lists.separator
    )


def _require_one_value_a_row(name: str, column: np.ndarray, is_text: bool, others: Mapping[str, np.ndarray]) -> None:
    """Raises UsageError for lists and missing values."""
    if column.ndim > 1:
        raise _unsuitable(name, "has several values in a row", "name a column with one value in a row")
    missing = sum(value is None for value in column.tolist()) if is_text else int((column != column).sum())
    if missing:
        help = _missing_help(column.tolist() if is_text else (), others)
        raise _unsuitable(name, f"has no value in {missing:,} of {len(column):,} rows", help)


def _missing_help(texts: Sequence[str | None], others: Mapping[str, np.ndarray]) -> str:
    """What to do about missing values of a target, which has these texts, or numbers."""
    if are_labels_between_spaces(texts):
        return SPACES_HELP
    if (found := series_columns(others)) is None:
        return "remove these rows"
    windows = {"length": 28, "horizon": 7, **({"by": found.by} if found.by else {}), "time": found.time}
    return (
        "keep these rows if they are of a time series, for which `init` writes no spec: forecasts need "
        f'"windows": {json.dumps(windows, ensure_ascii=False)} in `training.data`, and "missing": "drop" leaves out '
        "the windows without a value (docs/guides/data/series.md)"
    )


def with_labels_joined(targets: Sequence[RecognisedTarget]) -> list[RecognisedTarget]:
    """The targets, where several columns of 0 and 1 are one target with a label for each column."""
    labels = [target for target in targets if target.class_count == 2 and not target.labels]
    if len(labels) < 2:
        return [*targets]
    columns = tuple(column for target in labels for column in target.columns)
    share = max(target.largest_share for target in labels)
    is_ordered = any(target.is_ordered for target in labels)
    joined = RecognisedTarget(
        columns, "classification", columns, len(columns), share, is_ordered, has_several_labels=True
    )
    return [joined, *(target for target in targets if target not in labels)]


def _are_integers(column: np.ndarray) -> bool:
    return bool(np.isfinite(column).all() and (column == np.trunc(column)).all())


def _numeric_target(name: str, column: np.ndarray, tail: float) -> RecognisedTarget:
    if column.dtype.kind not in "fiub":
        raise _unsuitable(name, "has texts, which are no numbers", "use --task classification, or name another column")
    numbers = column.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise _unsuitable(name, "has infinite numbers", "remove their rows")
    mean, deviation = float(numbers.mean()), float(numbers.std())
    last = numbers[len(numbers) - max(1, int(len(numbers) * tail)) :]
    # the mean of n rows drawn at random is within 3 / sqrt(n) deviations nearly always
    limit = MAX_TAIL_DIFFERENCE + 3 / np.sqrt(len(last))
    is_ordered = abs(float(last.mean()) - mean) > limit * deviation
    return RecognisedTarget((name,), "regression", is_ordered=is_ordered)


def _classes(name: str, distinct: np.ndarray, is_text: bool, is_text_table: bool) -> tuple[tuple[str, ...], int]:
    """The names of the classes, and their number. Raises UsageError for integers that cannot have names."""
    if is_text:
        return tuple(distinct.tolist()), len(distinct)
    low, high = int(distinct[0]), int(distinct[-1])
    if low == 0 and high == len(distinct) - 1:
        return (), len(distinct)
    if is_text_table:
        return tuple(str(int(value)) for value in distinct), len(distinct)
    if low < 0 or high >= MAX_CLASSES:
        raise _unsuitable(name, f"has classes from {low} to {high}", "number the classes from 0, or write names")
    return (), high + 1


def _class_difference(indices: np.ndarray, tail: float) -> float:
    """The share of the last rows whose class would have to change for the frequencies of all rows, beyond chance."""
    count = max(1, int(len(indices) * tail))
    class_count = int(indices.max()) + 1
    all_rows = np.bincount(indices, minlength=class_count) / len(indices)
    last_rows = np.bincount(indices[len(indices) - count :], minlength=class_count) / count
    chance = float(
        np.sqrt(all_rows * (1 - all_rows) / count).sum()
    )  # about 2.5 times what is expected of rows at random
    return float(np.abs(all_rows - last_rows).sum() / 2) - chance


def _unsuitable(name: str, reason: str, help: str) -> UsageError:
    return UsageError("bad-target", f"the target {name!r} {reason}", help)
