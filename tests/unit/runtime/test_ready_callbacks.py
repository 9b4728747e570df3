"""Callbacks with Keras' method names: when they are called, the ready ones, and what is an error."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx import callbacks
from jsonnx.runtime.fit.plateau import PlateauMonitor

from .plans import flowers

X, Y = flowers(40)
SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [{"type": "Dense", "name": "y", "units": 3, "activation": "softmax"}],
    "training": {
        "loss": "sparse_categorical_crossentropy",
        "optimizer": {"type": "sgd", "learning_rate": 0.1},
        "metrics": ["accuracy"],
        "batch_size": 16,
    },
}


def fit(*given: Any, epochs: int = 3, **arguments: Any) -> tuple[jsonnx.Trainer, Any]:
    trainer = jsonnx.Trainer(SPEC, seed=0)
    return trainer, trainer.fit(X, Y, epochs=epochs, validation_split=0.2, callbacks=given, **arguments)


class Events(jsonnx.Callback):
    """Notes all events."""

    def __init__(self, stop_after: int = 1000) -> None:
        super().__init__()
        self.events: list[Any] = []
        self.stop_after = stop_after

    def on_train_begin(self, logs: Any = None) -> None:
        self.events.append("train")

    def on_train_end(self, logs: Any = None) -> None:
        self.events.append(("trained", sorted(logs)))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.events.append(("epoch", epoch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.events.append(("end", epoch, sorted(logs)))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.events.append(("batch", batch))

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        self.events.append(("step", batch, list(logs)))
        if len(self.events) > self.stop_after:
            self.model.stop_training = True

    def on_test_begin(self, logs: Any = None) -> None:
        self.events.append("test")

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.events.append(("tested", batch))

    def on_test_end(self, logs: Any = None) -> None:
        self.events.append(("test end", sorted(logs)))


TRAIN, ALL = ["loss", "accuracy"], ["accuracy", "learning_rate", "loss", "val_accuracy", "val_loss"]


def test_events_come_in_the_order_of_keras() -> None:
    note = Events()
    trainer, _ = fit(note, epochs=1)
    assert note.trainer is note.model is trainer
    assert note.events == [
        "train",
        ("epoch", 0),
        *(event for batch in range(2) for event in (("batch", batch), ("step", batch, TRAIN))),
        "test",
        ("tested", 0),
        ("test end", ["accuracy", "loss"]),
        ("end", 0, ALL),
        ("trained", ALL),
    ]


def test_stop_training_ends_the_epoch_after_the_step() -> None:
    note = Events(stop_after=3)
    trainer, history = fit(note)
    assert (trainer.steps, history.epoch) == (1, [0])
    assert not trainer.stop_training


def test_events_leave_the_training_as_it_is() -> None:
    with_events, plain = fit(Events())[0].weights(), fit()[0].weights()
    assert all((with_events[name] == plain[name]).all() for name in plain)


def test_early_stopping_restores_the_best_weights() -> None:
    stopping = callbacks.EarlyStopping("val_loss", min_delta=10, patience=2, restore_best_weights=True)
    trainer, history = fit(stopping, epochs=9)
    assert (history.epoch, stopping.stopped_epoch) == ([0, 1, 2], 2)
    best = fit(epochs=1)[0].weights()
    assert all((array == best[name]).all() for name, array in trainer.weights().items())


# The rates of keras.callbacks.ReduceLROnPlateau, 3.15, after epochs with these losses.
LOSSES = [1.0, 0.9, 0.9, 0.9, 0.9, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6]


@pytest.mark.parametrize("make", [callbacks.EarlyStopping, callbacks.ReduceLROnPlateau])
def test_a_metric_that_is_a_list_cannot_be_monitored(make: Any) -> None:
    spec = {**SPEC, "training": {**SPEC["training"], "metrics": ["f1_score"]}}
    with pytest.raises(ValueError, match="'val_f1_score' is a list of numbers: monitor a metric that is one number"):
        jsonnx.Trainer(spec).fit(X, Y, validation_split=0.2, callbacks=[make("val_f1_score")])


def test_the_best_weights_replace_the_moving_average_of_the_weights() -> None:
    optimizer = {"type": "sgd", "learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.9}
    spec = {**SPEC, "training": {**SPEC["training"], "optimizer": optimizer}}
    worst_first = {"monitor": "loss", "mode": "max", "patience": 5}  # the first epoch has the highest loss
    trainer = jsonnx.Trainer(spec, seed=0)
    first: list[Any] = []
    note = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: first.append(trainer.weights()))
    trainer.fit(X, Y, epochs=3, callbacks=[note, callbacks.EarlyStopping(**worst_first, restore_best_weights=True)])
    by_spec = {**spec, "training": {**spec["training"], "early_stopping": worst_first, "restore_best_weights": True}}
    other = jsonnx.Trainer(by_spec, seed=0)
    other.fit(X, Y, epochs=3)
    for name, array in trainer.weights().items():
        assert (array == first[0][name]).all()
        assert (array == other.weights()[name]).all()


def test_plateaus_are_those_of_keras() -> None:
    plateau = PlateauMonitor("loss", False, factor=0.5, patience=2, min_delta=0.01, cooldown=1, min_lr=0.2)
    rates, rate = [], 1.0
    for loss in LOSSES:
        rate = plateau.rate_after({"loss": loss}, rate)
        rates.append(rate)
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2]


def test_the_spec_and_the_callback_reduce_the_rate_alike(tmp_path: Path) -> None:
    section = {"monitor": "loss", "factor": 0.5, "patience": 1, "min_delta": 1.0}
    trainer, _ = fit(callbacks.ReduceLROnPlateau(**section), epochs=4)
    spec = {**SPEC, "training": {**SPEC["training"], "reduce_on_plateau": section}}
    by_spec = jsonnx.Trainer(spec, seed=0)
    by_spec.fit(X, Y, epochs=2, validation_split=0.2)
    by_spec.save_checkpoint(tmp_path / "c")
    resumed = jsonnx.Trainer(spec, seed=0)
    resumed.load_checkpoint(tmp_path / "c")
    resumed.fit(X, Y, epochs=4, validation_split=0.2)
    assert resumed.learning_rate == trainer.learning_rate == pytest.approx(0.0125)
    weights = trainer.weights()
    assert all((array == weights[name]).all() for name, array in resumed.weights().items())


def test_checkpoints_are_written_after_epochs_steps_and_improvements(tmp_path: Path) -> None:
    best = callbacks.ModelCheckpoint(tmp_path / "best-{epoch:02d}.onnx", "val_loss", save_best_only=True)
    weights = callbacks.ModelCheckpoint(tmp_path / "w.safetensors", save_weights_only=True, save_freq=2)
    trainer, _ = fit(best, weights, callbacks.ModelCheckpoint(tmp_path / "{epoch}.checkpoint"))
    names = {path.name for path in tmp_path.iterdir()}
    assert {"1.checkpoint", "2.checkpoint", "3.checkpoint", "w.safetensors", "best-01.onnx"} <= names
    other = jsonnx.Trainer(SPEC, weights=str(tmp_path / "w.safetensors"))
    assert all((array == other.weights()[name]).all() for name, array in trainer.weights().items())
    resumed = jsonnx.Trainer(SPEC, seed=0)
    resumed.load_checkpoint(tmp_path / "2.checkpoint")
    resumed.fit(X, Y, epochs=3, validation_split=0.2)
    assert all((array == trainer.weights()[name]).all() for name, array in resumed.weights().items())


def test_a_csv_log_has_a_line_for_each_epoch(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    _, history = fit(callbacks.CSVLogger(path), validation_freq=2)
    fit(callbacks.CSVLogger(path, append=True), epochs=1)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "0"]
    assert [float(row["loss"]) for row in rows[:3]] == history.history["loss"]
    assert [row["val_loss"] != "" for row in rows] == [False, True, False, True]


def test_rates_follow_a_schedule_and_lambdas_are_called() -> None:
    rates: list[float] = []
    note = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: rates.append(logs["loss"]))
    trainer, history = fit(callbacks.LearningRateScheduler(lambda epoch, rate: 0.5 / (epoch + 1)), note)
    assert rates == history.history["loss"]
    assert trainer.learning_rate == pytest.approx(0.5 / 3)


def test_a_loss_that_is_not_finite_may_end_the_fit(capsys: pytest.CaptureFixture[str]) -> None:
    spec = {**SPEC, "layers": [{"type": "ops.exp", "name": "exp"}, *SPEC["layers"]]}
    x = np.where(np.arange(40)[:, None] == 39, np.float32(1000), X)
    trainer = jsonnx.Trainer(spec, seed=0)
    with pytest.raises(jsonnx.CompileError, match="is a result of the layer 'exp', of its operator Exp") as error:
        trainer.fit(x, Y, shuffle=False)
    assert error.value.diagnostics[0].notes[0].path == "$.layers[0]"
    history = jsonnx.Trainer(spec, seed=0).fit(x, Y, shuffle=False, callbacks=[callbacks.TerminateOnNaN()])
    assert history.epoch == []
    assert "the loss became" in capsys.readouterr().out


class Misspelled(jsonnx.Callback):
    def on_epoch_ends(self, epoch: int, logs: Any = None) -> None:
        pass


class TooFew(jsonnx.Callback):
    def on_epoch_end(self, epoch: int) -> None:  # type: ignore[override]
        pass


class Ducks:
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        pass


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (Misspelled, TypeError, "unknown hook 'on_epoch_ends'; did you mean 'on_epoch_end'?"),
        (TooFew, TypeError, r"TooFew.on_epoch_end takes \(epoch.*, but is called with \(epoch, logs\)"),
        (Ducks, TypeError, "the callback Ducks does not derive from jsonnx.Callback"),
        (lambda: callbacks.EarlyStopping("val_acc"), ValueError, "'val_acc' is not reported: the metrics are 'loss'"),
        (lambda: callbacks.EarlyStopping(mode="up"), ValueError, "mode must be one of"),
        (lambda: callbacks.ReduceLROnPlateau(factor=2), ValueError, "factor must be between 0 and 1"),
        (lambda: callbacks.ModelCheckpoint("m.keras"), ValueError, "jsonnx saves .onnx, .safetensors or checkpoints"),
        (lambda: callbacks.ModelCheckpoint("m", save_freq=0), ValueError, "save_freq must be 'epoch' or a number"),
        (lambda: callbacks.ModelCheckpoint("{loss}-{f1}.x"), ValueError, "names 'f1'; the names are 'epoch', 'loss'"),
        (lambda: callbacks.ModelCheckpoint("{loss:d}.x"), ValueError, "cannot be filled in: Unknown format code 'd'"),
        (lambda: callbacks.LambdaCallback(on_epoch=print), TypeError, "LambdaCallback takes no 'on_epoch'"),
        (lambda: callbacks.LambdaCallback(on_epoch_end=3), TypeError, "on_epoch_end must be a function"),
        (lambda: callbacks.CSVLogger("/nowhere/log.csv"), jsonnx.UsageError, "cannot write"),
    ],
)
def test_unusable_callbacks_are_errors(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fit(make())
