"""Columns with any number of labels in a row, as vectors of 0 and 1."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import BATCH, TensorType
from jsonnx.data.files.dataset_files import from_file
from jsonnx.data.files.label_columns import read_label_sets, takes_label_sets
from jsonnx.data.samples.array_samples import from_arrays
from jsonnx.data.samples.data_errors import ErrorCollector, FeedError
from jsonnx.data.samples.data_spec import DataSpec
from jsonnx.data.samples.dataset import Dataset
from jsonnx.data.samples.label_sets import LabelSets, labels_in_text, text_of_labels
from jsonnx.data.tables.python_tables import FrameTable
from jsonnx.sections.data_section import DataSection

ROWS = [["b", "a"], [], ["c"], ["a", "c", "a"]]
VECTORS = [[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 1]]
LEARNED = DataSpec(
    inputs={"x": TensorType("float32", (BATCH,))},
    targets={"tags": TensorType("float32", (BATCH, 3))},
    label_separators={"tags": None},
    learns_labels=True,
)
SEPARATED = replace(LEARNED, label_separators={"tags": ";"})
KNOWN = replace(SEPARATED, labels={"tags": ("a", "b", "c")})


def csv_of(tags: list[str]) -> str:
    return "x,tags\n" + "".join(f'{number},"{text}"\n' for number, text in enumerate(tags))


def load(folder: Path, content: str, data_spec: DataSpec, name: str = "d.csv", **section: Any) -> Dataset:
    (folder / name).write_text(content)
    return from_file(folder / name, DataSection(train="-", **section), data_spec)


def vectors(samples: Dataset) -> Any:
    return samples.take(slice(None))["tags/target"].tolist()


def error(folder: Path, content: str, data_spec: DataSpec, name: str = "d.csv") -> Any:
    with pytest.raises(CompileError) as raised:
        load(folder, content, data_spec, name)
    (diagnostic,) = raised.value.diagnostics
    return diagnostic


@pytest.mark.parametrize("memory", ["load", "stream"])
def test_texts_with_a_separator(tmp_path: Path, memory: str) -> None:
    samples = load(tmp_path, csv_of(["b; a", "", "c;;", "a;c;a"]), SEPARATED, memory=memory)
    assert vectors(samples) == VECTORS
    assert samples.data_spec.labels == {"tags": ("a", "b", "c")}


@pytest.mark.parametrize("quote", ['""', "'"])
def test_texts_with_lists(tmp_path: Path, quote: str) -> None:
    texts = [f"[{', '.join(quote + label + quote for label in labels)}]" for labels in ROWS]
    assert vectors(load(tmp_path, csv_of(texts), LEARNED)) == VECTORS


@pytest.mark.parametrize("memory", ["load", "stream"])
@pytest.mark.parametrize("empty", [[], None, ""])
def test_json_lists(tmp_path: Path, memory: str, empty: Any) -> None:
    lines = [json.dumps({"x": 1, "tags": labels or empty}) for labels in ROWS]
    assert vectors(load(tmp_path, "\n".join(lines), LEARNED, "d.jsonl", memory=memory)) == VECTORS


@pytest.mark.parametrize("memory", ["load", "stream"])
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_arrow_lists(tmp_path: Path, memory: str, suffix: str) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({"x": [1.0] * 4, "tags": [labels or None for labels in ROWS]})
    if suffix == "parquet":
        parquet.write_table(table, tmp_path / "d.parquet", row_group_size=2)
    else:
        with pa.ipc.new_file(tmp_path / "d.arrow", table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    samples = from_file(tmp_path / f"d.{suffix}", DataSection(train="-", memory=memory), LEARNED)
    assert vectors(samples) == VECTORS
    samples = from_file(tmp_path / f"d.{suffix}", None, replace(LEARNED, labels={"tags": ("c", "b", "a")}))
    assert vectors(samples) == [row[::-1] for row in VECTORS]


def of_frame(values: list[Any]) -> FrameTable:
    """A frame's column that Arrow has no type for."""
    pa = pytest.importorskip("pyarrow")
    return FrameTable(pa, ["tags"], [pa.chunked_array([pa.nulls(len(values))])], {"tags": values})


@pytest.mark.parametrize("values", [[["b", "a"], "", "c", ["a", "c"]], [["b", "a"], np.nan, ["3", 4], ["a"]]])
def test_a_column_of_a_frame_with_values_of_several_types(values: list[Any]) -> None:
    table, errors = of_frame(values), ErrorCollector()
    assert takes_label_sets("tags", ["tags"], SEPARATED, table)
    sets = read_label_sets(table, "tags", "tags", SEPARATED, errors)
    assert sets is not None
    read = [[sets.names[code] for code in sets[row : row + 1].codes] for row in range(4)]
    expected = [[*map(str, value)] if isinstance(value, list) else [value] * (value == "c") for value in values]
    assert read == expected


def test_a_column_of_a_frame_with_values_that_are_not_read() -> None:
    table, errors = of_frame([["a"], {}, "b"]), ErrorCollector()
    read_label_sets(table, "tags", "tags", SEPARATED, errors)
    (diagnostic,) = errors.diagnostics
    assert diagnostic.message == "row 2, column 'tags': 'tags' holds a value of the type dict, which is not read"


