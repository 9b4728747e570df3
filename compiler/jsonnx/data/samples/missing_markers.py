"""Texts that stand for missing values."""

MISSING_MARKERS = frozenset(("", "na", "n/a", "null", "none", "?", "-"))
"""Texts, in lower case, that stand for a missing number or date. `nan` is read as a number that is not finite."""


def is_missing_marker(text: str) -> bool:
    return text.strip().lower() in MISSING_MARKERS
