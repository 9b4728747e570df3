"""Tables of text that stay in their files give the same samples and errors as loaded ones, whatever their blocks."""

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.data.files.dataset_files import from_file
from jsonnx.data.samples import memory_limit
from jsonnx.data.samples.data_spec import DataSpec
from jsonnx.data.samples.dataset import Dataset
from jsonnx.data.samples.stored_arrays import StoredArray
from jsonnx.data.tables import block_table
from jsonnx.sections.data_section import DataSection

ROWS = 200
WORDS = {"output_mode": "one_hot", "max_tokens": 7, "pad_to_max_tokens": True}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows."""
    monkeypatch.setattr(block_table, "BLOCK_BYTES", 300)


def _rows() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    texts = ["plain", 'a "quoted" one', "two\nlines", "a, comma", "ünïcode"]
    return [
        {
            "a": round(float(rng.normal()), 6),
            "b": int(rng.integers(1000)),
            "text": texts[row % len(texts)],
            "y": row % 3,
        }
        for row in range(ROWS)
    ]


def _quoted(value: Any) -> str:
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text


def _csv(rows: list[dict[str, Any]], end: str = "\n") -> bytes:
    lines = [",".join(rows[0]), *(",".join(map(_quoted, row.values())) for row in rows)]
    return (end.join(lines) + end).encode()


def _json_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _dataset(path: Path, memory: str, columns: Any = ("a", "b"), **data: Any) -> Dataset:
    section = DataSection(train=path.name, x=columns, y="y", memory=memory, **data)
    spec = DataSpec({"x": TensorType("float32", (BATCH, len(columns)))}, {"y": TensorType("int64", (BATCH,))})
    return from_file(path, section, spec)


def _require_equal(path: Path, **data: Any) -> Dataset:
    loaded, streamed = _dataset(path, "load", **data), _dataset(path, "stream", **data)
    assert isinstance(streamed.inputs["x"], StoredArray)
    assert np.array_equal(np.asarray(streamed.inputs["x"]), loaded.inputs["x"], equal_nan=True)
    assert np.array_equal(np.asarray(streamed.targets["y"]), loaded.targets["y"])
    rows = np.random.default_rng(0).permutation(len(loaded))[:50]
    assert all(np.array_equal(array, loaded.take(rows)[name]) for name, array in streamed.take(rows).items())
    return streamed


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("texts", [True, False])
def test_rows_of_a_csv_file_are_those_of_the_loaded_table(tmp_path: Path, end: str, texts: bool) -> None:
    rows = [row if texts else {key: row[key] for key in ("a", "b", "y")} for row in _rows()]
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbf" + _csv(rows, end))
    streamed = _require_equal(path)
    assert len(streamed.inputs["x"].block_starts()) > 5  # type: ignore[union-attr]
    path.write_bytes(path.read_bytes().rstrip())
    _require_equal(path)


def test_the_header_may_be_long_and_follow_empty_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_table, "BLOCK_BYTES", 8)
    path = tmp_path / "rows.csv"
    for start in (b"", b"\n" * 20):
        path.write_bytes(start + _csv(_rows()))
        _require_equal(path)


def test_rows_of_json_lines_are_those_of_the_loaded_table(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(_json_lines(_rows()).replace(b"\n", b"\n\n", 3))
    _require_equal(path)


def test_numbers_with_other_marks_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = [f"{row % 7}'{row:03},5;{row};{row % 3}\n" for row in range(ROWS)]
    path.write_text("a;b;y\n" + "".join(rows))
    streamed = _require_equal(path, separator=";", decimal=",", thousands="'")
    assert np.asarray(streamed.inputs["x"])[8].tolist() == [1008.5, 8]


@pytest.mark.parametrize("missing", ["", "NA", " ? ", "-"])
def test_incomplete_rows_are_left_out(tmp_path: Path, missing: str) -> None:
    rows = _rows()
    for row in (3, 77, ROWS - 1):
        rows[row]["a"] = missing
    path = tmp_path / "rows.csv"
    path.write_bytes(_csv(rows))
    assert len(_require_equal(path, missing="drop")) == ROWS - 3


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_rows_without_a_class_are_left_out(tmp_path: Path, format: str) -> None:
    rows = _rows()
    for row in (77, ROWS - 1):
        rows[row]["y"] = None if format == "jsonl" else "NA"
    path = tmp_path / f"rows.{format}"
    path.write_bytes(_csv(rows) if format == "csv" else _json_lines(rows))
    assert len(_require_equal(path, missing="drop")) == ROWS - 2


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        (150, "a", "many"),
        (0, "b", None),
        (199, "y", 1.5),
        (120, "y", "nan"),
        (60, "a", "1_000"),
        (130, "y", "inf"),
        (130, "y", "1e30"),
    ],
)
def test_errors_name_the_lines_of_their_rows(tmp_path: Path, format: str, row: int, column: str, value: Any) -> None:
    rows = _rows()
    rows[row][column] = "" if value is None and format == "csv" else value
    path = tmp_path / f"rows.{format}"
    path.write_bytes(_csv(rows) if format == "csv" else _json_lines(rows))
    errors = []
    for memory in ("load", "stream"):
        with pytest.raises(jsonnx.CompileError) as caught:
            _dataset(path, memory)
        errors.append([(error.code, error.line, error.message, error.column) for error in caught.value.diagnostics])
    assert [error[:2] for error in errors[0]] == [error[:2] for error in errors[1]]


@pytest.mark.parametrize(("row", "value"), [(0, [1, 2]), (1, [1, 2]), (150, [[1], "many"]), (0, {})])
def test_lists_among_numbers_of_json_lines_are_errors(tmp_path: Path, row: int, value: Any) -> None:
    rows = _rows()
    rows[row]["y"] = value
    path = tmp_path / "rows.jsonl"
    path.write_bytes(_json_lines(rows))
    errors = []
    for memory in ("load", "stream"):
        with pytest.raises(jsonnx.CompileError) as caught:
            _dataset(path, memory)
        errors.append([(error.code, error.line) for error in caught.value.diagnostics])
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("csv", "7,8\n"),
        ("csv", '1,2,"a,3\n'),
        ("csv", '1,2,"a"b,3\n'),
        ("csv", "1,2,\xff,3\n"),
        ("jsonl", "{\n"),
        ("jsonl", "[1]\n"),
        ("jsonl", '{"a": 1, "a": 2}\n'),
        ("jsonl", '{"a": 1} 2\n'),
    ],
)
@pytest.mark.parametrize("row", [0, 100, ROWS])
def test_malformed_rows_are_located(tmp_path: Path, format: str, text: str, row: int) -> None:
    rows = _rows()
    for entry in rows:
        entry["text"] = "plain"
    lines = (_csv(rows) if format == "csv" else _json_lines(rows)).splitlines(keepends=True)
    lines.insert(row + (format == "csv"), text.encode("latin-1"))
    path = tmp_path / f"rows.{format}"
    path.write_bytes(b"".join(lines))
    lines_of_errors = []
    for memory in ("load", "stream"):
        with pytest.raises(jsonnx.CompileError) as caught:
            _dataset(path, memory)
        lines_of_errors.append([(error.code, error.line) for error in caught.value.diagnostics])
    assert lines_of_errors[0] == lines_of_errors[1]


def test_integers_beyond_float64_stay_exact(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = [{"a": 1, "b": 2, "y": (1 << 53) + 1 + row} for row in range(ROWS)]
    path.write_bytes(_csv(rows))
    streamed = _require_equal(path)
    assert int(np.asarray(streamed.targets["y"])[-1]) == (1 << 53) + ROWS


def test_texts_and_labels_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(_csv([{**row, "y": "abc"[row["y"]]} for row in _rows()]))
    spec = {
        "inputs": {"text": {"shape": [], "dtype": "string"}, "a": {"shape": [1]}},
        "layers": [
            {"type": "StringLookup", "name": "words", "from": "text", **WORDS},
            {"type": "Concatenate", "from": ["words", "a"]},
            {"type": "Dense", "name": "y", "units": 3, "activation": "softmax"},
        ],
        "training": {"loss": "sparse_categorical_crossentropy", "data": {"train": "rows.csv"}, "epochs": 1},
    }
    weights = []
    for memory in ("load", "stream"):
        spec["training"]["data"]["memory"] = memory  # type: ignore[index]
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        trainer = jsonnx.Trainer(tmp_path / "spec.json")
        trainer.fit(shuffle=False)
        weights.append(trainer.weights())
    assert all(np.array_equal(array, weights[1][name]) for name, array in weights[0].items())


def test_small_files_are_streamed_if_they_are_large_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (tmp_path / f"part-{number}.csv").write_bytes(_csv(_rows()))
    size = (tmp_path / "part-0.csv").stat().st_size
    for limit, is_streamed in ((2 * size, True), (4 * size, False)):
        monkeypatch.setattr(memory_limit, "auto_stream_bytes", lambda limit=limit: limit)
        samples = _dataset(tmp_path / "part-*.csv", "auto")
        assert isinstance(samples.inputs["x"], StoredArray) == is_streamed
        assert len(samples) == 3 * ROWS
