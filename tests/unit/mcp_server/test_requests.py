"""Requests with lone surrogates, which the SDK does not answer."""

from __future__ import annotations

import json

import pytest
from jsonnx.mcp_server.requests import without_lone_surrogates


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (r'{"a": "\ud800"}', {"a": "\ufffd"}),
        (r'{"\uDFFF": ["x\udc00y"]}', {"\ufffd": ["x\ufffdy"]}),
        (r'{"a": "\ud83d\ude00"}', {"a": "\U0001f600"}),
        (r'{"a": "\ud83d \ud83d\ude00"}', {"a": "\ufffd \U0001f600"}),
    ],
)
def test_a_lone_surrogate_becomes_the_replacement_character(line: str, value: object) -> None:
    assert json.loads(without_lone_surrogates(line)) == value


@pytest.mark.parametrize("line", ['{"a": "é"}', r'{"a": "\u00e9"}', r'{"a": "\ud800', "", "[" * 100_000 + r'"\ud800'])
def test_any_other_line_stays(line: str) -> None:
    assert without_lone_surrogates(line) == line
