"""Texts that are nearly JSON, as people and language models write them, and what their fix makes of them."""

from __future__ import annotations

from time import process_time

import pytest
from jsonnx.core.diagnostics import CompileError, Diagnostic
from jsonnx.frontend.json.json_reader import read_text
from jsonnx.frontend.text.text_edits import apply_text_edits


def error_of(text: str) -> Diagnostic:
    with pytest.raises(CompileError) as error:
        read_text(text)
    (diagnostic,) = error.value.diagnostics
    return diagnostic


SAFE = [
    ('{"a": 1,}', '{"a": 1}'),
    ('{"a": [1, 2, ], }', '{"a": [1, 2 ] }'),
    ("{'a': 'it\\'s \"x\"', 'b': True, 'c': None}", '{"a": "it\'s \\"x\\"", "b": true, "c": null}'),
    ("{a: 1, b: relu, $c: undefined}", '{"a": 1, "b": "relu", "$c": null}'),
    ('```json\n{"a": 1}\n```\n', '{"a": 1}\n'),
    ('{"a": 1 "b": 2\n "c": 3}', '{"a": 1, "b": 2,\n "c": 3}'),
    ('{"a" 1, "b" = 2}', '{"a": 1, "b" : 2}'),
    ('{"a": 1,, "b": [1,,2]}', '{"a": 1, "b": [1,2]}'),
    ('{"a": (3, 3), "b": (1,)}', '{"a": [3, 3], "b": [1]}'),
    ("{\u201ca\u201d: \u2018b\u2019}", '{"a": "b"}'),
    (
        '{"a": 0x1F, "b": 007, "c": +1, "d": -.5, "e": 1., "f": 1_000}',
        '{"a": 31, "b": 7, "c": 1, "d": -0.5, "e": 1.0, "f": 1000}',
    ),
    ('const model = {"a": 1};', '{"a": 1}'),
    ('model = {"a": 1}', '{"a": 1}'),
    ('{"a": "x\ty", "p": "C:\\data"}', '{"a": "x\\ty", "p": "C:\\\\data"}'),
    ('{"a": 1, "b": 2,\n "a": 1}', '{"a": 1, "b": 2}'),
    ('{"a":\u00a01,\u200b"b": 2}', '{"a": 1,"b": 2}'),
    ('{"a": "b"}}]', '{"a": "b"}'),
]
UNSAFE = [
    ('// hi\n{\n  "a": 1, // one\n  /* b */ "b": 2\n}\n# end\n', '{\n  "a": 1,\n  "b": 2\n}\n'),
    ('Here is the spec:\n{"a": 1}\nHope it helps', '{"a": 1}\n'),
    ('{"a": [1, {"b": 2\n', '{"a": [1, {"b": 2}]}\n'),
]


@pytest.mark.parametrize(("text", "expected"), [*SAFE, *UNSAFE])
def test_one_fix_makes_the_whole_text_json(text: str, expected: str) -> None:
    fix = error_of(text).fix
    assert fix is not None
    assert fix.is_safe == ((text, expected) in SAFE)
    repaired = apply_text_edits(text, fix.text_edits)
    assert repaired == expected
    read_text(repaired)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN}',
        '{"a": "x',
        '{"a": 1}{"b": 2}',
        '{"a": 1, "a": 3}',
        '{"a": \'b}',
        "a,b\n1,2\n",
        '{"a":',
        '["\\ud800"]',
    ],
)
def test_what_is_not_certain_has_no_fix(text: str) -> None:
    assert error_of(text).fix is None


def test_a_text_with_a_further_error_gets_the_fix_of_its_first_error() -> None:
    text = '{"a": True, "b": NaN}'
    fix = error_of(text).fix
    assert fix is not None
    assert apply_text_edits(text, fix.text_edits) == '{"a": true, "b": NaN}'


@pytest.mark.parametrize("item", ["'x'", "True", "relu", "1 /* c */", "[1,]", "{a: 'b'}"])
def test_many_mistakes_take_little_time(item: str) -> None:
    text = "[" + ",\n".join([item] * 3_000) + "]"
    start = process_time()
    fix = error_of(text).fix
    assert process_time() - start < 3
    assert fix is not None
    read_text(apply_text_edits(text, fix.text_edits))


def test_an_error_of_the_syntax_has_an_end() -> None:
    error = error_of('{"a": True}')
    assert (error.line, error.column, error.end_line, error.end_column) == (1, 7, 1, 11)
