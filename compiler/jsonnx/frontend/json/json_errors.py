"""Syntax errors of a JSON text: offsets, messages and repairs, and the diagnostics made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...core.diagnostics import Diagnostic, Note
from ...core.fixes import Fix
from ..schema.phrases import short_name
from .json_mistakes import Mistake
from .text_pieces import LineIndex, Replacement, text_edit


@dataclass(frozen=True)
class JsonError:
    """An error at an offset of a text."""

    code: str
    offset: int
    message: str
    help: str | None = None
    notes: tuple[tuple[str, int, str], ...] = ()
    """The messages, offsets and paths of its notes."""
    end: int | None = None
    """The offset after the text that the error concerns, if this is known."""
    repair: Replacement | None = None
    mistake: Mistake | None = None

    def diagnostic(self, line_index: LineIndex, file: str | None) -> Diagnostic:
        text, repair = line_index.text, self.repair
        start = line_index.position_at(self.offset)
        line_end = re.compile(r"[^\r\n]*").match(text, self.offset)
        last = max(self.offset + 1, line_end.end() if line_end else 0)
        stop = line_index.position_at(min(self.end or self.offset + 1, last))
        notes = tuple(Note(message, path, file, *line_index.position_at(at)) for message, at, path in self.notes)
        return Diagnostic(
            self.code,
            self.message,
            notes[0].path if notes else "$",
            file,
            *start,
            self.help,
            notes=notes,
            end_line=stop.line,
            end_column=stop.column,
            fix=Fix(self.fix_title, (), repair.is_safe, (text_edit(line_index, *repair[:3]),)) if repair else None,
        )

    @property
    def fix_title(self) -> str:
        """The help text, in the form of a title."""
        title = self.help or "close the brackets"
        return title[0].upper() + title[1:]


def quoted_token(text: str) -> str:
    """A token for a message: quoted, shortened, or the code point of a single invisible character."""
    if len(text) == 1 and (text.isspace() or not text.isprintable()):
        return f"U+{ord(text):04X}"
    return short_name(text, max_length=40)
