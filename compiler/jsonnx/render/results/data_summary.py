"""Summaries of checked data as text: numbers of samples, and of the elements of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ...core.invisible_characters import escape_invisible
from ..text.text_table import aligned_rows

MAX_LISTED_CLASSES = 20


class DataSummary(Protocol):
    """The contents of checked data: numbers of samples by part; numbers of elements of classes by output and part."""

    @property
    def sample_counts(self) -> Mapping[str, int]: ...
    @property
    def class_counts(self) -> Mapping[str, Mapping[str, Mapping[int, int]]]: ...
    @property
    def labels(self) -> Mapping[str, Sequence[str]]: ...


def data_summary_text(summary: DataSummary, title: str | None = None) -> str:
    """A table with a column for each part of the data; empty if no data were read. `title` is the first line."""
    parts = list(summary.sample_counts)
    if not parts:
        return ""
    rows = [("", *parts), ("samples", *(f"{count:,}" for count in summary.sample_counts.values()))]
    for output, counts in summary.class_counts.items():
        rows += _class_rows(output, counts, summary.labels.get(output, ()), parts)
    return "\n".join([*([title] if title else []), *aligned_rows(rows, right=range(1, len(parts) + 1))])


def _class_rows(
    output: str, counts: Mapping[str, Mapping[int, int]], labels: Sequence[str], parts: Sequence[str]
) -> list[tuple[str, ...]]:
    """A row for each class of an output, in the order of the classes, and one for those beyond the limit."""
    classes = sorted({number for part_counts in counts.values() for number in part_counts} | {*range(len(labels))})
    shown, hidden = classes[:MAX_LISTED_CLASSES], classes[MAX_LISTED_CLASSES:]
    if len(classes) == MAX_LISTED_CLASSES + 1:
        shown, hidden = classes, []

    def row(title: str, numbers: Sequence[int]) -> tuple[str, ...]:
        totals = [sum(counts[part].get(number, 0) for number in numbers) if part in counts else None for part in parts]
        return (title, *("" if total is None else f"{total:,}" for total in totals))

    rows = [row(f"{output} {_class_name(number, labels)}", [number]) for number in shown]
    return [*rows, row(f"{output}: {len(hidden):,} more classes", hidden)] if hidden else rows


def _class_name(number: int, labels: Sequence[str]) -> str:
    return escape_invisible(labels[number]) if 0 <= number < len(labels) else str(number)
