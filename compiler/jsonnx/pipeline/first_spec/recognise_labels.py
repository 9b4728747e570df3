"""Recognises targets with several labels in a row: lists, or texts with separators."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from ...core.diagnostics import UsageError
from ...data.samples.label_sets import SEPARATORS, labels_in_text

SPACES_HELP = (
    'if the values are several labels between spaces, keep these rows, which have none: write ";" between the labels, '
    'or "label_separator": " " in a spec of your own (docs/guides/data/multi-label.md)'
)


class LabelLists(NamedTuple):
    """The labels in each row of a column."""

    rows: Sequence[Sequence[str]]
    separator: str | None
    """The mark between the labels in a text; None for lists."""

    @property
    def labels(self) -> list[str]:
        """All labels, sorted."""
        return sorted({label for row in self.rows for label in row})


def label_lists(texts: Sequence[str | None]) -> LabelLists | None:
    """The labels in each text of a column, if they are lists such as `['a', 'b']`, or labels between separators; None
    if each text is one class. A missing text has no labels."""
    stripped = [text.strip() if text else "" for text in texts]
    present = {text for text in stripped if text}
    lists = {text: labels_in_text(text, None) for text in present}
    if present and all(found is not None for found in lists.values()):
        return LabelLists([_labels(lists.get(text) or ()) for text in stripped], None)
    for separator in SEPARATORS:
        if (by_text := _labels_between(separator, present)) is not None:
            return LabelLists([by_text.get(text, []) for text in stripped], separator)
    return None


def are_labels_between_spaces(texts: Sequence[str | None]) -> bool:
    """Whether texts look like labels between spaces, which may also be words of one class."""
    return _labels_between(" ", {text.strip() for text in texts if text and text.strip()}) is not None


def _labels_between(separator: str, texts: Collection[str]) -> dict[str, list[str]] | None:
    """The labels in different texts, if some are alone in one text and combined in another; else None."""
    by_text = {text: _labels(text.split(separator)) for text in texts}
    combined = {label for labels in by_text.values() if len(labels) > 1 for label in labels}
    is_alone = any(len(labels) == 1 and labels[0] in combined for labels in by_text.values())
    has_fewer = len({label for labels in by_text.values() for label in labels}) < len(texts)
    return by_text if is_alone and has_fewer else None


def listed_labels(values: Sequence[Any]) -> LabelLists:
    """The labels in lists, with None for a missing one."""
    return LabelLists([_labels(value or ()) for value in values], None)


def _labels(items: Sequence[Any]) -> list[str]:
    return [*dict.fromkeys(label for item in items if (label := str(item).strip()))]


def no_labels(name: str) -> UsageError:
    """The error for lists that are neither labels nor vectors."""
    message = f"the target {name!r} has lists that are neither labels nor vectors of one length"
    help = "a row has a list of labels, which are texts or integers, or one number for each output"
    return UsageError("bad-target", message, help)
