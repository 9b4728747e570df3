"""`data_statistics.json` of a run, and `jsonnx drift`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from support.commands import jsonnx as command

SAMPLES = Path(__file__).parents[3] / "samples"
Row = dict[str, str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the sample of penguins."""
    folder = tmp_path_factory.mktemp("home")
    command("train", str(SAMPLES / "penguins.json"), "-o", str(folder / "run"), "--quiet")
    return folder


@pytest.fixture(autouse=True)
def work_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def write_changed(change: Callable[[Row], None], file: str = "changed.csv") -> str:
    """The sample's test data with changed rows."""
    with open(SAMPLES / "data/penguins_test.csv") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        change(row)
    with open(file, "w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return file


def drift(data: str, *options: str, status: int = 0, run: str = "run") -> dict[str, Any]:
    result = command("drift", run, "--data", data, "--format", "json", *options, status=status)
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_the_statistics_of_a_run() -> None:
    document = json.loads(Path("run/data_statistics.json").read_text())
    columns = {column["name"]: column for column in document["columns"]}
    assert list(columns) == [
        "island", "sex", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g",
    ]  # fmt: skip
    with open(SAMPLES / "data/penguins_train.csv") as stream:
        rows = list(csv.DictReader(stream))
    masses = np.array([float(row["body_mass_g"]) for row in rows])
    mass = columns["body_mass_g"]
    assert (mass["min"], mass["max"], mass["mean"]) == (masses.min(), masses.max(), pytest.approx(masses.mean()))
    assert mass["bins"] == np.histogram(masses, [-np.inf, *mass["edges"], np.inf])[0].tolist()
    assert columns["sex"]["missing"] == sum(row["sex"] == "" for row in rows)
    assert columns["island"]["values"]["Dream"] == sum(row["island"] == "Dream" for row in rows)
    (species,) = document["outputs"]
    assert set(species["values"]) == {"Adelie", "Chinstrap", "Gentoo"}
    assert species["count"] == document["predicted_rows"] == int(0.02 * 30 * len(rows))


def test_test_data_have_not_drifted() -> None:
    document = drift(str(SAMPLES / "data/penguins_test.csv"))
    assert document["drifted"] == []
    assert document["rows"] == document["predicted_rows"] == 82


def test_a_shifted_column_has_drifted() -> None:
    def grow(row: Row) -> None:
        row["bill_depth_mm"] = str(float(row["bill_depth_mm"]) + 3)

    file = write_changed(grow)
    document = drift(file, status=1)
    assert document["drifted"][:1] == ["bill_depth_mm"]
    assert {"island", "sex", "bill_length_mm", "body_mass_g"}.isdisjoint(document["drifted"])
    depth = next(column for column in document["columns"] if column["column"] == "bill_depth_mm")
    assert depth["meaning"] == "large"
    assert depth["out_of_range"] > 0
    failed = command("drift", "run", "--data", file, status=1)
    assert "error[data-drift]: the column 'bill_depth_mm' has drifted from the training data of 'run'" in failed.stderr
    assert "82 rows, compared with 260 of the training data" in failed.stderr
    assert drift(file, "--threshold", "50")["drifted"] == []


def test_unknown_and_missing_values_are_counted_where_the_model_refuses_them() -> None:
    """The sample refuses a missing number, and takes any text."""
    numbers = iter(range(100))

    def damage(row: Row) -> None:
        number = next(numbers)
        row["island"] = "Anvers" if number < 30 else row["island"]
        row["body_mass_g"] = "" if number < 10 else row["body_mass_g"]

    document = drift(write_changed(damage), status=1)
    columns = {column["column"]: column for column in document["columns"]}
    assert columns["island"]["unknown"] == 30
    assert columns["body_mass_g"]["missing"] == 10
    assert document["predicted_rows"] == document["rows"] - 10
    assert "island" in document["drifted"]
    assert document["outputs"][0]["rows"] == document["predicted_rows"]


def test_the_tokens_that_a_lookup_rejects_are_unknown() -> None:
    table = {"kind": ["a", "b"] * 100, "y": [0.0, 1.0] * 100}
    Path("kinds.json").write_text(json.dumps(table))
    spec = {
        "inputs": {"kind": {"shape": [], "dtype": "string"}},
        "layers": [
            {"type": "StringLookup", "vocabulary": ["a", "b"], "num_oov_indices": 0, "output_mode": "one_hot"},
            {"type": "Dense", "name": "y", "units": 1},
        ],
        "training": {"data": {"train": "kinds.json"}, "loss": "mse", "epochs": 1, "seed": 1},
    }
    Path("lookup.json").write_text(json.dumps(spec))
    command("train", "lookup.json", "-o", "lookup", "--quiet")
    Path("new.csv").write_text("kind\n" + "a\nb\nb\na\n" * 20 + "z\n")
    document = json.loads(command("drift", "lookup", "--data", "new.csv", "--format", "json").stdout)
    assert document["columns"][0]["unknown"] == 1
    assert (document["rows"], document["predicted_rows"]) == (81, 80)


def test_the_words_that_a_vocabulary_lacks() -> None:
    reviews = [f"A Fine, film {number}!" for number in range(100)]
    Path("films.json").write_text(json.dumps({"review": reviews, "y": [1.0] * 100}))
    words = ["a", "fine", "film", *map(str, range(100))]
    spec = {
        "inputs": {"review": {"shape": [], "dtype": "string"}},
        "layers": [
            {"type": "TextVectorization", "vocabulary": words, "output_mode": "multi_hot"},
            {"type": "Dense", "name": "y", "units": 1},
        ],
        "training": {"data": {"train": "films.json"}, "loss": "mse", "epochs": 1, "seed": 1},
    }
    Path("words.json").write_text(json.dumps(spec))
    command("train", "words.json", "-o", "words", "--quiet")
    Path("new.json").write_text(json.dumps({"review": [text.replace("Fine", "great") for text in reviews]}))
    document = json.loads(command("drift", "words", "--data", "new.json", "--format", "json", status=1).stdout)
    assert document["drifted"][0] == "review (unknown words)"
    assert [column["column"] for column in document["columns"]] == ["review (words)", "review (unknown words)"]
    assert drift("films.json", status=0, run="words")["columns"][1]["psi"] == 0


def test_few_rows_are_not_judged() -> None:
    rows = Path(write_changed(lambda row: row.update(island="x"))).read_text().splitlines(keepends=True)
    Path("few.csv").write_text("".join(rows[:20]))
    document = drift("few.csv")
    assert {column["meaning"] for column in document["columns"]} == {"few rows"}


def test_standard_input() -> None:
    result = command("drift", "run", "--data", "-", stdin=(SAMPLES / "data/penguins_test.csv").read_text())
    assert result.stdout.startswith("column ")
    assert "species" in result.stdout


def test_a_run_or_model_without_statistics() -> None:
    command("train", str(SAMPLES / "penguins.json"), "-o", "bare", "--quiet", "--set", "training.epochs=1",
            "--set", "training.data.statistics=false")  # fmt: skip
    assert not Path("bare/data_statistics.json").exists()
    for run, text in [("bare", "there is no 'data_statistics.json' in 'bare'"), ("run/model.onnx", "is a model")]:
        result = command("drift", run, "--data", str(SAMPLES / "data/penguins_test.csv"), status=2)
        assert "error[no-data-statistics]" in result.stderr
        assert text in result.stderr


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 1}', '{"version": 1, "columns": [{}]}'])
def test_damaged_statistics(content: str) -> None:
    path = Path("run/data_statistics.json")
    original = path.read_text()
    try:
        path.write_text(content)
        result = command("drift", "run", "--data", str(SAMPLES / "data/penguins_test.csv"), status=1)
    finally:
        path.write_text(original)
    assert "data_statistics.json" in result.stderr
    assert "error[" in result.stderr


