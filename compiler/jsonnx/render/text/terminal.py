"""Capabilities of the standard streams: colors, lines that are rewritten, and the width of a line.

Decided here for all commands: `--color`, then the environment variables `NO_COLOR` and `FORCE_COLOR`, then whether the
stream is a terminal, and `TERM=dumb`, a terminal that shows neither.
"""

from __future__ import annotations

import os
import sys
from typing import Literal, TextIO

ColorChoice = Literal["auto", "always", "never"]
COLOR_CHOICES = ("auto", "always", "never")

DEFAULT_WIDTH = 80
"""Columns of a terminal that does not tell its size."""
MIN_WIDTH = 20
"""Columns of the narrowest terminal that texts are fitted to; programs may report 0."""

_choice: ColorChoice = "auto"


def choose_color(choice: ColorChoice) -> None:
    """Sets the choice of `--color` for this process."""
    global _choice
    _choice = choice


def shows_color(stream: TextIO) -> bool:
    """Whether text that is written to the stream may have colors."""
    if _choice != "auto":
        return _choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or can_rewrite_lines(stream)


def can_rewrite_lines(stream: TextIO) -> bool:
    """Whether the stream is a terminal that can move its cursor, as a progress bar needs."""
    return _is_terminal(stream) and os.environ.get("TERM") != "dumb"


def line_width(stream: TextIO) -> int | None:
    """The columns of the stream's terminal; None if it is not a terminal, so that lines may have any width."""
    if not _is_terminal(stream):
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns[:5]):
        return max(MIN_WIDTH, int(columns[:5]))
    try:
        return max(MIN_WIDTH, os.get_terminal_size(stream.fileno()).columns)
    except (OSError, ValueError):
        return DEFAULT_WIDTH


def can_show(stream: TextIO, text: str) -> bool:
    """Whether the encoding of the stream has the characters of a text."""
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


TEXT_WIDTH = 78
"""Characters in a line of running text, which fits the narrowest terminals in use."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, which shows what it prints without being a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # another object in the stream's place, or a closed stream
        return False


def page_line(address: str) -> str:
    """The line that leads to a page of the documentation."""
    return f"Documentation: {address}"
