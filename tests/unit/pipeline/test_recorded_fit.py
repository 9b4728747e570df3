"""Fits that write a RUN folder: `Trainer.fit(run=...)`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx import Run, Trainer, ops
from support.commands import jsonnx as command

SPEC: dict[str, Any] = {
    "name": "model",
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "units": 4, "activation": "tanh"}, {"type": "Dense", "name": "y", "units": 1}],
    "training": {
        "data": {"train": "train.npz", "validation": "validation.npz", "test": "test.npz"},
        "loss": "mse",
        "metrics": ["mae"],
        "optimizer": "adam",
        "epochs": 2,
        "batch_size": 8,
    },
}
RANDOM = np.random.default_rng(0)
DATA = {
    part: {"x": RANDOM.normal(size=(count, 2)), "y": RANDOM.normal(size=(count, 1))}
    for part, count in (("train", 32), ("validation", 12), ("test", 8))
}
ARRAYS = {"x": DATA["train"]["x"], "y": DATA["train"]["y"]}
VALIDATION = (DATA["validation"]["x"], DATA["validation"]["y"])


def without_data() -> dict[str, Any]:
    """The spec without files of data."""
    return SPEC | {"training": {key: value for key, value in SPEC["training"].items() if key != "data"}}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("spec.json").write_text(json.dumps(SPEC))
    for part, arrays in DATA.items():
        np.savez(f"{part}.npz", **arrays)
    return tmp_path


def files(run: str) -> dict[str, Any]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in sorted(Path(run).rglob("*"))
        if path.is_file() and path.name not in ("execution.json", "steps.jsonl", ".lock")
    }


def test_the_folder_is_that_of_the_command() -> None:
    history = Trainer("spec.json", seed=5).fit(run="runs/a")
    command("train", "spec.json", "-o", "runs/b", "--seed", "5", status=0)
    ours, theirs = files("runs/a"), files("runs/b")
    assert ours.keys() == theirs.keys()
    assert {name for name, content in ours.items() if content != theirs[name]} == set()
    assert Run("runs/a").history["loss"] == history.history["loss"]
    assert set(Run("runs/a").test) == {"loss", "mae"}


def test_arguments_of_the_fit_are_those_of_the_spec_in_the_folder() -> None:
    Trainer("spec.json", changes=["training.optimizer=sgd"]).fit(run="runs/a", epochs=3, batch_size=16, shuffle=False)
    training = Run("runs/a").spec["training"]
    assert (training["epochs"], training["batch_size"], training["shuffle"]) == (3, 16, False)
    changes = ["training.optimizer=sgd", "training.epochs=3", "training.batch_size=16", "training.shuffle=false"]
    assert list(Run("runs/a").changes) == changes
    settings = [word for change in (*changes[:1], *changes[2:], "training.epochs=4") for word in ("--set", change)]
    command("train", "spec.json", "-o", "runs/a", "--resume", *settings, status=0)
    assert Run("runs/a").epochs == 4


def test_the_steps_of_a_schedule_are_those_of_the_fit() -> None:
    rate = {"type": "CosineDecay", "initial_learning_rate": 0.01, "decay_steps": "all"}
    changes = [f"training.optimizer={json.dumps({'type': 'adam', 'learning_rate': rate})}"]
    trainer = Trainer("spec.json", changes=changes)
    trainer.fit(run="runs/a", epochs=3, batch_size=16)
    assert Run("runs/a").info["schedule_steps"] == trainer.schedule_steps == {"decay_steps": 6}
    Trainer("spec.json", changes=changes).fit(run="runs/b", steps_per_epoch=3)
    assert Run("runs/b").info["schedule_steps"] == {"decay_steps": 6}


def test_a_trainer_keeps_its_own_spec() -> None:
    trainer = Trainer(without_data(), seed=1)
    trainer.fit(**ARRAYS, run="runs/a", epochs=1, batch_size=4)
    trainer.fit(**ARRAYS, run="runs/b")
    assert (Run("runs/b").epochs, Run("runs/b").spec["training"]["batch_size"]) == (2, 8)


def test_a_run_of_arrays_goes_on_in_python_and_by_command() -> None:
    once = Trainer(without_data(), seed=1).fit(**ARRAYS, validation_data=VALIDATION, epochs=4)
    Trainer(without_data(), seed=1).fit(**ARRAYS, validation_data=VALIDATION, run="runs/a")
    shutil.copytree("runs/a", "runs/b")
    Trainer(without_data(), seed=1).fit(**ARRAYS, validation_data=VALIDATION, run="runs/a", resume=True, epochs=4)
    assert Run("runs/a").history["val_loss"] == once.history["val_loss"]
    shutil.copy("runs/b/spec.json", "copy.json")
    data = ("--data", "train.npz", "--validation-data", "validation.npz")
    command(
        "train", "copy.json", "-o", "runs/b", "--resume", "--seed", "1", *data, "--set", "training.epochs=4", status=0
    )
    assert Run("runs/b").history["val_loss"] == once.history["val_loss"]


def test_commands_say_that_the_data_were_arrays() -> None:
    trainer = Trainer("spec.json")
    trainer.fit(**ARRAYS, validation_data=VALIDATION, run="runs/a")
    assert Run("runs/a").info["arrays"] == ["train", "validation"]
    assert "was trained on arrays" in command("evaluate", "runs/a", status=2).stderr
    text = command("evaluate", "runs/a", "--data", "test.npz", "--format", "json", status=0).stdout
    assert trainer.evaluate(**DATA["test"])["mae"] == pytest.approx(json.loads(text)["mae"])
    command("predict", "runs/a", "--data", "test.npz", "-o", "p.npz", status=0)
    assert np.load("p.npz")["y"] == pytest.approx(trainer.predict(DATA["test"]["x"]), rel=1e-5)
    assert "was trained on arrays" in command("report", "runs/a", status=0).stderr
    assert "trained on arrays" not in command("report", "runs/a", "--data", "test.npz", status=0).stderr


def test_only_a_new_folder_is_written() -> None:
    trainer = Trainer("spec.json")
    trainer.fit(run="runs/a")
    before = files("runs/a")
    with pytest.raises(jsonnx.UsageError, match=r"already a run.*resume=True"):
        trainer.fit(run="runs/a")
    assert files("runs/a") == before
    with pytest.raises(TypeError, match="give run"):
        trainer.fit(resume=True)
    with pytest.raises(TypeError, match="not batches"):
        trainer.fit([(np.zeros((4, 2)), np.zeros((4, 1)))], run="runs/b")
    with pytest.raises(jsonnx.FeedError):
        trainer.fit(np.zeros((4, 3)), np.zeros((4, 1)), run="runs/b")
    assert not Path("runs/b").exists()


def test_callbacks_see_the_fit() -> None:
    class Doubled(jsonnx.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            assert logs is not None
            logs["twice"] = 2 * logs["loss"]

    history = Trainer("spec.json").fit(run="runs/a", callbacks=[Doubled()])
    assert Run("runs/a").history["twice"] == pytest.approx([2 * loss for loss in history.history["loss"]])


@jsonnx.loss
def squared(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def test_a_run_with_a_function_is_resumed_with_that_function_only() -> None:
    Trainer("spec.json", loss=squared).fit(run="runs/a")
    other = jsonnx.loss(lambda y_true, y_pred: ops.mean(ops.abs(y_true - y_pred), axis=-1), name="squared")
    with pytest.raises(jsonnx.CompileError, match=r"`training\.loss` of the spec has changed"):
        Trainer("spec.json", loss=other).fit(run="runs/a", resume=True, epochs=3)
    Trainer("spec.json", loss=squared).fit(run="runs/a", resume=True, epochs=3)
    assert Run("runs/a").epochs == 3
    shutil.copy("runs/a/spec.json", "copy.json")
    assert "python-function" in command("train", "copy.json", "-o", "runs/a", "--resume", status=1).stderr


def test_commands_leave_out_what_needs_a_function() -> None:
    trainer = Trainer("spec.json", loss=squared, metrics=["mae", jsonnx.metric(squared.implementation.fn, name="own")])
    trainer.fit(run="runs/a")
    result = command("evaluate", "runs/a", "--format", "json", status=0)
    figures = json.loads(result.stdout)
    assert "mae" in figures
    assert not {"loss", "own"} & figures.keys()
    assert "is missing: 'loss' and 'own'" in result.stderr
    command("predict", "runs/a", "--data", "test.npz", "-o", "p.csv", status=0)
    command("report", "runs/a", status=0)
    assert command("runs", "runs", status=0).stdout.count("finished") == 1
