"""Errors of missing values in tables of text."""

from __future__ import annotations

import io

import pytest
from jsonnx.core.types import TensorType
from jsonnx.data.samples.data_errors import ErrorCollector
from jsonnx.data.tables.data_files import read_table
from jsonnx.data.tables.data_table import ColumnRequest


@pytest.mark.parametrize(
    ("file", "content", "noun"),
    [
        ("t.csv", "{x},y\n,1\n,2\n3,4\n", "number"),
        ("t.json", '[{"{x}": null, "y": 1}, {"y": 2}, {"{x}": 3, "y": 4}]', "value"),
    ],
)
def test_a_column_whose_name_has_braces_may_lack_values(file: str, content: str, noun: str) -> None:
    errors = ErrorCollector(file)
    table = read_table(io.BytesIO(content.encode()), file, errors)
    assert table is not None
    assert table.column("{x}", ColumnRequest(TensorType("float32", ())), errors) is None
    (error,) = errors.diagnostics
    assert error.message.startswith(f"column '{{x}}' has no {noun} in 2 of 3 rows, in line")


@pytest.mark.parametrize("file", ["t.csv", "t.json", "t.jsonl"])
def test_another_encoding_is_a_error_with_its_line(file: str) -> None:
    errors = ErrorCollector(file)
    assert read_table(io.BytesIO("a\n\xe9".encode("latin-1")), file, errors) is None
    assert [(error.code, error.line) for error in errors.diagnostics] == [("bad-data-file", 2)]
