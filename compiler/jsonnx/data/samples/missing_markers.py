"""Texts that stand for missing values."""

MISSING_MARKERS = frozenset(("", "na", "n/a", "null", "none", "?", "-"))
"""Texts, in lower case, that stand for a missing number or date. `nan` is read as a number that is not finite."""
MISSING_TEXTS = frozenset(("", "na", "n/a", "nan", "null", "?"))
"""Texts, in lower case, that stand for a missing text where texts are not taken as they are."""


def is_missing_marker(text: str) -> bool:
    return text.strip().lower() in MISSING_MARKERS