def test_statistics_of_another_model() -> None:
    path = Path("run/data_statistics.json")
    original = path.read_text()
    try:
        path.write_text(original.replace('"source": "island"', '"source": "isle"'))
        result = command("drift", "run", "--data", str(SAMPLES / "data/penguins_test.csv"), status=1)
    finally:
        path.write_text(original)
    assert "error[damaged-file]: the file has statistics of 'isle', which the model lacks" in result.stderr


def spec_of(inputs: dict[str, Any], layers: list[dict[str, Any]], **training: Any) -> dict[str, Any]:
    defaults = {"loss": "mse", "epochs": 1, "seed": 1, "batch_size": 32}
    return {"inputs": inputs, "layers": layers, "training": defaults | training}


def train_arrays(name: str, spec: dict[str, Any], **arrays: np.ndarray) -> dict[str, Any]:
    """The statistics of a run on arrays."""
    np.savez(f"{name}.npz", **arrays)  # type: ignore[arg-type]
    spec["training"]["data"] = {"train": f"{name}.npz"} | spec["training"].get("data", {})
    Path(f"{name}.json").write_text(json.dumps(spec))
    command("train", f"{name}.json", "-o", name, "--quiet", "--force")
    document: dict[str, Any] = json.loads(Path(name, "data_statistics.json").read_text())
    return document


