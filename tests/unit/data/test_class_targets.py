"""Targets with names of classes that are integers, in every form of data."""

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
from jsonnx.data.samples.array_samples import from_arrays
from jsonnx.data.samples.data_errors import FeedError
from jsonnx.data.samples.data_spec import DataSpec, IndexRange
from jsonnx.sections.class_names import classes_by_boolean, classes_by_number
from jsonnx.sections.class_weights import WeightedClasses, class_of_key
from jsonnx.sections.data_section import DataSection
from jsonnx.training.losses.losses import SparseCategoricalCrossentropy

NUMBERS = [3, 1, 2, 1]
CLASSES = [2, 0, 1, 0]
STEPS = [[3, 1, 2], [1, 1, 2]]


def spec(labels: tuple[str, ...], ignored: int | None = None, shape: tuple[Any, ...] = (BATCH,)) -> DataSpec:
    return DataSpec(
        inputs={"x": TensorType("float32", (BATCH,))},
        targets={"y": TensorType("int64", shape)},
        index_ranges={"y": IndexRange(len(labels), ignored)},
        labels={"y": labels},
        class_counts={"y": len(labels)},
    )


NAMED = spec(("1", "2", "3", "other"))


def classes(y: Any, data_spec: DataSpec = NAMED) -> Any:
    return from_arrays(np.zeros(len(y)), np.asarray(y), data_spec).take(slice(None))["y/target"].tolist()


def stored(folder: Path, suffix: str) -> Path:
    path = folder / f"d.{suffix}"
    x = [0.0] * len(NUMBERS)
    if suffix == "csv":
        path.write_text("x,y\n" + "".join(f"0,{number}\n" for number in NUMBERS))
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps({"x": 0, "y": number}) + "\n" for number in NUMBERS))
    elif suffix == "npz":
        np.savez(path, x=x, y=NUMBERS)
    else:
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pa.table({"x": x, "y": NUMBERS}), path)
    return path


@pytest.mark.parametrize("memory", ["load", "stream"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "npz", "parquet"])
def test_integers_are_names_in_every_format(tmp_path: Path, suffix: str, memory: Any) -> None:
    samples = from_file(stored(tmp_path, suffix), DataSection(train="-", memory=memory), NAMED)
    assert samples.take(slice(None))["y/target"].tolist() == CLASSES


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32", "U1", object])
def test_integers_are_names_in_arrays_of_any_type(dtype: Any) -> None:
    assert classes(np.array(NUMBERS).astype(dtype)) == CLASSES


@pytest.mark.parametrize("memory", ["load", "stream"])
def test_targets_of_steps_that_stay_in_their_file(tmp_path: Path, memory: Any) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros(2), y=np.array(STEPS))
    data_spec = spec(("1", "2", "3"), shape=(BATCH, 3))
    samples = from_file(tmp_path / "d.npz", DataSection(train="-", memory=memory), data_spec)
    assert samples.take(slice(None))["y/target"].tolist() == [[2, 0, 1], [0, 0, 1]]
    assert samples.take(np.array([1]))["y/target"].tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("labels", [("a", "b", "c", "d"), ("0", "1", "2", "3")])
def test_integers_are_indices_without_labels_that_are_other_integers(labels: tuple[str, ...]) -> None:
    assert classes(NUMBERS, spec(labels)) == NUMBERS


@pytest.mark.parametrize("wrong", [0, 4, 1.5])
def test_an_integer_that_is_no_name_is_an_error(wrong: float) -> None:
    with pytest.raises(
        FeedError, match=f"sample 1: the target of 'y' is {wrong}, which is none of the labels"
    ) as raised:
        classes([1, wrong])
    assert raised.value.diagnostics[0].help == (
        "the labels are '1', '2', '3' or 'other'; integers are names of classes here, not indices, since there are "
        "labels that are integers"
    )


def test_a_number_outside_the_labels_in_a_csv_file_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x,y\n0,0\n0,0\n")
    with pytest.raises(CompileError, match="which is none of the labels"):
        from_file(tmp_path / "d.csv", DataSection(train="-"), NAMED)


def test_an_ignored_class_stays() -> None:
    assert classes([1, -1, 3], spec(("1", "2", "3"), -1)) == [0, -1, 2]
    assert classes([1, 255, 3], spec(("1", "2", "3"), 255)) == [0, 255, 2]


def test_a_missing_number_is_an_error() -> None:
    with pytest.raises(FeedError, match="is nan"):
        classes([1.0, np.nan])


def test_learned_labels_hold_for_integers() -> None:
    learned = replace(spec(("",) * 11), labels={}, learns_labels=True)
    texts = np.array([str(number) for number in range(11)])
    samples = from_arrays(np.zeros(11), texts, learned)
    assert samples.data_spec.labels["y"][:4] == ("0", "1", "10", "2")
    own = from_arrays(np.zeros(11), np.arange(11), replace(samples.data_spec, learns_labels=False))
    assert own.targets["y"].tolist() == samples.targets["y"].tolist()


def test_integers_of_an_output_with_a_blank_are_ambiguous() -> None:
    with_blank = replace(spec(("-", "0", "1", "2")), outputs_with_blank=frozenset("y"))
    with pytest.raises(FeedError, match="which may be indices or names") as raised:
        classes([1, 2], with_blank)
    assert "write the names as texts" in (raised.value.diagnostics[0].help or "")
    assert classes(["1", "2"], with_blank) == [2, 3]


def test_booleans_are_the_names_of_two_classes() -> None:
    assert classes([True, False], spec(("True", "False"))) == [0, 1]
    assert classes([True, False], spec(("no", "yes"))) == [1, 0]


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [
        (("0", "1", "2"), {}),
        (("1", "0"), {1: 0, 0: 1}),
        (("0", "1", "other"), {0: 0, 1: 1}),
        (("01", "02.0", "-3"), {1: 0, 2: 1, -3: 2}),
        (("a", "1.5", "1e3", "nan", "9" * 5000), {}),
    ],
)
def test_names_that_are_integers(labels: tuple[str, ...], numbers: dict[int, int]) -> None:
    assert classes_by_number(labels) == numbers
    assert classes_by_boolean(labels) == numbers


def test_weights_of_classes_follow_the_same_rule() -> None:
    output = WeightedClasses(SparseCategoricalCrossentropy(), TensorType("float32", (BATCH, 3)), ("1", "2", "30"))
    assert [class_of_key(key, output) for key in ("1", 2, 30, "0", 0)] == [0, 1, 2, None, None]
    assert class_of_key(1, output._replace(labels=("a", "b", "c"))) == 1


@pytest.mark.parametrize("suffix", ["jsonl", "npz"])
def test_booleans_in_an_input_of_texts_say_what_to_do(tmp_path: Path, suffix: str) -> None:
    texts = replace(NAMED, inputs={"x": TensorType("string", (BATCH,))}, targets={})
    path = tmp_path / f"d.{suffix}"
    if suffix == "jsonl":
        path.write_text('{"x": true}\n{"x": false}\n')
    else:
        np.savez(path, x=[True, False])
    with pytest.raises(CompileError) as raised:
        from_file(path, DataSection(train="-"), texts)
    assert "an input of numbers takes them as 1 and 0" in (raised.value.diagnostics[0].help or "")