def test_lists_of_integers_are_labels_unless_they_are_vectors(tmp_path: Path) -> None:
    lines = [json.dumps({"x": 1, "tags": labels}) for labels in ([7, 30], [4], [])]
    samples = load(tmp_path, "\n".join(lines), LEARNED, "d.jsonl")
    assert samples.data_spec.labels == {"tags": ("30", "4", "7")}
    lines = [json.dumps({"x": 1, "tags": vector}) for vector in VECTORS]
    samples = load(tmp_path, "\n".join(lines), LEARNED, "d.jsonl")
    assert (vectors(samples), samples.data_spec.labels) == (VECTORS, {})


def test_files_have_their_labels_together(tmp_path: Path) -> None:
    for name, tags in (("1.csv", ["b;a", ""]), ("2.csv", ["c", "a;c"])):
        (tmp_path / name).write_text(csv_of(tags))
    samples = from_file(tmp_path / "*.csv", DataSection(train="-"), SEPARATED)
    assert vectors(samples) == VECTORS
    assert vectors(samples.subset(np.array([3, 0]))) == [VECTORS[3], VECTORS[0]]
    assert vectors(samples.subset(slice(2, None))) == VECTORS[2:]


def test_missing_numbers_leave_out_the_labels_of_their_rows(tmp_path: Path) -> None:
    content = csv_of(["b;a", "", "c", "a;c"]).replace("2,", ",")
    assert vectors(load(tmp_path, content, KNOWN, missing="drop")) == [VECTORS[0], VECTORS[1], VECTORS[3]]


def test_markers_of_missing_texts_are_no_labels_unless_they_are_named(tmp_path: Path) -> None:
    samples = load(tmp_path, csv_of(["b;a", "NA", "nan", "c"]), SEPARATED)
    assert vectors(samples)[1:3] == [[0, 0, 0]] * 2
    named = replace(SEPARATED, labels={"tags": ("a", "b", "NA")})
    assert vectors(load(tmp_path, csv_of(["b;a", "NA"]), named))[1] == [0, 0, 1]


def test_an_unknown_label_is_an_error_with_its_row(tmp_path: Path) -> None:
    found = error(tmp_path, csv_of(["b", "a;z", "", "y"]), KNOWN)
    assert found.message == (
        "row at line 3, column 'tags': the target of 'tags' has 'z', which is none of the labels, and 1 more like it "
        "in line 5"
    )
    assert (found.line, found.help.startswith("the labels are 'a', 'b' or 'c'; a further one needs a unit")) == (
        3,
        True,
    )


@pytest.mark.parametrize(("cell", "column"), [("az;z", 6), ('"a;z"', 6), ("z", 3), ('"a;\nz"', 3)])
def test_an_unknown_label_is_located_within_its_cell(tmp_path: Path, cell: str, column: int) -> None:
    labels = replace(KNOWN, labels={"tags": ("a", "az", "b")})
    assert error(tmp_path, f"x,tags\n1,{cell}\n", labels).column == column


def test_labels_and_units_are_as_many(tmp_path: Path) -> None:
    found = error(tmp_path, csv_of(["b", "a"]), SEPARATED)
    assert found.message == "the target of 'tags' has 2 labels, the network 3 units"
    assert "give the layer 'tags' 2 units" in found.help


@pytest.mark.parametrize(("tags", "mark"), [(["a;b", "c"], ";"), (["a|b", "c"], "|"), (["a, b", "c"], ",")])
def test_texts_without_a_separator_are_errors_that_name_one(tmp_path: Path, tags: list[str], mark: str) -> None:
    found = error(tmp_path, csv_of(tags), LEARNED)
    assert "which is no list of labels, and 1 more like it" in found.message
    assert found.help.endswith(f'"label_separator": "{mark}"')


def test_values_that_are_no_labels(tmp_path: Path) -> None:
    lines = [json.dumps({"x": 1, "tags": tags}) for tags in (["a"], ["b", 0.5], True)]
    found = error(tmp_path, "\n".join(lines), KNOWN, "d.jsonl")
    assert found.message == (
        "row 2, column 'tags': the target of 'tags' is 0.5, which is no label, and 1 more like it in line 3"
    )


def test_a_program_gives_lists_or_texts() -> None:
    x = np.zeros(4, "float32")
    for y in (ROWS, [";".join(labels) for labels in ROWS], np.array([";".join(labels) for labels in ROWS])):
        samples = from_arrays(x, y, SEPARATED)
        assert (vectors(samples), samples.data_spec.labels) == (VECTORS, {"tags": ("a", "b", "c")})
    with pytest.raises(FeedError, match="sample 1: the target of 'tags' has 'z'"):
        from_arrays(x[:2], [["a"], ["z"]], KNOWN)


def test_many_labels_take_little_memory() -> None:
    count, names = 100_000, [str(number) for number in range(1000)]
    sets = LabelSets(names, np.arange(3 * count, dtype=np.int32) % 1000, 3 * np.arange(count + 1))
    array = sets.multi_hot(names)
    assert array.shape == (count, 1000)
    assert array.read(np.array([5, 99_999])).sum(1).tolist() == [3, 3]
    assert np.flatnonzero(array.read(slice(5, 6))).tolist() == [15, 16, 17]


@pytest.mark.parametrize("separator", [";", ", ", None])
@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b c"], ["x;y", "p, q"], ["[a]", "b"], ["ä", '"']])
def test_texts_are_read_as_they_are_written(labels: list[str], separator: str | None) -> None:
    found = labels_in_text(text_of_labels(labels, separator), separator)
    assert [label.strip() for label in found or []] == labels
