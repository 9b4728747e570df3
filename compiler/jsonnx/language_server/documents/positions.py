"""Offsets of a text, and the lines and characters of the protocol, which count UTF-16 code units unless negotiated."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property

from lsprotocol import types

from ...core.diagnostics import Position
from ...frontend.json.text_pieces import LineIndex

BYTE_ORDER_MARK = "\ufeff"


class TextPositions:
    """Converts between offsets of a text (in code points) and positions of the protocol.

    LF, CRLF and a lone CR end a line, as in the reader of specs. A position behind the end of a line means its end, one
    inside a character means its start.
    """

    def __init__(self, text: str, encoding: str = "utf-16") -> None:
        self.text, self.encoding = text, encoding
        self._index = LineIndex(text)

    @cached_property
    def _is_one_unit_each(self) -> bool:
        return self.encoding == "utf-32" or self.text.isascii()

    @property
    def line_count(self) -> int:
        return len(self._index.line_starts)

    def line_start(self, line: int) -> int:
        """The offset of a line, counted from 0; the text's end behind the last one."""
        starts = self._index.line_starts
        return starts[line] if line < len(starts) else len(self.text)

    def line_end(self, line: int) -> int:
        """The offset of the end of a line, without its line end."""
        start = self.line_start(line)
        return start + len(self.text[start : self.line_start(line + 1)].rstrip("\r\n"))

    def line_at(self, offset: int) -> int:
        """The line of an offset, counted from 0."""
        return bisect_right(self._index.line_starts, offset) - 1

    def position(self, offset: int) -> types.Position:
        """The position of an offset."""
        line = self.line_at(offset)
        start = self.line_start(line)
        return types.Position(line, offset - start if self._is_one_unit_each else self._units(self.text[start:offset]))

    def range(self, start: int, end: int) -> types.Range:
        """The range from an offset to another one."""
        return types.Range(self.position(start), self.position(end))

    def offset(self, position: types.Position) -> int:
        """The offset of a position."""
        if position.line >= self.line_count:
            return len(self.text)
        start, end = self.line_start(position.line), self.line_end(position.line)
        if self._is_one_unit_each:
            return min(start + position.character, end)
        units = 0
        for offset in range(start, end):
            units += self._units(self.text[offset])
            if units > position.character:
                return offset
        return end

    def offset_of(self, position: Position) -> int:
        """The offset of a position of a diagnostic, which counts from 1, and no byte order mark."""
        start = self.line_start(position.line - 1)
        mark = int(position.line == 1 and self.text.startswith(BYTE_ORDER_MARK))
        return min(start + mark + position.column - 1, len(self.text))

    def _units(self, text: str) -> int:
        if self.encoding == "utf-8":
            return len(text.encode("utf-8", "surrogatepass"))
        return len(text) + sum(character > "\uffff" for character in text) if not text.isascii() else len(text)
