"""Escapes characters that a reader cannot see."""

from __future__ import annotations


def escape_invisible(text: str) -> str:
    """The text with invisible and bidirectional characters escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
