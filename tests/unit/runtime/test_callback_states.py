"""The states of callbacks in checkpoints: a resumed fit equals the one that never stopped."""

from __future__ import annotations

import gc
import signal
import weakref
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx import callbacks
from jsonnx.core.diagnostics import CompileError
from jsonnx.runtime.callbacks.state_values import MAX_DEPTH, decode, encode
from jsonnx.runtime.fit import checkpoint

from .plans import flowers, have_equal_variables

X, Y = flowers(40)
SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [
        {"type": "Dense", "name": "best", "units": 6, "activation": "relu"},  # also a prefix of checkpoints' entries
        {"type": "Dropout", "rate": 0.2},
        {"type": "Dense", "name": "y", "units": 3, "activation": "softmax"},
    ],
    "training": {
        "loss": "sparse_categorical_crossentropy",
        "optimizer": {"type": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        "metrics": ["accuracy"],
        "batch_size": 8,
    },
}
STEPS = 4  # of an epoch


def fit(trainer: jsonnx.Trainer, *given: Any, epochs: int = 4) -> Any:
    return trainer.fit(X, Y, epochs=epochs, validation_split=0.2, callbacks=given, verbose=0)


class RandomRates(jsonnx.Callback):
    """Draws the learning rate of each step, and notes everything that it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.random = np.random.default_rng(1)
        self.calls: dict[Any, Any] = {"epochs": [], 1: (0, np.float32(1)), "losses": np.zeros(0)}

    def state_dict(self) -> dict[str, Any]:
        return {"random": self.random.bit_generator.state, "calls": self.calls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.random.bit_generator.state, self.calls = state["random"], state["calls"]

    def on_train_begin(self, logs: Any = None) -> None:
        self.trainer.learning_rate = 0.5

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.calls["epochs"].append((epoch, self.trainer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.trainer.learning_rate = float(self.random.uniform(0.01, 0.2))
        self.calls["losses"] = np.append(self.calls["losses"], logs["loss"])

    def on_train_end(self, logs: Any = None) -> None:
        self.calls["end"] = logs

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        count, factor = self.calls[1]
        self.calls[1] = (count + 1, factor * np.float32(logs["val_loss"]))


class Counter(jsonnx.Callback):
    """Counts steps and epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = self.epochs = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.epochs = state["steps"], state["epochs"]


class Saver(jsonnx.Callback):
    """Saves a checkpoint after each step and each epoch."""

    def __init__(self, trainer: jsonnx.Trainer, folder: Path) -> None:
        super().__init__()
        self.trainer, self.folder = trainer, folder

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.trainer.save_checkpoint(self.folder / f"step-{self.trainer.steps}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.trainer.save_checkpoint(self.folder / f"epoch-{epoch}")


CHECKPOINTS = ["step-3", "step-4", "epoch-0", "epoch-3"]


@pytest.mark.parametrize("position", [0, 1, 3])
def test_a_callback_of_ones_own_is_resumed(tmp_path: Path, position: int) -> None:
    whole = jsonnx.Trainer(SPEC, seed=0)
    given: list[Any] = [RandomRates(), Counter(), RandomRates()]
    fit(whole, *given[:position], Saver(whole, tmp_path), *given[position:])
    assert given[1].state_dict() == {"steps": 4 * STEPS, "epochs": 4}
    for name in CHECKPOINTS:
        resumed, again = jsonnx.Trainer(SPEC, seed=0), [RandomRates(), Counter(), RandomRates()]
        assert resumed.load_checkpoint(tmp_path / name) == []
        fit(resumed, *again)
        assert have_equal_variables(resumed.plan_trainer, whole.plan_trainer)
        assert resumed.learning_rate == whole.learning_rate
        for one, other in zip(given, again, strict=True):
            np.testing.assert_equal(other.state_dict(), one.state_dict())
        assert type(again[0].calls[1]) is tuple
        assert type(again[0].calls[1][1]) is np.float32


def ready(folder: Path) -> list[Any]:
    return [
        callbacks.ModelCheckpoint(folder / "best", monitor="val_loss", save_best_only=True, save_freq=3),
        callbacks.EarlyStopping("loss", patience=1, min_delta=0.05, restore_best_weights=True),
        callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.5),
        callbacks.CSVLogger(folder / "log.csv"),
    ]


