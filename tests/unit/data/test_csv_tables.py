"""Tables of separated values: what DuckDB parses, in blocks of any size, and what it may not do."""

from __future__ import annotations

import csv
import io
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.core.system.installation import install_command
from jsonnx.core.types import TensorType
from jsonnx.data.samples.data_errors import ErrorCollector
from jsonnx.data.samples.stored_arrays import stack_columns
from jsonnx.data.tables import block_table, csv_file, csv_parser
from jsonnx.data.tables.csv_cells import CsvDialect
from jsonnx.data.tables.csv_parser import MalformedRows, parse_rows
from jsonnx.data.tables.csv_table import CsvTable
from jsonnx.data.tables.data_files import read_table
from jsonnx.data.tables.data_table import ColumnRequest

NUMBER = ColumnRequest(TensorType("float32", ()))
CLASS = ColumnRequest(TensorType("int64", ()), labels=())


@pytest.fixture(params=[64, 1 << 22], autouse=True)
def block_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few and of many rows."""
    monkeypatch.setattr(block_table, "BLOCK_BYTES", request.param)


def _open(content: str | bytes, file: str = "t.csv") -> tuple[CsvTable, ErrorCollector]:
    errors = ErrorCollector(file)
    data = content if isinstance(content, bytes) else content.encode()
    table = read_table(io.BytesIO(data), file, errors)
    if errors:
        raise CompileError(errors.diagnostics)
    assert isinstance(table, CsvTable)
    return table, errors


def _column(content: str | bytes, name: str, wanted: ColumnRequest = NUMBER) -> list[Any]:
    table, errors = _open(content)
    column = table.column(name, wanted, errors)
    if column is None:
        raise CompileError(errors.diagnostics)
    return np.asarray(column).tolist()


def _error(content: str | bytes, name: str = "a", wanted: ColumnRequest = NUMBER) -> tuple[str, int | None, int | None]:
    with pytest.raises(CompileError) as caught:
        _column(content, name, wanted)
    (error,) = caught.value.diagnostics
    return error.message, error.line, error.column


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\r\n\r\n"])
def test_any_line_end_ends_a_row(end: str) -> None:
    rows = [f"{row},text {row}" for row in range(40)]
    content = end.join(["a,b", *rows])
    assert _column(content, "a") == _column(content + end, "a") == list(range(40))


def test_line_ends_may_be_mixed_and_stay_in_quoted_texts() -> None:
    table, _ = _open('a,b\r\n1,"x\r\ny"\n2,"u\nv"\r3,"p\rq"\n')
    assert table.values("b") == ["x\r\ny", "u\nv", "p\rq"]


def test_empty_lines_are_no_rows_of_a_single_column() -> None:
    assert _column('\n\na\n\n1\n\n\n"2"\n', "a") == [1, 2]


def test_spaces_may_stand_before_and_behind_quotation_marks() -> None:
    table, _ = _open('a, "b, c"\n1, "x, y" \n2,"z" \n')
    assert table.names == ["a", "b, c"]
    assert table.values("b, c") == ["x, y", "z"]


@pytest.mark.parametrize("row", ["1,2,", "1,2,,", "1,2,3", "1", "# text"])
def test_a_row_has_as_many_values_as_the_header(row: str) -> None:
    content = "a,b\n" + "0,0\n" * 20 + f"{row}\n" + "0,0\n" * 20 + f"{row}\n"
    message, line, _ = _error(content)
    assert message.startswith(f"row at line 22: {row.count(',') + 1} values in a row, 2 in the header")
    assert message.endswith("and 1 more like it in line 43")
    assert line == 22


def test_an_empty_last_column_ends_a_row_with_a_separator() -> None:
    assert _column("a,b\n1,\n2,\n", "a") == [1, 2]


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        ('a,b\n1,2\n1,"x"y\n1,2\n', "',' expected after '\"'", 3),
        ('a,b\n1,"u\nv"\n1,"x"y\n', "',' expected after '\"'", 4),
        ('a,b\n1,2\n1,"x\n1,2\n', "the file ends within quotation marks", 3),
        ('a,"b\n1,2\n', "the file ends within quotation marks", 1),
        ('"a"b,c\n1,2\n', "',' expected after '\"'", 1),
        ("a,b\n1,2\n" + "3" * 131_073 + ",4\n", "more than 131,072 characters", 3),
        ('a,b\n1,2\n3,"' + "4\n" * 80_000, "more than 131,072 characters", 3),
        (b"a,b\n1,2\n\xe9,3\n", "byte 8 is not UTF-8", 3),
    ],
)
def test_a_row_that_cannot_be_read_is_located(content: str | bytes, message: str, line: int) -> None:
    found = _error(content)
    assert message in found[0]
    assert found[1] == line


def test_an_unclosed_field_takes_little_memory() -> None:
    content = 'a,b\n1,2\n3,"' + "4\n" * 4_000_000
    _error(content[:20])  # imports what reads tables
    tracemalloc.start()
    try:
        message, line, _ = _error(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "more than 131,072 characters" in message
    assert line == 3
    assert peak < 10 * len(content)


def test_a_field_of_the_longest_size_is_read() -> None:
    text = "x" * 131_072
    assert _open(f"a,b\n1,{text}\n2,é{text[1:]}\n")[0].values("b") == [text, "é" + text[1:]]


def test_a_row_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "MAX_CSV_ROW_BYTES", 1000)
    monkeypatch.setattr(block_table, "BLOCK_BYTES", 64)
    names = ",".join(f"c{number}" for number in range(100))
    message, line, _ = _error(f"{names}\n" + ",".join(["1" * 30] * 100) + "\n", "c0")
    assert "the row that begins here has more than 1,000 bytes" in message
    assert line == 2


def test_a_column_may_turn_to_texts_in_a_later_block() -> None:
    numbers = [str(row) for row in range(60)]
    content = "\n".join(["a", *numbers, "many", "17", ""])
    message, line, column = _error(content)
    assert (message, line, column) == ("row at line 62, column 'a': 'a' holds 'many', not a number", 62, 1)
    assert _open(content)[0].values("a") == [*numbers, "many", "17"]
    assert _column("\n".join(["a", *["ash", "elm"] * 30]), "a", CLASS) == ["ash", "elm"] * 30


def test_cells_without_a_number_are_counted_in_all_blocks() -> None:
    content = "a,b\n" + "".join(f"{'NA' if row % 10 == 3 else row},{row}\n" for row in range(50))
    assert _error(content)[:2] == ("column 'a' has no number in 5 of 50 rows, in lines 5, 15, 25, 35, 45", 5)
    accepted = ColumnRequest(NUMBER.type, accepts_missing=True)
    assert np.isnan(_column(content, "a", accepted)).sum() == 5


@pytest.mark.parametrize("cell", ["1_000", "nan(1)", "0x1A", "1,5", "1.5f", "\u0663x", "true"])
def test_only_numbers_are_numbers(cell: str) -> None:
    content = "a\tb\n" + "1\t2\n" * 20 + f"{cell}\t2\n"
    errors = ErrorCollector("t.tsv")
    table = read_table(io.BytesIO(content.encode()), "t.tsv", errors)
    assert table is not None
    assert table.column("a", NUMBER, errors) is None
    assert [error.line for error in errors.diagnostics] == [22]


@pytest.mark.parametrize("cell", ["nan", "inf", "-Infinity", "1e400", " 2 ", "+.5", "5.", "1E3"])
def test_numbers_are_those_of_python(cell: str) -> None:
    assert np.array_equal(_column(f"a,b\n1,2\n{cell},3\n", "a"), [1, float(cell)], equal_nan=True)


def test_columns_of_a_group_are_stacked_without_a_copy() -> None:
    table, errors = _open("a,b,c\n" + "".join(f"{row},{row + 0.5},x\n" for row in range(50)))
    assert table.load([{"a": NUMBER, "b": NUMBER}], ["c"], errors)
    columns = [table.column(name, NUMBER, errors) for name in ("a", "b")]
    stacked = stack_columns([column for column in columns if column is not None])
    assert isinstance(stacked, np.ndarray)
    assert stacked.flags.c_contiguous
    assert np.shares_memory(stacked, np.asarray(columns[0]))
    assert stacked.tolist() == [[row, row + 0.5] for row in range(50)]
    assert table.values("c") == ["x"] * 50


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n"])
def test_cells_are_located_in_rows_of_any_form(end: str) -> None:
    random = Random(end)
    cells = [
        "1",
        "",
        "text",
        "ünïcode",
        '"a, b"',
        '"two\nlines"',
        '"three\r\nli\rnes"',
        '"say ""a, b"""',
        ' "b"',
        '5" x',
    ]
    content, places = f"a,b,c{end}", []
    for _ in range(60):
        row = [random.choice(cells) for _ in range(3)]
        for number in range(3):
            before = (content + ",".join(row[:number]) + "," * (number > 0)).replace("\r\n", "\n").replace("\r", "\n")
            places.append((before.count("\n") + 1, len(before) - before.rfind("\n")))
        content += ",".join(row) + end
    table, _ = _open(content)
    locate = table.element_locator(["a", "b", "c"])
    found = [locate((row, number)) for row in range(60) for number in range(3)]
    assert [(location.line, location.column) for location in found] == places
    assert table.name_location("c")[1:3] == (1, 5)