def test_images_are_compared_by_their_brightness() -> None:
    generator = np.random.default_rng(0)
    images, y = generator.uniform(size=(200, 8, 8, 1)).astype(np.float32), np.zeros((200, 1), np.float32)
    layers = [{"type": "Flatten"}, {"type": "Dense", "name": "y", "units": 1}]
    document = train_arrays("images", spec_of({"x": {"shape": [8, 8, 1]}}, layers), x=images, y=y)
    assert [column["measure"] for column in document["columns"]] == ["mean", "deviation"]
    np.savez("dark.npz", x=images / 2)
    found = json.loads(command("drift", "images", "--data", "dark.npz", "--format", "json", status=1).stdout)
    assert found["drifted"][:2] == ["x (mean)", "x (deviation)"]


def test_statistics_are_of_the_validation_data_and_of_many_labels() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 3)).astype(np.float32)
    y = (x[:, :2] > 0).astype(np.float32)
    layers = [{"type": "Dense", "name": "y", "units": 2, "activation": "sigmoid"}]
    spec = spec_of({"x": {"shape": [3]}}, layers, loss="binary_crossentropy", data={"validation_split": 0.5})
    document = train_arrays("labels", spec | {"labels": ["up", "left"]}, x=x, y=y)
    assert (document["predicted_part"], document["predicted_rows"]) == ("validation", 64)
    assert [(output["name"], set(output["values"])) for output in document["outputs"]] == [
        ("y: up", {"yes", "no"}),
        ("y: left", {"yes", "no"}),
    ]


def test_a_column_of_two_inputs_has_a_name_for_each() -> None:
    x = np.arange(100, dtype=np.float32)[:, None]
    inputs = {"a": {"shape": [1]}, "b": {"shape": [1]}}
    layers = [{"type": "Add", "from": ["a", "b"]}, {"type": "Dense", "name": "y", "units": 1}]
    spec = spec_of(inputs, layers, data={"x": {"a": "x", "b": "x"}})
    document = train_arrays("twice", spec, x=x, y=x)
    assert [column["name"] for column in document["columns"]] == ["a: x", "b: x"]


def test_large_data_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jsonnx.data.drift.sampled_rows.MAX_VALUES", 1)
    monkeypatch.setattr("jsonnx.data.drift.sampled_rows.MIN_ROWS", 100)
    x = np.arange(1000, dtype=np.float32)[:, None]
    spec = spec_of({"x": {"shape": [1]}}, [{"type": "Dense", "name": "y", "units": 1}])
    document = train_arrays("large", spec, x=x, y=x)
    assert (document["rows"], document["read_rows"], document["predicted_rows"]) == (1000, 100, 64)
    assert (document["columns"][0]["min"], document["columns"][0]["max"]) == (0, 990)


def test_folds_and_resumed_runs_have_the_same_statistics() -> None:
    x = np.arange(90, dtype=np.float32)[:, None]
    spec = spec_of({"x": {"shape": [1]}}, [{"type": "Dense", "name": "y", "units": 1}], epochs=2)
    train_arrays("whole", spec, x=x, y=x)
    command("train", "whole.json", "-o", "part", "--quiet", "--set", "training.epochs=1")
    command("train", "whole.json", "-o", "part", "--quiet", "--resume")
    assert Path("part/data_statistics.json").read_bytes() == Path("whole/data_statistics.json").read_bytes()
    command("train", "whole.json", "-o", "folds", "--quiet", "--fold", "all",
            "--set", "training.data.split.folds=2")  # fmt: skip
    documents = [json.loads(path.read_text()) for path in sorted(Path("folds").glob("*/data_statistics.json"))]
    assert [(document["rows"], document["predicted_rows"]) for document in documents] == [(45, 45)] * 2


def test_a_trainer_needs_no_file() -> None:
    """Statistics are written by `jsonnx train` alone."""
    spec = spec_of({"x": {"shape": [1]}}, [{"type": "Dense", "name": "y", "units": 1}])
    x = np.zeros((8, 1), np.float32)
    before = set(Path().iterdir())
    jsonnx.Trainer(spec).fit(x, x)
    assert set(Path().iterdir()) == before