@pytest.mark.parametrize("is_last", [False, True])
def test_ready_callbacks_are_resumed(tmp_path: Path, is_last: bool) -> None:
    whole, given = jsonnx.Trainer(SPEC, seed=0), ready(tmp_path)
    saver = Saver(whole, tmp_path)
    history = fit(whole, *(() if is_last else (saver,)), *given, *((saver,) if is_last else ()), epochs=12)
    epochs = len(history.epoch)
    assert 3 < epochs < 12
    log = (tmp_path / "log.csv").read_bytes()
    for name in (*CHECKPOINTS, f"epoch-{epochs - 1}"):
        (tmp_path / "log.csv").write_bytes(
            log if name != "epoch-0" else b""
        )  # of an epoch that is trained again, or lost
        resumed, again = jsonnx.Trainer(SPEC, seed=0), ready(tmp_path)
        resumed.load_checkpoint(tmp_path / name)
        assert fit(resumed, *again, epochs=12).history == history.history
        assert have_equal_variables(resumed.plan_trainer, whole.plan_trainer)
        for one, other in zip(given, again, strict=True):
            np.testing.assert_equal(other.state_dict(), one.state_dict())
        assert (tmp_path / "log.csv").read_bytes() == log


class CountTests(jsonnx.Callback):
    """Counts validations, and ends the fit with a signal in the second one."""

    def __init__(self, interrupts: bool = False) -> None:
        super().__init__()
        self.counts, self.interrupts = [0], interrupts

    def state_dict(self) -> dict[str, Any]:
        return {"counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.counts = state["counts"]

    def on_test_begin(self, logs: Any = None) -> None:
        self.counts[0] += 1
        if self.interrupts and self.counts[0] == 2:
            signal.raise_signal(signal.SIGTERM)


def test_an_interrupted_validation_is_repeated_as_if_it_had_not_begun(tmp_path: Path) -> None:
    trainer = jsonnx.Trainer(SPEC, seed=0)
    assert fit(trainer, CountTests(interrupts=True)).signal == signal.SIGTERM
    assert (trainer.epochs_done, trainer.steps) == (1, 2 * STEPS)
    trainer.save_checkpoint(tmp_path / "c")
    resumed, counting = jsonnx.Trainer(SPEC, seed=0), CountTests()
    resumed.load_checkpoint(tmp_path / "c")
    fit(resumed, counting)
    assert counting.counts == [4]


def test_a_fit_may_lack_or_add_callbacks(tmp_path: Path) -> None:
    trainer = jsonnx.Trainer(SPEC, seed=0)
    fit(trainer, Counter(), callbacks.CSVLogger(tmp_path / "log.csv"), epochs=1)
    trainer.save_checkpoint(tmp_path / "a")
    trainer.load_checkpoint(tmp_path / "a")
    trainer.save_checkpoint(tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    with pytest.warns(UserWarning, match="the state of a callback Counter, which this fit does not have"):
        fit(trainer, RandomRates(), epochs=2)
    counters = [Counter(), Counter()]
    trainer.load_checkpoint(tmp_path / "a")
    fit(trainer, *counters, epochs=2)
    assert [counter.state_dict() for counter in counters] == [{"steps": 8, "epochs": 2}, {"steps": 4, "epochs": 1}]


def test_other_runs_have_no_states_in_their_checkpoints(tmp_path: Path) -> None:
    trainer = jsonnx.Trainer(SPEC, seed=0)
    fit(trainer, callbacks.TerminateOnNaN(), epochs=1)
    trainer.save_checkpoint(tmp_path / "c")
    assert b"callbacks" not in (tmp_path / "c").read_bytes()


def test_callbacks_do_not_keep_a_trainer_alive() -> None:
    gc.disable()
    try:
        trainer, stopping = jsonnx.Trainer(SPEC, seed=0), callbacks.EarlyStopping("loss")
        fit(trainer, stopping, epochs=1)
        reference = weakref.ref(trainer)
        del trainer, stopping
        assert reference() is None
    finally:
        gc.enable()


class State(jsonnx.Callback):
    def __init__(self, state: Any) -> None:
        super().__init__()
        self.state = state

    def state_dict(self) -> Any:
        return self.state

    def load_state_dict(self, state: Any) -> None:
        self.state = {"wait": state["missing"]}


class OnlySaved(jsonnx.Callback):
    def state_dict(self) -> Any:
        return {"a": 1}


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 0


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (
            State({"seen": [1, {2}]}),
            r"callback State cannot be saved: state_dict\(\)\['seen'\]\[1\] is a set, expected",
        ),
        (State({"seen": defaultdict(int)}), r"\['seen'\] is a defaultdict, expected numbers"),
        (State({"seen": {(1, 2): 3}}), r"a key of state_dict\(\)\['seen'\] is a tuple"),
        (State({"seen": np.zeros(2, ">f4")}), r"\['seen'\] is a NumPy array of >f4, expected bool, int8"),
        (State({"seen": np.array([{}])}), r"\['seen'\] is a NumPy array of object, expected bool, int8"),
        (State({"seen": nested(MAX_DEPTH)}), f"lies more than {MAX_DEPTH} deep"),
        (State([1]), r"state_dict\(\) of the callback State must return a dict, got \[1\]"),
        (OnlySaved(), "the callback OnlySaved has state_dict, but not load_state_dict"),
    ],
)
def test_a_state_that_cannot_be_saved_is_an_error_before_the_first_step(callback: Any, message: str) -> None:
    trainer = jsonnx.Trainer(SPEC, seed=0)
    with pytest.raises(TypeError, match=message):
        fit(trainer, callback)
    assert trainer.steps == 0


