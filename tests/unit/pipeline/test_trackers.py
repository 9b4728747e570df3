"""Trackers of training runs: what they get, and that neither their errors nor their slowness reach the training."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from jsonnx import Trainer
from jsonnx.callbacks import EarlyStopping, LambdaCallback, MLflow, TensorBoard, WandB
from jsonnx.cli.train import train as train_command
from jsonnx.core.diagnostics import Diagnostic, UsageError
from jsonnx.core.training_options import TrainingOptions
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.run import run_trackers
from jsonnx.pipeline.run.training_run import train
from jsonnx.runtime.fit.trainer import Diverged
from jsonnx.sections.trackers import TRACKERS
from jsonnx.trackers.tracker import RunTracker, TrackedRun

STEPS = 10
MAX_FLUSH_SECONDS = 30.0
"""How long the process of wandb, which goes on after the end of a run, may take to write its file."""
SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {
        "data": {"train": "data.npz", "test": "data.npz", "validation_split": 0.5},
        "loss": "mse",
        "optimizer": {"type": "sgd", "learning_rate": 0.01},
        "epochs": 2,
        "batch_size": 2,
        "shuffle": False,
    },
}


class Recording(RunTracker):
    """Keeps what it gets; raises an exception in one method, or waits there."""

    def __init__(self, failing: str = "", waits_for: Event | None = None) -> None:
        self.failing, self.waits_for = failing, waits_for
        self.run: TrackedRun | None = None
        self.values: list[tuple[int, int, Mapping[str, float]]] = []
        self.state = ""

    def start(self, run: TrackedRun) -> None:
        self._fail("start")
        self.run = run

    def figures(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        self._fail("figures")
        self.values.append((step, epoch, values))

    def end(self, state: str) -> None:
        self._fail("end")
        self.state = state

    def _fail(self, method: str) -> None:
        if method == self.failing and self.waits_for is not None:
            self.waits_for.wait()
        elif method == self.failing:
            raise ValueError(f"{method} fails\nin a second line")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    x = np.random.default_rng(0).normal(size=(4 * STEPS, 4)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=x[:, :1])
    return tmp_path


def run(home: Path, name: str, *, trackers: tuple[Any, ...] = (), **options: Any) -> list[Diagnostic]:
    """Trains the spec, and returns the warnings about trackers."""
    spec = {**SPEC, "training": SPEC["training"] | ({"trackers": list(trackers)} if trackers else {})}
    (home / "spec.json").write_text(json.dumps(spec))
    warnings: list[Diagnostic] = []
    changes = options.pop("changes", ())
    checked = check_spec(home / "spec.json", changes=list(changes))
    train(checked, home / name, TrainingOptions(changes=changes, **options), warn=warnings.extend)
    return [warning for warning in warnings if warning.code == "tracker-failed"]


def replace_trackers(monkeypatch: pytest.MonkeyPatch, **trackers: RunTracker) -> None:
    monkeypatch.setattr(run_trackers, "create_tracker", lambda tracker: trackers[tracker.type_name])


def test_a_tracker_gets_the_metrics_of_the_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording()
    replace_trackers(monkeypatch, tensorboard=recording)
    assert run(home, "run", trackers=("tensorboard",)) == []
    assert recording.run is not None
    assert (recording.run.name, recording.run.step, recording.run.is_resumed) == ("run", 0, False)
    assert recording.run.parameters["training.optimizer.learning_rate"] == 0.01
    assert not any("data" in name or "trackers" in name for name in recording.run.parameters)
    lines = [json.loads(line) for line in (home / "run/metrics.jsonl").read_text().splitlines()]
    by_epoch = [(step, {"epoch": epoch, **values}) for step, epoch, values in recording.values if "val_loss" in values]
    assert by_epoch == [(STEPS, lines[0]), (2 * STEPS, lines[1])]
    assert [(step, epoch) for step, epoch, values in recording.values if "step/loss" in values] == [(10, 0), (20, 1)]
    test = json.loads((home / "run/run.json").read_text())["test"]
    assert recording.values[-1] == (2 * STEPS, 1, {"test_loss": test["loss"]})
    assert recording.state == "finished"


def test_a_resumed_run_continues_with_other_trackers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_trackers(monkeypatch, mlflow=Recording())
    run(home, "run", trackers=("mlflow",))
    recording = Recording()
    replace_trackers(monkeypatch, tensorboard=recording)
    run(home, "run", trackers=("tensorboard",), resume=True, changes=("training.epochs=3",))
    assert recording.run is not None
    assert (recording.run.step, recording.run.is_resumed) == (2 * STEPS, True)
    assert {step for step, _, _ in recording.values} == {3 * STEPS}


def test_the_errors_of_trackers_are_one_warning_each(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = {"tensorboard": "start", "mlflow": "figures", "wandb": "end"}
    replace_trackers(monkeypatch, **{name: Recording(method) for name, method in methods.items()})
    run(home, "plain")
    warnings = run(home, "run", trackers=tuple(methods))
    failed = "failed, and gets no more metrics: ValueError"
    messages = {f"the tracker {name} {failed}: {method} fails" for name, method in methods.items()}
    assert {warning.message for warning in warnings} == messages
    assert len(warnings) == len(methods)
    assert {warning.severity for warning in warnings} == {"warning"}
    for file in ("model.onnx", "weights.safetensors", "metrics.jsonl"):
        assert (home / "run" / file).read_bytes() == (home / "plain" / file).read_bytes()


def test_a_tracker_that_does_not_answer_is_left_behind(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, other = Event(), Recording()
    replace_trackers(monkeypatch, tensorboard=Recording("start", answer), mlflow=other)
    monkeypatch.setattr(run_trackers, "MAX_END_SECONDS", 0.5)
    (warning,) = run(home, "run", trackers=("tensorboard", "mlflow"))
    answer.set()
    assert "the tracker tensorboard has not written all metrics" in warning.message
    assert other.state == "finished"


def test_a_tracker_is_told_that_the_run_diverged(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording()
    replace_trackers(monkeypatch, tensorboard=recording)
    with pytest.raises(Diverged):
        run(home, "run", trackers=("tensorboard",), changes=("training.optimizer.learning_rate=1e6",))
    assert recording.state == "diverged"


def test_a_missing_package_is_an_error_before_anything_is_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError) as error:
        run(home, "run", trackers=("wandb",))
    assert error.value.diagnostic.code == "missing-package"
    assert "wandb" in str(error.value.diagnostic.help)
    assert not (home / "run").exists()


def test_the_option_offers_all_trackers() -> None:
    (choice,) = [parameter.type for parameter in train_command.params if parameter.name == "trackers"]
    assert list(choice.choices) == list(TRACKERS.names())  # type: ignore[attr-defined]


def test_an_option_adds_trackers_to_those_of_the_spec() -> None:
    in_spec = [TRACKERS.by_name["mlflow"](experiment="digits")]
    selected = run_trackers.selected_trackers(in_spec, ["mlflow", "tensorboard"])  # type: ignore[arg-type]
    assert [repr(tracker) for tracker in selected] == ["mlflow(experiment='digits')", "tensorboard()"]


# -- callbacks of fit -------------------------------------------------------------------------------------------------


def fit_with(
    home: Path, monkeypatch: pytest.MonkeyPatch, trackers: Mapping[str, RunTracker], **options: Any
) -> Trainer:
    """Fits the spec with a callback for each tracker, which `trackers` replace."""
    monkeypatch.setattr(run_trackers, "create_tracker", lambda tracker: trackers[tracker.type_name])
    classes = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}
    callbacks = [classes[name](log_dir=home / "logs") for name in trackers]  # type: ignore[operator]
    trainer = Trainer(SPEC, changes=options.pop("changes", ()))
    x = np.random.default_rng(0).normal(size=(2 * STEPS, 4)).astype(np.float32)
    trainer.fit(x, x[:, :1], validation_split=0.0, callbacks=[*callbacks, *options.pop("callbacks", ())], **options)
    return trainer


def test_a_fit_sends_its_metrics_to_trackers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording()
    trainer = fit_with(home, monkeypatch, {"tensorboard": recording})
    assert recording.run is not None
    assert (recording.run.name, recording.run.step, recording.run.is_resumed) == ("logs", 0, False)
    assert recording.run.parameters["training.optimizer.learning_rate"] == 0.01
    assert recording.run.tags["jsonnx.provider"] == "cpu"
    by_epoch = [(step, values["loss"]) for step, _, values in recording.values if "loss" in values]
    assert by_epoch == list(zip((STEPS, 2 * STEPS), trainer.history.history["loss"], strict=True))
    assert [step for step, _, values in recording.values if "step/loss" in values] == [STEPS, 2 * STEPS]
    assert recording.state == "finished"
    assert not recording.run.spec_file.exists()
    second = Recording()
    fit_with(home, monkeypatch, {"tensorboard": second}, callbacks=[EarlyStopping("loss", patience=0)])
    assert second.state == "finished"


def test_an_error_of_a_tracker_is_a_warning_of_fit(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(RuntimeWarning, match="the tracker mlflow failed, and gets no more metrics: ValueError"):
        fit_with(home, monkeypatch, {"mlflow": Recording("start"), "wandb": (other := Recording())})
    assert other.state == "finished"


def test_a_tracker_is_told_how_a_fit_failed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording()
    with pytest.raises(Diverged):
        fit_with(home, monkeypatch, {"wandb": recording}, changes=("training.optimizer.learning_rate=1e6",))
    assert recording.state == "diverged"

    def fail(epoch: int, logs: Any) -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        fit_with(home, monkeypatch, {"wandb": (failed := Recording())}, callbacks=[LambdaCallback(on_epoch_end=fail)])
    assert failed.state == "failed"


def test_a_missing_package_is_an_error_of_the_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match="wandb"):
        WandB()
    with pytest.raises(ValueError, match="mode must be"):
        WandB(mode="no")  # type: ignore[arg-type]


# -- the programs themselves -----------------------------------------------------------------------------------------


def test_tensorboard_reads_a_resumed_run(home: Path) -> None:
    pytest.importorskip("tensorboardX")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(home, "run", trackers=("tensorboard",))
    run(home, "run", trackers=("tensorboard",), resume=True, changes=("training.epochs=3",))
    events = reader.EventAccumulator(str(home / "run/tensorboard"))
    events.Reload()
    lines = [json.loads(line) for line in (home / "run/metrics.jsonl").read_text().splitlines()]
    scalars = events.Scalars("val_loss")
    assert [scalar.step for scalar in scalars] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert [scalar.value for scalar in scalars] == [np.float32(line["val_loss"]) for line in lines]
    run(home, "run", trackers=("tensorboard",), force=True)
    trainer = Trainer(SPEC)
    x = np.ones((4, 4), np.float32)
    for _ in range(2):
        trainer.fit(x, x[:, :1], epochs=1, validation_split=0.0, callbacks=[TensorBoard(home / "logs")])
    fits = reader.EventAccumulator(str(home / "logs/tensorboard"))
    fits.Reload()
    assert [scalar.step for scalar in fits.Scalars("loss")] == [2, 4]
    assert len(list((home / "run/tensorboard").iterdir())) == 1


@pytest.mark.slow
def test_mlflow_reads_a_resumed_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    tracker = {"type": "mlflow", "experiment": "digits"}
    assert run(home, "run", trackers=(tracker,)) == []
    assert run(home, "run", trackers=(tracker,), resume=True, changes=("training.epochs=3",)) == []
    client = mlflow.MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["training.optimizer.learning_rate"] == "0.01"
    lines = [json.loads(line) for line in (home / "run/metrics.jsonl").read_text().splitlines()]
    history = client.get_metric_history(found.info.run_id, "val_loss")
    assert [(metric.step, metric.value) for metric in history] == [
        (STEPS * (epoch + 1), line["val_loss"]) for epoch, line in enumerate(lines)
    ]
    assert [file.path for file in client.list_artifacts(found.info.run_id)] == ["spec.json"]


@pytest.mark.slow
def test_wandb_writes_an_offline_run(home: Path) -> None:
    pytest.importorskip("wandb")
    assert run(home, "run", trackers=("wandb",)) == []
    run_id = json.loads((home / "run/wandb.json").read_text())["run_id"]
    (file,) = (home / "run/wandb").glob(f"offline-run-*/run-{run_id}.wandb")
    deadline = time.monotonic() + MAX_FLUSH_SECONDS
    while b"val_loss" not in file.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert b"val_loss" in file.read_bytes()
