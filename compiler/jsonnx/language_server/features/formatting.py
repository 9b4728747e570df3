"""Formatting, as `jsonnx fmt` does it."""

from __future__ import annotations

from lsprotocol import types

from ...core.diagnostics import CompileError
from ...frontend.json.json_reader import read_text
from ...frontend.text.formatter import format_source
from ..documents.documents import Document


def formatting_edits(document: Document) -> list[types.TextEdit]:
    """One edit, of the text from the first to the last change; none if the text is no JSON or is formatted."""
    try:
        formatted = format_source(read_text(document.text, document.path))
    except CompileError:
        return []
    return replacing_edits(document, formatted)


def replacing_edits(document: Document, new_text: str) -> list[types.TextEdit]:
    """One edit that gives a document another text, from the first to the last change; none if the text is the same."""
    text = document.text
    if new_text == text:
        return []
    shorter = min(len(text), len(new_text))
    start = next((index for index in range(shorter) if text[index] != new_text[index]), shorter)
    rest = shorter - start
    after = next((index for index in range(rest) if text[-1 - index] != new_text[-1 - index]), rest)
    if text[start - 1 : start] == "\r":  # not between the two characters of a line end
        start -= 1
    changed = document.positions.range(start, len(text) - after)
    return [types.TextEdit(changed, new_text[start : len(new_text) - after])]
