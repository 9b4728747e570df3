"""Lines of a text, and successive replacements of its parts, with their sum as edits of the text before all of them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ...core.diagnostics import Position
from ...core.fixes import TextEdit


@dataclass(frozen=True)
class LineIndex:
    """Converts offsets of a text to lines and columns."""

    text: str

    @cached_property
    def line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer(r"\r\n?|\n", self.text))]

    def position_at(self, offset: int) -> Position:
        line = bisect_right(self.line_starts, offset)
        return Position(line, offset - self.line_starts[line - 1] + 1)


class Piece(NamedTuple):
    """A part of an edited text: a part of the text before, by its offsets, or new text."""

    start: int
    end: int
    text: str | None = None

    @property
    def length(self) -> int:
        return self.end - self.start if self.text is None else len(self.text)

    def part(self, start: int, end: int) -> Piece:
        """A part of the piece, by offsets in it."""
        if self.text is None:
            return Piece(self.start + start, self.start + end)
        return Piece(0, 0, self.text[start:end])


def text_of(pieces: Iterable[Piece], text: str) -> str:
    """The edited text; `text` is the one before."""
    return "".join(text[piece.start : piece.end] if piece.text is None else piece.text for piece in pieces)


class Replacement(NamedTuple):
    """The replacement of a part of a text, by offsets."""

    start: int
    end: int
    text: str
    is_safe: bool = True
    """Whether nothing that the author wrote is lost."""


def replaced(pieces: Iterable[Piece], replacements: Sequence[Replacement]) -> list[Piece]:
    """The pieces after replacements, which are sorted and do not overlap, by offsets of the edited text."""
    boundaries = [offset for replacement in replacements for offset in replacement[:2]]
    result: list[Piece] = []
    position = hidden_until = number = 0
    for part in _split(pieces, boundaries):
        while number < len(replacements) and replacements[number].start <= position:
            result.append(Piece(0, 0, replacements[number].text))
            hidden_until = replacements[number].end
            number += 1
        if position >= hidden_until:
            result.append(part)
        position += part.length
    return [*result, *(Piece(0, 0, replacement.text) for replacement in replacements[number:])]


def _split(pieces: Iterable[Piece], boundaries: Sequence[int]) -> Iterator[Piece]:
    """Yields the pieces, cut at sorted offsets of the edited text."""
    offset = number = 0
    for piece in pieces:
        start, end = offset, offset + piece.length
        while number < len(boundaries) and boundaries[number] < end:
            if boundaries[number] > start:
                yield piece.part(start - offset, boundaries[number] - offset)
                start = boundaries[number]
            number += 1
        if end > start:
            yield piece.part(start - offset, piece.length)
        offset = end


def text_edits_of(pieces: Sequence[Piece], line_index: LineIndex) -> tuple[TextEdit, ...]:
    """The differences between the edited text and the one before, whose lines `line_index` knows."""
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
    """The replacement of a part of a text, by offsets, with its lines and columns."""
    return TextEdit(start, end, line_index.position_at(start), line_index.position_at(end), text)
