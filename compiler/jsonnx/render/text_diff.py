"""What changes in a text, as a unified diff."""

from __future__ import annotations

from difflib import unified_diff

from .diagnostics import escape_invisible

MAX_LINES = 20_000
"""Lines of a file beyond which finding the few that changed takes long."""


def unified_diff_text(file: str, before: bytes, after: bytes, color: bool = False) -> str:
    """A unified diff of two versions of a file, with three lines around every change."""
    old, new = (_split_lines(data) for data in (before, after))
    if max(len(old), len(new)) > MAX_LINES:
        return f"{escape_invisible(file)}: {len(old):,} lines, {len(new):,} when formatted"
    lines = [
        escape_invisible(line)
        for line in unified_diff(old, new, escape_invisible(file), f"{escape_invisible(file)} (formatted)", lineterm="")
    ]
    return "\n".join(_colored(line) if color else line for line in lines)


def _split_lines(data: bytes) -> list[str]:
    """Lines with what ends them told, where that is not a line feed."""
    text = data.decode(errors="replace")
    lines = text.split("\n")
    ended = not lines[-1]
    return lines[:-1] if ended else [*lines[:-1], lines[-1] + "  (no end of line)"]


def _colored(line: str) -> str:
    style = {"+": "32", "-": "31", "@": "36"}.get(line[:1])
    return f"\x1b[{style}m{line}\x1b[0m" if style else line
