"""`jsonnx train --fold`: runs on one fold or on all, with mean and spread of their metrics."""

from __future__ import annotations

import json
from math import inf, nan
from pathlib import Path
from statistics import fmean, stdev

import jsonnx
import numpy as np
import pytest
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
