"""`jsonnx train --fold`: runs on one fold or on all, with mean and spread of their metrics."""

from __future__ import annotations

import csv
import json
from math import inf, nan
from pathlib import Path
from statistics import fmean, stdev

import jsonnx
import numpy as np
import pytest
from jsonnx.pipeline.run.trained_model import BATCH_SIZE
from jsonnx.pipeline.train.cross_validation import write_folds
from safetensors.numpy import load_file
from support.commands import jsonnx as command

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 2)).astype(np.float32)
SPEC = {
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {
        "data": {"train": "data.npz", "split": {"folds": 3, "test": 0.2}},
        "loss": "mse",
        "metrics": ["mae"],
        "epochs": 2,
        "restore_best_weights": True,
        "early_stopping": {"monitor": "val_mae", "patience": 1},
    },
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=X, y=X @ [[1.0], [-2.0]])
    Path("spec.json").write_text(json.dumps(SPEC))
    return tmp_path


def test_a_fold_is_that_of_the_changed_spec_on_the_command_line_and_in_python() -> None:
    command("train", "spec.json", "-o", "fold", "--fold", "2")
    command("train", "spec.json", "-o", "changed", "--set", "training.data.split.fold=2")
    trainer = jsonnx.Trainer("spec.json", fold=2)
    trainer.fit()
    expected = load_file("changed/weights.safetensors")
    assert expected.keys() == trainer.weights().keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(load_file("fold/weights.safetensors")[name], array)
        np.testing.assert_array_equal(trainer.weights()[name], array)
    assert not np.array_equal(jsonnx.Trainer("spec.json", fold=0).fit().history["loss"], trainer.fit().history["loss"])


def test_all_folds_have_runs_and_their_metrics_a_mean_and_a_standard_deviation() -> None:
    shown = command("train", "spec.json", "-o", "all", "--fold", "all", "--quiet").stdout
    document = json.loads(Path("all/folds.json").read_text())
    assert len(document["folds"]) == 3
    for fold, metrics in enumerate(document["folds"]):
        lines = [json.loads(line) for line in Path(f"all/fold-{fold}/metrics.jsonl").read_text().splitlines()]
        best = min(lines, key=lambda line: line["val_mae"])
        assert metrics["val_loss"] == best["val_loss"]
        assert metrics["val_mae"] == best["val_mae"]
        assert {"test_loss", "test_mae"} < metrics.keys()
    for name, mean in document["mean"].items():
        values = [metrics[name] for metrics in document["folds"]]
        assert (mean, document["standard_deviation"][name]) == pytest.approx((fmean(values), stdev(values)))
    assert "standard deviation" in shown
    command("train", "spec.json", "-o", "all", "--fold", "all", "--quiet", "--resume")
    assert json.loads(Path("all/folds.json").read_text()) == document