# -- wide tables -------------------------------------------------------------------------------------------------------


def _random_rows(random: Random, columns: int) -> bytes:
    cells = ["1", "2.5", "", "NA", "x", '5" p', '"a"', '"a,b"', '"l\nm"', '"q""r"', '"""z"""', '""', ' "s"', "ü"]
    rows = (",".join(random.choice(cells) for _ in range(columns)) for _ in range(random.randrange(1, 8)))
    return "".join(f"{row}\n" for row in rows).encode()


def test_wide_tables_are_parsed_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(60):
        random = Random(seed)
        columns = random.randrange(2, 6)
        rows, positions = _random_rows(random, columns), range(columns)
        expected = [*csv.reader(io.StringIO(rows.decode(), newline=""), skipinitialspace=True, strict=True)]
        parsed = []
        for max_columns in (columns, 1):
            monkeypatch.setattr(csv_parser, "MAX_COLUMNS", max_columns)
            row_count, texts = parse_rows(rows, CsvDialect(), columns, (), positions)
            _, numbers = parse_rows(rows, CsvDialect(), columns, positions, ())
            assert row_count == len(expected)
            assert [[*row] for row in zip(*(list(texts[p]) for p in positions), strict=True)] == expected  # type: ignore[arg-type]
            parsed.append([None if numbers[p] is None else np.ma.filled(numbers[p], -1).tolist() for p in positions])
        assert parsed[0] == parsed[1]


