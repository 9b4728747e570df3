"""Properties of the reader, the formatter, the check and the reports, for inputs that Hypothesis draws."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.frontend.json.json_reader import read_text
from jsonnx.frontend.text.formatter import format_source
from jsonnx.frontend.text.spec_detection import is_spec_file
from jsonnx.pipeline.check.check import check_spec
from jsonnx.render.diagnostics.diagnostics import FORMATS, render

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")

ROOT = Path(__file__).parents[3]
MAX_SAMPLE_BYTES = 1_500
SAMPLES = [
    json.loads(path.read_text("utf-8"))
    for path in sorted((ROOT / "samples").glob("*.json"))
    if path.stat().st_size <= MAX_SAMPLE_BYTES
]

PIECES = ["{", "}", "[", "]", ",", ":", '"', "\\", "\\u", "d800", "null", "true", "NaN", "1", "-", ".", "e", "0", "x"]
PIECES += [
    " ",
    "\n",
    "\r",
    "\t",
    "/*",
    "//",
    "\ufeff",
    "\u2028",
    "\u202e",
    "\x00",
    '"layers"',
    '"inputs"',
    "${",
    "é",
    "'",
]
KIND_CODE = "other-format"
"""The code of a file that begins like a picture or an archive, whose lines mean nothing."""

texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=30).map("".join)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
words = st.sampled_from(["Dense", "x", "relu", "${width}", "${1/0}", "$ref", "valid", "adam", "", "a.b", "*"])
values = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)

settings = hypothesis.settings(max_examples=80, derandomize=True, deadline=None, database=None)
"""The same examples at each run, so that a failure in CI is one everywhere."""


@settings
@hypothesis.given(texts | st.binary(max_size=40))
def test_a_text_is_read_as_by_the_standard_library_or_rejected_with_a_position(text: str | bytes) -> None:
    try:
        source = read_text(text)
    except CompileError as error:
        positions = [(d.line, d.column) for d in error.diagnostics if d.code != KIND_CODE]
    else:
        positions = []
        assert source.value == json.loads(source.text)
    assert all(line and column for line, column in positions)


@settings
@hypothesis.given(values)
def test_formatting_keeps_values_and_is_done_once(value: Any) -> None:
    try:
        source = read_text(json.dumps({"layers": value}, ensure_ascii=False))
    except CompileError:  # a lone surrogate, or a number that underflows
        return
    formatted = format_source(source)
    assert json.loads(formatted) == source.value
    assert format_source(read_text(formatted)) == formatted


@st.composite
def changed_samples(draw: Any) -> Any:
    """A sample in which some values are replaced, removed or doubled."""
    document = copy.deepcopy(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        container: Any = document
        while True:
            keys = list(container) if isinstance(container, dict) else range(len(container))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(container[key], dict | list) and container[key] and draw(st.integers(0, 3)):
                container = container[key]
                continue
            match draw(st.sampled_from(["replace", "remove", "add"])):
                case "replace":
                    container[key] = draw(values)
                case "remove":
                    del container[key]
                case "add" if isinstance(container, dict):
                    container[draw(words)] = draw(values)
                case "add":
                    container.insert(key, copy.deepcopy(container[key]))
            break
    return document


@hypothesis.settings(settings, max_examples=25, suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(changed_samples())
def test_a_changed_sample_is_checked_and_reported_in_all_formats(document: Any) -> None:
    text = json.dumps(document)
    try:
        diagnostics = list(check_spec(text).diagnostics)
    except CompileError as error:
        diagnostics = list(error.diagnostics)
    for diagnostic in diagnostics:
        assert diagnostic.line, diagnostic
        assert diagnostic.column, diagnostic
        assert diagnostic.end_line is None or (diagnostic.end_line, diagnostic.end_column) > (
            diagnostic.line,
            diagnostic.column,
        )
    for format in FORMATS:
        assert render(diagnostics, format, files=["spec.json"]).replace("\n", "").isprintable()


@settings
@hypothesis.given(st.binary(max_size=60) | texts.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_file_is_a_spec_or_is_none(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "drawn.json"
    path.write_bytes(data)
    assert is_spec_file(str(path)) in (True, False)


def test_numbers_of_the_reader_are_finite() -> None:
    """What the formatter's property relies on: floats survive `json.dumps`."""
    assert math.isfinite(read_text("1.7976931348623157e308").value)  # type: ignore[arg-type]
