"""`jsonnx data --write-splits`: training on the written files takes the same samples."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.core.files.spec_source import SpecSource
from jsonnx.data.samples.dataset import Dataset
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.pipeline.train.run_data import read_data
from support.commands import jsonnx as command

ROWS = 60
SPLIT = {"validation": 0.2, "test": 0.2}
SEED = 5


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(count: int = ROWS, first: int = 0) -> list[dict[str, Any]]:
    draws = np.random.default_rng(SEED + first).normal(size=(count, 2)).round(3)
    return [
        {"a": a, "b": b, "note": f'"{number}", said\nshe', "y": "low" if a < b else "high"}
        for number, (a, b) in enumerate(draws.tolist(), first)
    ]


def write_csv(path: str, table: list[dict[str, Any]], line_end: str = "\n") -> None:
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, table[0], lineterminator=line_end)
        writer.writeheader()
        writer.writerows(table)


def write_spec(data: dict[str, Any], **keys: Any) -> None:
    document = {
        "inputs": {"x": {"shape": [2]}},
        "layers": [{"type": "Dense", "name": "kind", "units": 2, "activation": "softmax"}],
        "labels": ["low", "high"],
        "training": {
            "loss": "sparse_categorical_crossentropy",
            "data": {"x": ["a", "b"], "y": "y"} | data,
            "epochs": 1,
        },
    }
    Path("spec.json").write_text(json.dumps(document | keys))


def samples(*changes: str, roots: tuple[str, ...] = ()) -> dict[str, Dataset]:
    checked = check_spec("spec.json", changes=changes)
    plan = plan_training(checked)
    source = SpecSource("spec.json", checked.locate, tuple(Path(root).absolute() for root in roots))
    data = read_data(replace(plan, source=source))
    assert data is not None
    return data.parts


def written_changes(*options: str) -> tuple[list[str], tuple[str, ...]]:
    """Writes the parts. Returns the changes of the spec and the data roots of the command that is printed."""
    result = command("data", "spec.json", "--write-splits", "parts", *options)
    words = result.stderr.strip().split()
    assert words[:4] == ["next:", "jsonnx", "train", "spec.json"]
    arguments = list(zip(words[4::2], words[5::2], strict=True))
    roots = tuple(value for option, value in arguments if option == "--data-root")
    return [value.strip("'") for option, value in arguments if option == "--set"], roots


def assert_same_samples(in_order: bool = True) -> None:
    changes, roots = written_changes()
    before, after = samples(), samples(*changes, roots=roots)
    assert before.keys() == after.keys()
    for part, own in before.items():
        assert len(own) == len(after[part]), part
        arrays, others = own.take(slice(None)), after[part].take(slice(None))
        for name, array in arrays.items():
            if in_order:
                np.testing.assert_array_equal(array, others[name])
        if not in_order:  # series are in the order in which they begin
            rows, other_rows = (
                [*zip(*map(np.ndarray.tolist, each.values()), strict=True)] for each in (arrays, others)
            )
            assert sorted(rows) == sorted(other_rows)


def write_jsonl(path: str) -> None:
    Path(path).write_text("\n\n".join(json.dumps(row) for row in rows()) + "\n")


def write_json_columns(path: str) -> None:
    table = rows()
    Path(path).write_text(json.dumps({name: [row[name] for row in table] for name in table[0]}))


def write_npz(path: str) -> None:
    table = rows()
    columns = {name: np.array([row[name] for row in table]) for name in table[0]}
    np.savez(path, **columns, mean=np.zeros(3))


def write_arrow(path: str) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_pylist(rows())
    if path.endswith(".parquet"):
        pytest.importorskip("pyarrow.parquet").write_table(table, path, row_group_size=7)
    else:
        pytest.importorskip("pyarrow.feather").write_feather(table, path)


def write_arrow_stream(path: str) -> None:
    """Batches that have dictionaries of their own."""
    pa = pytest.importorskip("pyarrow")
    tables = [pa.Table.from_pylist(rows(20, first)) for first in (0, 20, 40)]
    encoded = [table.set_column(3, "y", table["y"].dictionary_encode()) for table in tables]
    with pa.ipc.new_stream(path, encoded[0].schema) as writer:
        for table in encoded:
            writer.write_table(table)


WRITERS = {
    "d.csv": lambda path: write_csv(path, rows()),
    "windows.csv": lambda path: write_csv(path, rows(), "\r\n"),
    "d.csv.gz": lambda path: (
        write_csv("d.csv", rows()),
        Path(path).write_bytes(gzip.compress(Path("d.csv").read_bytes())),
    ),
    "d.jsonl": write_jsonl,
    "d.json": lambda path: Path(path).write_text(json.dumps(rows())),
    "columns.json": write_json_columns,
    "d.npz": write_npz,
    "d.parquet": write_arrow,
    "d.feather": write_arrow,
    "d.arrow": write_arrow_stream,
}


@pytest.mark.parametrize("file", WRITERS)
@pytest.mark.parametrize("division", [{"split": SPLIT}, {"validation_split": 0.25}], ids=["split", "validation_split"])
def test_the_written_files_have_the_same_samples(file: str, division: dict[str, Any]) -> None:
    WRITERS[file](file)
    write_spec({"train": file} | division)
    assert_same_samples()


def test_csv_rows_are_copied_as_they_are() -> None:
    lines = ["a,b,y,note", "1.50,2,low,  x", '0010,-3e0,high,"q, ""r"""', "+4,05,low,", "6,7,high,é"]
    Path("d.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_spec({"train": "d.csv", "validation_split": 0.5})
    result = command("data", "spec.json", "--write-splits", "parts")
    assert result.stdout == "wrote parts/train.csv: 2 rows\nwrote parts/validation.csv: 2 rows\n"
    assert Path("parts/train.csv").read_text(encoding="utf-8").splitlines() == lines[:3]
    assert Path("parts/validation.csv").read_text(encoding="utf-8").splitlines() == [lines[0], *lines[3:]]


def test_all_rows_are_written_once_and_rows_with_missing_values_are_left_out() -> None:
    table = rows()
    for number in (3, 10, 30):
        table[number]["a"] = ""
    write_csv("d.csv", table)
    write_spec({"train": "d.csv", "split": SPLIT, "missing": "drop"})
    assert_same_samples()
    written = []
    for part in ("train", "validation", "test"):
        with open(f"parts/{part}.csv", encoding="utf-8-sig", newline="") as file:
            written += csv.DictReader(file)
    assert sorted(row["note"] for row in written) == sorted(row["note"] for row in table if row["a"] != "")


def test_several_files_become_a_folder_of_files_for_each_part() -> None:
    Path("in").mkdir()
    write_csv("in/b.csv", rows(20))
    write_csv("in/a.csv", rows(30, 20))
    write_spec({"train": ["in/b.csv", "in/a.csv"], "split": SPLIT})
    assert_same_samples()
    assert sorted(path.name for path in Path("parts/train").iterdir()) == ["1-b.csv", "2-a.csv"]


def test_files_of_their_own_are_copied_and_data_in_their_place_are_divided() -> None:
    write_csv("d.csv", rows())
    write_csv("test.csv", rows(10, 90))
    write_csv("other.csv", rows(20, 200))
    write_spec({"train": "d.csv", "split": {"validation": 0.3}, "test": "test.csv"})
    assert_same_samples()
    assert Path("parts/test.csv").read_bytes() == Path("test.csv").read_bytes()
    result = command("data", "spec.json", "--write-splits", "others", "--data", "other.csv")
    assert sum(int(line.split()[-2]) for line in result.stdout.splitlines()[:2]) == 20


@pytest.mark.parametrize("split", [SPLIT, {"validation": 0.3, "group": "shop"}])
@pytest.mark.parametrize("gaps", ["skip", "fill"])
def test_windows_of_the_written_rows_are_the_same(split: dict[str, Any], gaps: str) -> None:
    draws = np.random.default_rng(SEED).normal(size=(90, 1)).round(3)
    table = [
        {"shop": f"s{number % 3}", "day": number // 3 + (number > 40), "sales": sales}
        for number, (sales,) in enumerate(draws.tolist())
        if number not in (13, 62)
    ]
    write_csv("d.csv", table)
    windows = {"length": 3, "by": "shop", "time": "day", "gaps": gaps}
    data = {"train": "d.csv", "x": ["sales"], "y": "sales", "windows": windows, "split": split}
    layers = [{"type": "Flatten"}, {"type": "Dense", "name": "kind", "units": 1}]
    training = {"loss": "mse", "data": data, "epochs": 1}
    write_spec({}, inputs={"x": {"shape": [3, 1]}}, layers=layers, training=training, labels={})
    assert_same_samples(in_order=False)


def test_a_split_that_breaks_series_cannot_be_written() -> None:
    write_csv("d.csv", [{"t": number, "hash": number, "v": number / 7} for number in range(80)])
    windows = {"length": 2, "time": "t", "gaps": "ignore"}
    data = {"train": "d.csv", "x": ["v"], "y": "v", "windows": windows, "split": {"validation": 0.4, "group": "hash"}}
    layers = [{"type": "Flatten"}, {"type": "Dense", "name": "kind", "units": 1}]
    training = {"loss": "mse", "data": data}
    write_spec({}, inputs={"x": {"shape": [2, 1]}}, layers=layers, training=training, labels={})
    error = command("data", "spec.json", "--write-splits", "parts", status=2).stderr
    assert "the split divides series into pieces" in error
    assert not Path("parts").exists()


def test_a_folder_of_images_becomes_lists_that_are_trained_on() -> None:
    image = pytest.importorskip("PIL.Image")
    for number in range(24):
        path = Path("photos", "high" if number % 3 else "low", f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        image.new("L", (2, 2), number * 10).save(path)
    layers = [{"type": "Flatten"}, {"type": "Dense", "name": "kind", "units": 2, "activation": "softmax"}]
    data = {"train": "photos", "split": {"validation": 0.3}}
    training = {"loss": "sparse_categorical_crossentropy", "data": data, "epochs": 1}
    write_spec({}, inputs={"photo": {"shape": [2, 2, 1]}}, layers=layers, training=training)
    assert_same_samples()
    header, first, *_ = Path("parts/train.csv").read_text().splitlines()
    assert header == "photo,kind"
    assert first.startswith("../photos/")


def test_names_of_images_in_a_table_stay_as_they_are_and_are_found_in_the_folder_of_the_table() -> None:
    image = pytest.importorskip("PIL.Image")
    Path("d/pictures").mkdir(parents=True)
    rows = ["file,y"]
    for number in range(20):
        image.new("L", (2, 2), number * 10).save(f"d/pictures/{number}.png")
        rows.append(f"pictures/{number}.png,{'high' if number % 3 else 'low'}")
    Path("d/pictures.csv").write_text("\n".join(rows) + "\n")
    layers = [{"type": "Flatten"}, {"type": "Dense", "name": "kind", "units": 2, "activation": "softmax"}]
    data = {"train": "d/pictures.csv", "x": "file", "y": "y", "split": {"validation": 0.3}}
    training = {"loss": "sparse_categorical_crossentropy", "data": data, "epochs": 1}
    write_spec({}, inputs={"photo": {"shape": [2, 2, 1]}}, layers=layers, training=training)
    assert_same_samples()
    assert Path("parts/train.csv").read_text().splitlines()[0] == "file,y"


@pytest.mark.parametrize("file", ["d.csv", "d.parquet", "d.npz"])
def test_streamed_files_are_written_alike(file: str) -> None:
    WRITERS[file](file)
    write_spec({"train": file, "split": SPLIT, "memory": "stream"})
    assert_same_samples()


def test_a_folder_of_texts_becomes_tables_of_texts() -> None:
    for number in range(24):
        path = Path("texts", "high" if number % 3 else "low", f"{number}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'  one, "two"\n{number}\n')
    layers = [
        {"type": "StringLookup", "vocabulary": ["a"]},
        {"type": "Embedding", "input_dim": 2, "output_dim": 2},
        {"type": "Flatten"},
        {"type": "Dense", "name": "kind", "units": 2, "activation": "softmax"},
    ]
    data = {"train": "texts", "split": {"validation": 0.3}}
    training = {"loss": "sparse_categorical_crossentropy", "data": data, "epochs": 1}
    write_spec({}, inputs={"text": {"shape": [], "dtype": "string"}}, layers=layers, training=training)
    assert_same_samples()


def test_sequences_in_arrays_keep_their_steps() -> None:
    lengths = np.random.default_rng(SEED).integers(1, 6, 40)
    steps = np.arange(lengths.sum() * 2, dtype=np.float32).reshape(-1, 2)
    np.savez("d.npz", x=steps, x_lengths=lengths, y=np.arange(40.0))
    layers = [{"type": "GlobalAveragePooling1D"}, {"type": "Dense", "name": "kind", "units": 1}]
    data = {"train": "d.npz", "x": "x", "y": "y", "sequences": {}, "split": {"validation": 0.3}}
    training = {"loss": "mse", "data": data}
    write_spec({}, inputs={"x": {"shape": ["time", 2]}}, layers=layers, training=training, labels={})
    assert_same_samples()


def test_an_existing_folder_is_not_replaced_and_a_spec_without_data_has_nothing_to_write() -> None:
    write_csv("d.csv", rows())
    write_spec({"train": "d.csv", "split": SPLIT})
    Path("parts").mkdir()
    assert "'parts' exists" in command("data", "spec.json", "--write-splits", "parts", status=2).stderr
    without = command("data", "spec.json", "--write-splits", "new", "--set", "training.data=null", status=2).stderr
    assert "the spec names no data to write" in without
