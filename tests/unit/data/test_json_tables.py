"""Data files in JSON: their layouts, the columns, and the positions of errors."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import TensorType
from jsonnx.data.samples.data_errors import ErrorCollector
from jsonnx.data.tables.data_files import read_table
from jsonnx.data.tables.data_table import ColumnRequest, DataTable

NUMBER, TEXT = TensorType("float32", ()), TensorType("string", ())
ROWS = '[{"a": 1, "b": "x"},\n {"b": "y", "a": 2.5}]'
COLUMNS = '{"a": [1, 2.5],\n "b": ["x", "y"]}'
LINES = '\ufeff{"a": 1, "b": "x"}\n\n{"b": "y", "a": 2.5}\n'


def read(text: str, format: str) -> tuple[DataTable | None, ErrorCollector]:
    errors = ErrorCollector("data." + format)
    return read_table(io.BytesIO(text.encode()), "data." + format, errors), errors


def table_of(text: str, format: str) -> DataTable:
    table, errors = read(text, format)
    assert table is not None, errors.diagnostics
    return table


@pytest.mark.parametrize(("text", "format"), [(ROWS, "json"), (COLUMNS, "json"), (LINES, "jsonl")])
def test_three_layouts_hold_the_same_table(text: str, format: str) -> None:
    table, errors = table_of(text, format), ErrorCollector()
    assert [*table.names] == ["a", "b"]
    numbers, texts = table.column("a", ColumnRequest(NUMBER), errors), table.column("b", ColumnRequest(TEXT), errors)
    assert numbers is not None
    assert numbers.tolist() == [1, 2.5]
    assert texts is not None
    assert texts.tolist() == ["x", "y"]
    assert table.values("b") == ["x", "y"]
    assert not errors


@pytest.mark.parametrize(
    ("values", "dtype", "shape"),
    [
        ([1, 2], np.int64, (2,)),
        ([True, False], np.bool_, (2,)),
        ([1, 2**70], np.float64, (2,)),
        ([[1, 10**400]], np.float64, (1, 2)),
        ([[[1, 2]], [[3, 4.5]]], np.float64, (2, 1, 2)),
        ([["a", "b"], ["c", "d"]], object, (2, 2)),
    ],
)
def test_nested_lists_are_axes(values: list[Any], dtype: Any, shape: tuple[int, ...]) -> None:
    array = table_of(json.dumps({"a": values}), "json").column("a", ColumnRequest(NUMBER), ErrorCollector())
    assert array is not None
    assert (array.dtype, array.shape) == (dtype, shape)


@pytest.mark.parametrize(
    ("text", "format", "line", "column", "message"),
    [
        ('{"a": 1}\n{"a": 1 2}', "jsonl", 2, 9, "not valid JSON"),
        ('{"a": 1}\n[1]', "jsonl", 2, 1, "a row is [1], not an object"),
        ('{"a": 1} {"a": 2}', "jsonl", 1, 10, "more text behind the line's first value"),
        ('{"a": 1, "a": 2}', "jsonl", 1, 1, "the key 'a' is there twice"),
        ('[{"a": 1}\n {"a": 2}]', "json", 2, 2, "expected ',' or ']'"),
        ('[{"a": 1},\n 3]', "json", 2, 2, "a row is 3, not an object"),
        ('{"a": [1],\n "b": 2}', "json", 2, 7, "'b' is 2, not a list"),
        ('{"a": [1],\n "a": [2]}', "json", 2, 7, "the key 'a' is there twice"),
        ('{"a": [1]}\n{"a": [1]}', "json", 2, 1, "more text behind the first value"),
        ('{"a": [1', "json", 1, 9, "not valid JSON"),
        ('[{"a": 1},]', "json", 1, 11, "not valid JSON"),
        ('{"a": [1],}', "json", 1, 11, "expected a key in quotation marks"),
        ("", "json", 1, 1, "not a table"),
        ("3", "json", 1, 1, "not a table"),
        ("[" * 100_000, "json", None, None, "nested too deeply"),
        ("[]", "json", 1, None, "no rows"),
        ("\n\n", "jsonl", 1, None, "no rows"),
    ],
)
def test_a_malformed_file_is_a_error_with_its_position(
    text: str, format: str, line: int | None, column: int | None, message: str
) -> None:
    table, errors = read(text, format)
    assert table is None
    (error,) = errors.diagnostics
    assert message in error.message
    assert (error.file, error.line, error.column) == (f"data.{format}", line, column)


def test_values_that_rows_lack_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jsonnx.data.tables.json_tables.MAX_ABSENT_JSON_VALUES", 6)
    lines = "".join(f'{{"k{row}": 1}}\n' for row in range(4))
    table_of("".join(lines.splitlines(keepends=True)[:3]), "jsonl")
    table, errors = read(lines, "jsonl")
    assert table is None
    (error,) = errors.diagnostics
    assert "4 different keys, and lack more than 6" in error.message
    assert (error.line, error.help) == (4, "give all rows the same keys")


def test_other_encodings_are_a_error() -> None:
    errors = ErrorCollector("a.json")
    assert read_table(io.BytesIO('{"a": ["é"]}'.encode("latin-1")), "a.json", errors) is None
    assert "not UTF-8" in errors.diagnostics[0].message


@pytest.mark.parametrize(
    ("text", "format", "type", "line", "column", "message"),
    [
        ('[{"a": 1},\n {"b": 2, "a": "x"}]', "json", NUMBER, 2, 16, "'a' holds \"x\", not a number"),
        ('{"a": [1,\n [2]]}', "json", NUMBER, 2, 2, "has shape [1], in row 1 it has shape []"),
        ('{"a": [[1], [[2], 3]]}', "json", NUMBER, 1, 13, "is ragged, in row 1 it has shape [1]"),
        ('{"a": 1}\n{"a": null}', "jsonl", NUMBER, 2, 7, "no value in 1 of 2 rows"),
        ('{"a": 1}\n{"b": 1}', "jsonl", NUMBER, 2, 1, "no value in 1 of 2 rows"),
        ('{"a": ["x", "y"]}\n{"a": ["x"]}', "jsonl", TEXT, 2, 7, "has shape [1], in row 1 it has shape [2]"),
        ('{"a": [],\n "b": [1]}', "json", NUMBER, 1, None, "column 'a' has no values"),
        ('{"a": [null], "b": [1, 2]}', "json", NUMBER, 1, 8, "no value in 1 of 1 rows"),
        ('{"a": "x"}\n{"a": 1}', "jsonl", TEXT, 2, 7, "'a' holds 1, not a text"),
        ('{"a": [1, 2]}\n{"a": [1, {"b": 1}]}', "jsonl", NUMBER, 2, 7, "'a' holds {\"b\": 1}, not a number"),
    ],
)
def test_a_bad_value_is_a_error_with_its_position(
    text: str, format: str, type: TensorType, line: int, column: int | None, message: str
) -> None:
    table, errors = table_of(text, format), ErrorCollector()
    assert table.column("a", ColumnRequest(type), errors) is None
    (error,) = errors.diagnostics
    assert message in error.message
    assert (error.line, error.column) == (line, column)


@pytest.mark.parametrize(("type", "help"), [(NUMBER, "may have missing numbers"), (TEXT, "may have missing texts")])
def test_the_help_for_a_missing_value_suits_its_type(type: TensorType, help: str) -> None:
    errors = ErrorCollector()
    table_of('{"a": [null, null]}', "json").column("a", ColumnRequest(type), errors)
    assert help in str(errors.diagnostics[0].help)


def test_an_element_is_located_in_its_row() -> None:
    locate = table_of(ROWS, "json").element_locator(["a"])
    assert locate((1, 0)).text == "row 2, column 'a', element [0]"
    assert locate((1,))[1:3] == (2, 18)
    assert table_of(ROWS, "json").element_locator(["b", "a"])((1, 1)).text == "row 2, column 'a'"
    assert table_of(COLUMNS, "json").element_locator(["b"])((1,))[1:3] == (2, 13)


@pytest.mark.parametrize(
    ("values", "type", "help"),
    [
        ([1, None], NUMBER, "missing numbers"),
        (["x", None], TEXT, "missing texts"),
        (["no", None], NUMBER, "missing texts"),  # names of classes
        ([None], NUMBER, "missing numbers"),
    ],
)
def test_the_help_for_a_missing_value_tells_numbers_from_texts(values: list[Any], type: TensorType, help: str) -> None:
    errors = ErrorCollector()
    assert table_of(json.dumps({"a": values}), "json").column("a", ColumnRequest(type), errors) is None
    (diagnostic,) = errors.diagnostics
    assert diagnostic.help is not None
    assert help in diagnostic.help
