"""The pages of errors, warnings and lint rules, by their codes."""

from __future__ import annotations


def code_pages() -> dict[str, str]:
    """The Markdown of each page by its path in docs/: `reference/errors/shape-mismatch.md`."""
    return {}


def code_names() -> dict[str, str]:
    """The page of each code."""
    return {}
