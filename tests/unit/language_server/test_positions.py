"""Positions in texts, and changes of them."""

from __future__ import annotations

import random

import pytest
from jsonnx.language_server.documents.documents import Document
from jsonnx.language_server.documents.positions import TextPositions
from lsprotocol import types


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_positions_lead_back_to_their_offsets(encoding: str) -> None:
    text = "a\U0001f600\r\n\ud83d é\r\u2028b\n\n\U0001f600"
    positions = TextPositions(text, encoding)
    for offset in range(len(text) + 1):
        if text[offset - 1 : offset + 1] != "\r\n":  # between the characters of a line end
            assert positions.offset(positions.position(offset)) == offset
    assert positions.line_count == 5
    assert positions.position(len(text)).line == 4


def test_changes_apply_one_after_another() -> None:
    rng = random.Random(0)
    document = Document("file:///a.json", "json", 1, "", "utf-16")
    model = ""
    for version in range(300):
        start = rng.randrange(len(model) + 1)
        end = min(len(model), start + rng.choice([0, 0, 1, 5]))
        while model[start - 1 : start + 1] == "\r\n" or model[end - 1 : end + 1] == "\r\n":
            start, end = max(start - 1, 0), min(end + 1, len(model))
        text = rng.choice(["x", "\n", "\r\n", "\U0001f600", "é", "", "\u2028"])
        changed = types.TextDocumentContentChangePartial(document.positions.range(start, end), text)
        document = document.with_changes([changed], version)
        model = model[:start] + text + model[end:]
        assert document.text == model