def test_the_error_of_a_callback_that_cannot_be_restored_names_it(tmp_path: Path) -> None:
    trainer = jsonnx.Trainer(SPEC, seed=0)
    fit(trainer, State({"wait": 1}), epochs=1)
    trainer.save_checkpoint(tmp_path / "c")
    trainer.load_checkpoint(tmp_path / "c")
    with pytest.raises(KeyError) as error:
        fit(trainer, State({}))
    assert error.value.__notes__ == ["while the state of the callback State was restored from a checkpoint"]


@pytest.mark.parametrize(
    "forged", [{"array": 9}, {"scalar": 0}, {"array": "0"}, {"dict": [["a"]]}, {"tuple": 1}, {"dict": []}, {}, {"x": 1}]
)
def test_forged_states_are_damage(tmp_path: Path, forged: Any) -> None:
    trainer = jsonnx.Trainer(SPEC, seed=0)
    fit(trainer, State({"seen": np.zeros(2), "rate": {"x": 1}}), epochs=1)
    trainer.save_checkpoint(tmp_path / "c")
    arrays, state = checkpoint.load(str(tmp_path / "c"))
    state["callbacks"]["states"]["State"] = forged if forged != {"dict": []} else [forged]
    checkpoint.save(str(tmp_path / "c"), arrays, state)
    with pytest.raises(CompileError, match="bad-checkpoint"):
        trainer.load_checkpoint(tmp_path / "c")


def test_values_are_restored_exactly() -> None:
    value = {
        "a": [1, 1 << 130, -0.0, float("inf"), True, None, "ü\ud800", [], {}, ()],
        2: (np.arange(6.0).reshape(2, 3).T, np.float16(1), np.bool_(True), np.array(3, np.uint8), np.zeros((0, 2))),
        False: np.array(["red", "blue"], object),
    }
    arrays: list[np.ndarray] = []
    again = decode(encode(value, arrays, ""), dict(enumerate(arrays)))
    assert repr(again) == repr(value)
    assert again[2][0].dtype == np.float64
