"""Successive replacements of parts of a text, and their sum as edits of the text before all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..core.fixes import TextEdit
from .json_parser import LineIndex


class Piece(NamedTuple):
    """A part of an edited text: a part of the text before, by its offsets, or new text."""

    start: int
    end: int
    text: str | None = None

    @property
    def length(self) -> int:
        return self.end - self.start if self.text is None else len(self.text)

    def part(self, start: int, end: int) -> Piece:
        """Returns a part of the piece, by offsets in it."""
        if self.text is None:
            return Piece(self.start + start, self.start + end)
        return Piece(0, 0, self.text[start:end])


def text_of(pieces: Iterable[Piece], text: str) -> str:
    """Returns the edited text; `text` is the one before."""
    return "".join(text[piece.start : piece.end] if piece.text is None else piece.text for piece in pieces)


def replaced(pieces: Iterable[Piece], start: int, end: int, text: str) -> list[Piece]:
    """Returns the pieces after the replacement of a part, by offsets of the edited text."""
    before: list[Piece] = []
    after: list[Piece] = []
    offset = 0
    for piece in pieces:
        piece_end = offset + piece.length
        if offset < start:
            before.append(piece.part(0, min(piece_end, start) - offset))
        if piece_end > end:
            after.append(piece.part(max(offset, end) - offset, piece.length))
        offset = piece_end
    return [*before, Piece(0, 0, text), *after]


def text_edits_of(pieces: Sequence[Piece], line_index: LineIndex) -> tuple[TextEdit, ...]:
    """Returns the differences between the edited text and the one before, whose lines `line_index` knows."""
    edits: list[TextEdit] = []
    length = len(line_index.text)
    offset, new_text = 0, ""
    for piece in [*pieces, Piece(length, length)]:
        if piece.text is not None:
            new_text += piece.text
        elif piece.length or piece.start == length:
            if piece.start > offset or new_text:
                edits.append(text_edit(line_index, offset, piece.start, new_text))
            offset, new_text = piece.end, ""
    return tuple(edits)


def text_edit(line_index: LineIndex, start: int, end: int, text: str) -> TextEdit:
    """Returns the replacement of a part of a text, by offsets, with its lines and columns."""
    return TextEdit(start, end, line_index.position_at(start), line_index.position_at(end), text)
