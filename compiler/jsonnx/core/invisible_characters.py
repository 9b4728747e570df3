"""Escapes characters that a reader cannot see, or that a terminal obeys: control and bidirectional characters."""

from __future__ import annotations

import re
from typing import Any

WHITE_SPACE = "\n\t\N{NO-BREAK SPACE}"
_STYLE = re.compile("(\x1b\\[[0-9;]*m)")


def escape_invisible(text: str, kept: str = "") -> str:
    """The text with invisible and bidirectional characters escaped, except those that are `kept`."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in kept else char.encode("unicode_escape").decode("ascii") for char in text
    )


def escape_output(text: str, has_styles: bool = False) -> str:
    """Lines for a terminal or a log file with invisible characters escaped; with `has_styles`, without its styles."""
    if not has_styles:
        return escape_invisible(text, WHITE_SPACE)
    parts = _STYLE.split(text)
    return "".join(part if index % 2 else escape_invisible(part, WHITE_SPACE) for index, part in enumerate(parts))


def escape_html(text: str) -> str:
    """Text of an HTML file, with its invisible characters escaped."""
    from html import escape  # `validate` does without it

    return escape(escape_invisible(text, WHITE_SPACE))


def escape_json(value: Any) -> Any:
    """A JSON value whose texts and keys have their invisible characters escaped."""
    if isinstance(value, str):
        return escape_invisible(value, WHITE_SPACE)
    if isinstance(value, dict):
        return {escape_json(key): escape_json(item) for key, item in value.items()}
    return [escape_json(item) for item in value] if isinstance(value, (list, tuple)) else value