@pytest.mark.parametrize("rows", [b"1,2\n1\n1,2,3\n", b'1,2\n1,"a"b\n'])
@pytest.mark.parametrize("max_columns", [1, 2])
def test_malformed_rows_are_refused(rows: bytes, max_columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_parser, "MAX_COLUMNS", max_columns)
    with pytest.raises(MalformedRows):
        parse_rows(rows, CsvDialect(), 2, (), (0, 1))


# -- the database ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{path}')",
        "SELECT * FROM '{path}'",
        "SELECT * FROM read_text('{path}')",
        "COPY (SELECT 1) TO '{path}.copy'",
        "ATTACH '{path}.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET temp_directory = '{path}.tmp'",
        "SELECT * FROM read_csv('http://localhost/t.csv')",
    ],
)
def test_the_database_reads_and_writes_no_files(query: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    with pytest.raises(Exception, match=r"(?i)permission|disabled|locked|cannot|not allowed"):
        csv_parser._database().connection.cursor().execute(query.format(path=path)).fetchall()
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv"]


def test_an_error_of_the_database_is_a_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(csv_parser.SETTINGS, "memory_limit", "10KB")
    csv_parser._database.cache_clear()
    message, line, _ = _error("a,b\n" + "1,2\n" * 100)
    csv_parser._database.cache_clear()
    assert message.startswith("not a readable .csv file: DuckDB: Out of Memory Error")
    assert line == 1


@pytest.fixture
def without_duckdb(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    csv_parser._database.cache_clear()
    yield
    csv_parser._database.cache_clear()


def test_without_duckdb_the_help_names_the_extra(without_duckdb: None) -> None:
    table, errors = _open("a\n1\n")
    with pytest.raises(UsageError) as caught:
        table.column("a", NUMBER, errors)
    assert caught.value.diagnostic.code == "missing-package"
    assert "needs the package duckdb" in caught.value.diagnostic.message
    assert caught.value.diagnostic.help == install_command("tables")
