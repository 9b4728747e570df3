"""Recognises targets with several labels in a row: lists, or texts with separators."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from ...core.diagnostics import UsageError

SEPARATORS = (";", "|", ",")
MAX_NAMED_TARGETS = 4
"""Labels that a help names as targets."""


def label_lists(texts: Sequence[str | None]) -> list[list[str]] | None:
    """The labels in each text of a column, if they are lists such as `['a', 'b']`, or labels between separators; None
    if each text is one class. A missing text has no labels."""
    stripped = [text.strip() if text else "" for text in texts]
    present = {text for text in stripped if text}
    if present and all(text.startswith("[") and text.endswith("]") for text in present):
        return [_labels(text[1:-1], ",") for text in stripped]
    for separator in SEPARATORS:
        by_text = {text: _labels(text, separator) for text in present}
        combined = {label for labels in by_text.values() if len(labels) > 1 for label in labels}
        is_alone = any(len(labels) == 1 and labels[0] in combined for labels in by_text.values())
        if is_alone and len({label for labels in by_text.values() for label in labels}) < len(present):
            return [by_text.get(text, []) for text in stripped]
    return None


def _labels(text: str, separator: str) -> list[str]:
    return [label.strip().strip("'\"") for label in text.split(separator) if label.strip()]


def several_labels(name: str, lists: Sequence[Sequence[str]], example: str = "") -> UsageError:
    """The error for a target with several labels in a row, and what to write in its place."""
    labels = sorted({label for labels in lists for label in labels if isinstance(label, str) and label})
    names = labels or ["LABEL_1", "LABEL_2", "..."]
    if len(names) > MAX_NAMED_TARGETS:
        names = [*names[: MAX_NAMED_TARGETS - 1], "..."]
    options = " ".join(f"--target {shlex.quote(label)}" if label != "..." else label for label in names)
    message = f"the target {name!r} has several labels in a row" + (f", such as {example!r}" if example else "")
    each = f"each of the {len(labels):,} labels" if labels else "each label"
    columns = ", ".join("..." if label == "..." else json.dumps(label, ensure_ascii=False) for label in names)
    help = f'write a column of 0 and 1 for {each} and name all columns: {options}; in the spec: "y": [{columns}]'
    help += "; if each text is one class, add --task classification" if example else ""
    return UsageError("bad-target", message, help)
