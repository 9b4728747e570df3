"""Unified diffs of two versions of a file."""

from __future__ import annotations

from difflib import unified_diff

from ...core.invisible_characters import escape_invisible

MAX_LINES = 20_000
"""Lines of a file; a diff of more lines takes too long."""


def unified_diff_text(file: str, before: bytes, after: bytes, color: bool = False) -> str:
    """A unified diff of two versions of a file, with three lines of context."""
    old, new = (_split_lines(data) for data in (before, after))
    if max(len(old), len(new)) > MAX_LINES:
        return f"{escape_invisible(file)}: {len(old):,} lines, {len(new):,} when formatted"
    lines = [
        escape_invisible(line)
        for line in unified_diff(old, new, escape_invisible(file), f"{escape_invisible(file)} (formatted)", lineterm="")
    ]
    return "\n".join(_colored(line) if color else line for line in lines)


def _split_lines(data: bytes) -> list[str]:
    """The lines of a text; a last line without a line feed is marked."""
    text = data.decode(errors="replace")
    lines = text.split("\n")
    has_final_newline = not lines[-1]
    return lines[:-1] if has_final_newline else [*lines[:-1], lines[-1] + "  (no end of line)"]


def _colored(line: str) -> str:
    style = {"+": "32", "-": "31", "@": "36"}.get(line[:1])
    return f"\x1b[{style}m{line}\x1b[0m" if style else line


def patch_text(file: str, before: bytes, after: bytes, color: bool = False) -> str:
    """A unified diff of two versions of a file, in the form that `patch` reads.

    With `color`, which is for people, invisible characters are escaped.
    """
    old, new = (_lines_with_ends(data) for data in (before, after))
    lines = [line.removesuffix("\n") for line in unified_diff(old, new, file, file)]
    if not color:
        return "\n".join(lines)
    return "\n".join(_colored(escape_invisible(part)) for line in lines for part in line.split("\n"))


def _lines_with_ends(data: bytes) -> list[str]:
    """The lines of a text; a last line without a line feed has a mark after it, as `diff` writes it."""
    lines = [f"{line}\n" for line in data.decode(errors="replace").split("\n")]
    if lines[-1] == "\n":
        return lines[:-1]
    return [*lines[:-1], f"{lines[-1]}\\ No newline at end of file\n"]