def test_predictions_out_of_fold_are_in_the_order_of_the_rows_and_give_the_pooled_metrics() -> None:
    command("train", "spec.json", "-o", "all", "--fold", "all", "--quiet")
    with open("all/out_of_fold.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = [int(row["row"]) - 1 for row in rows]
    assert numbers == sorted({*numbers})
    assert list(rows[0]) == ["row", "fold", "target: y", "y"]
    targets, predicted = (np.array([float(row[name]) for row in rows]) for name in ("target: y", "y"))
    np.testing.assert_allclose(targets, (X @ [[1.0], [-2.0]])[numbers, 0], rtol=1e-6)
    document = json.loads(command("evaluate", "all", "--format", "json").stdout)
    assert document["out_of_fold"]["mae"] == pytest.approx(np.abs(targets - predicted).mean(), rel=1e-5)
    assert [fold["data"]["samples"] for fold in document["folds"]] == [
        sum(row["fold"] == str(fold) for row in rows) for fold in range(3)
    ]
    for fold, evaluated in enumerate(document["folds"]):
        split, single = evaluated["data"], f"all/fold-{fold}"
        assert (split["split"], split["fold"]) == ("validation", fold)
        alone = json.loads(command("evaluate", single, "--split", "validation", "--format", "json").stdout)
        assert alone == {"data": split, **evaluated["figures"]}
        session = jsonnx.Session(f"{single}/model.onnx")
        own = [index for index, row in enumerate(rows) if row["fold"] == str(fold)]
        np.testing.assert_allclose(session.run({"x": X[np.array(numbers)[own]]})["y"][:, 0], predicted[own], rtol=1e-5)


def test_all_folds_are_evaluated_on_the_same_rows_without_metrics_out_of_fold() -> None:
    command("train", "spec.json", "-o", "all", "--fold", "all", "--quiet")
    result = command("evaluate", "all", "--split", "test")
    assert result.stderr == "on the test part of data.npz, 20 rows:\n"
    assert [line.split("  ")[0] for line in result.stdout.splitlines()[2:]] == [
        *(f"fold {fold}" for fold in range(3)),
        "mean",
        "standard deviation",
    ]
    command("evaluate", "all", "--require", "mae<1e-9", status=1)
    for arguments in (["report"], ["compare"], ["predict", "--data", "data.npz"]):
        error = command(*arguments, "all", status=2).stderr
        assert "a folder with the runs of all folds" in error
        assert "name a run, such as 'all/fold-0'" in error


def test_predictions_of_a_label_with_a_line_end_have_all_rows_of_all_batches() -> None:
    count = 2 * BATCH_SIZE + 20
    with open("classes.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [["x", "y"], *([number, "no" if number % 3 else "yes\nyes"] for number in range(count))]
        )
    layers = [{"type": "Dense", "name": "o", "units": 2, "activation": "softmax"}]
    data = {"train": "classes.csv", "x": ["x"], "y": "y", "split": {"folds": 2}}
    training = {"data": data, "loss": "sparse_categorical_crossentropy", "epochs": 1}
    document = {"inputs": {"x": {"shape": [1]}}, "layers": layers, "training": training}
    Path("classes.json").write_text(json.dumps(document))
    command("train", "classes.json", "-o", "all", "--fold", "all", "--quiet")
    with open("all/out_of_fold.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == ["row", "fold", "target: o", "o", "o: no", "o: yes\nyes"]
    assert [row["row"] for row in rows] == [str(number + 1) for number in range(count)]


def test_predictions_of_windows_are_in_the_order_of_their_last_rows() -> None:
    table = [{"shop": number % 3, "day": number // 3, "sales": number} for number in range(90)]
    with open("shops.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    data = {"train": "shops.csv", "x": ["sales"], "y": "sales", "split": {"folds": 2, "group": "shop"}}
    data["windows"] = {"length": 3, "by": "shop", "time": "day"}
    layers = [{"type": "Flatten"}, {"type": "Dense", "name": "next", "units": 1}]
    training = SPEC["training"] | {"data": data, "restore_best_weights": False, "early_stopping": None}
    document = {"inputs": {"x": {"shape": [3, 1]}}, "layers": layers, "training": training}
    Path("windows.json").write_text(json.dumps(document))
    command("train", "windows.json", "-o", "all", "--fold", "all", "--quiet")
    with open("all/out_of_fold.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = [int(row["row"]) - 1 for row in rows]
    assert numbers == list(range(6, 87))
    assert [float(row["target: next"]) for row in rows] == [number + 3 for number in numbers]
    assert all(row["fold"] == rows[number % 3]["fold"] for number, row in zip(numbers, rows, strict=True))


def test_there_are_no_predictions_out_of_fold_of_other_validation_data_and_of_sequences() -> None:
    np.savez("other.npz", x=X, y=X @ [[1.0], [-2.0]])
    shown = command("train", "spec.json", "-o", "all", "--fold", "all", "--validation-data", "other.npz").stderr
    assert "out_of_fold.csv is not written, since --validation-data replaces" in shown
    assert not Path("all/out_of_fold.csv").exists()
    assert "out_of_fold" not in json.loads(command("evaluate", "all", "--format", "json").stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fold", "3"], "there is no fold 3 of 3"),
        (["--fold", "all", "--resume"], "--resume of all folds needs their folder"),
        (["--fold", "1", "--set", 'training.data.split={"validation": 0.2}'], "does not divide its data into folds"),
        (["--fold", "first"], "'first' is neither the index of a fold"),
    ],
)
def test_folds_that_do_not_exist(arguments: list[str], message: str) -> None:
    assert message in command("train", "spec.json", *arguments, status=2).stderr
    assert not Path("runs").exists()


def test_a_metric_that_is_not_finite_in_one_fold_has_no_mean(tmp_path: Path) -> None:
    write_folds(tmp_path, [{"loss": 1.0, "auc": 0.5}, {"loss": 3.0, "auc": nan}, {"loss": 2.0, "auc": inf}])
    document = json.loads((tmp_path / "folds.json").read_text())
    assert document["mean"] == {"loss": 2.0, "auc": None}
    assert document["standard_deviation"] == {"loss": 1.0, "auc": None}
