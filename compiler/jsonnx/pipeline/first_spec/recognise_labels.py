"""Recognises targets with several labels in a row: lists, or texts with separators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...core.diagnostics import UsageError
from ...data.samples.label_sets import SEPARATORS, labels_in_text


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
        by_text = {text: _labels(text.split(separator)) for text in present}
        combined = {label for labels in by_text.values() if len(labels) > 1 for label in labels}
        is_alone = any(len(labels) == 1 and labels[0] in combined for labels in by_text.values())
        if is_alone and len({label for labels in by_text.values() for label in labels}) < len(present):
            return LabelLists([by_text.get(text, []) for text in stripped], separator)
    return None


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
