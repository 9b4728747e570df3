"""The check of a fit's callbacks: a hook that would never be called is an error at once."""

from __future__ import annotations

from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx import Trainer
from jsonnx.callbacks import LambdaCallback
from jsonnx.core.callback import HOOKS, methods_for
from jsonnx.runtime.callbacks.callbacks import OTHER_NAMES, checked_callbacks

SPEC = {
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {"loss": "mse"},
}


def with_hooks(base: type = jsonnx.Callback, **hooks: Any) -> Any:
    return type("Note", (base,), {name: staticmethod(hook) for name, hook in hooks.items()})()


def keras_callback() -> object:
    base = type("Callback", (), {"__module__": "keras.src.callbacks.callback", "on_epoch_end": lambda *_: None})
    return type("EarlyStopping", (base,), {})()


def a_function(epoch: int, logs: Any) -> None:
    pass


class Stops(jsonnx.Callback):
    def on_train_end(self, logs: Any = None) -> None:
        pass


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([with_hooks(on_epoch_ends=print)], "unknown hook 'on_epoch_ends'; did you mean 'on_epoch_end'?"),
        ([with_hooks(on_step=print)], "unknown hook 'on_step'; in Keras and here it is 'on_train_batch_end'; the"),
        ([with_hooks(object, on_step=print)], "unknown hook 'on_step'; in Keras and here it is 'on_train_batch_end'"),
        ([with_hooks(on_end=print)], "unknown hook 'on_end'; in Keras and here it is 'on_train_end'; the methods are"),
        ([with_hooks(on_train_end=print, on_exception=print)], "unknown hook 'on_exception'; the methods are on_train"),
        ([with_hooks(on_epoch_end=lambda epoch: 0)], r"on_epoch_end takes \(epoch\), but is called with"),
        (
            [with_hooks(on_epoch_begin=lambda epoch, epochs, steps: 0)],
            r"on_epoch_begin takes \(epoch, epochs, steps\), but is called with \(epoch, logs\)",
        ),
        ([type("Note", (jsonnx.Callback,), {"on_epoch_end": 3})()], "Note.on_epoch_end is a hook and must be a method"),
        ([a_function], "the function 'a_function' is no callback: derive a class from jsonnx.Callback, or write"),
        ([print, 42], "the function 'print' is no callback"),
        ([42], "the callback int does not derive from jsonnx.Callback; the methods are on_train_begin"),
        ([with_hooks(object, on_epoch_end=print)], "the callback Note does not derive from jsonnx.Callback"),
        ([Stops], r"Stops is a class: pass an instance, Stops\(...\)"),
        ([keras_callback()], "the callback EarlyStopping is one of Keras"),
        (Stops(), r"got Stops: write callbacks=\[...\]"),
        (a_function, r"got a_function: write callbacks=\[...\]"),
        ({"a": Stops()}, "callbacks is a list"),
    ],
)
def test_a_callback_that_cannot_be_called_is_an_error_before_training(callbacks: Any, message: str) -> None:
    trainer = Trainer(SPEC)
    with pytest.raises(TypeError, match=message):
        trainer.fit(np.zeros((4, 2)), np.zeros((4, 1)), callbacks=callbacks)
    assert trainer.steps == 0


def test_a_callback_has_some_of_the_hooks() -> None:
    for name in HOOKS:
        note = with_hooks(**{name: lambda *arguments: None})
        assert checked_callbacks([note]) == (note,)
    optional = with_hooks(on_epoch_end=lambda epoch, logs, more=None: None, online=True)
    assert checked_callbacks(iter([optional, Stops()]))[0] is optional
    assert checked_callbacks(None) == ()
    not_evaluated = type("Note", (jsonnx.Callback,), {"on_train_end": print, "on_screen": property(lambda self: 1 / 0)})
    assert len(checked_callbacks([not_evaluated()])) == 1
    assert set(OTHER_NAMES.values()) <= HOOKS.keys()
    assert not OTHER_NAMES.keys() & HOOKS.keys()


def test_only_methods_that_a_callback_overrides_are_called() -> None:
    quiet, alias, own = jsonnx.Callback(), with_hooks(on_batch_end=print), jsonnx.Callback()
    own.on_train_batch_end = print  # type: ignore[method-assign, assignment]
    methods = methods_for([quiet, alias, own], "on_train_batch_end")
    assert methods == [alias.on_train_batch_end, print]
    assert methods_for([quiet, alias, own], "on_train_batch_begin") == []


def test_logs_that_a_callback_adds_reach_the_callbacks_behind_it() -> None:
    seen: list[Any] = []
    adds = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(rate=1.0))
    sees = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["rate"]))
    history = Trainer(SPEC).fit(np.zeros((4, 2)), np.zeros((4, 1)), epochs=1, callbacks=[adds, sees])
    assert seen == [1.0]
    assert [*history.history] == ["loss", "learning_rate", "rate"]


def fit_with(callback: Any, tmp_path: Any = None, epochs: int = 2, **options: Any) -> Any:
    trainer = Trainer(SPEC)
    x = np.ones((4, 2), np.float32)
    more = [jsonnx.callbacks.CSVLogger(str(tmp_path / "log.csv"))] if tmp_path else []
    return trainer.fit({"x": x}, x[:, :1], epochs=epochs, callbacks=[callback, *more], **{"verbose": 0, **options})


def test_metrics_that_a_callback_adds_to_the_logs_are_recorded(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def add(epoch: int, logs: Any) -> None:
        logs["own"] = np.float32(epoch + 0.5)
        logs["matrix"] = np.eye(2)

    history = fit_with(LambdaCallback(on_epoch_end=add), tmp_path, verbose=2)
    assert history.history["own"] == [0.5, 1.5]
    assert history.history["matrix"] == [[[1, 0], [0, 1]]] * 2
    assert history.last()["own"] == 1.5
    assert (tmp_path / "log.csv").read_text().splitlines()[0].split(",")[1:] == [
        "loss",
        "learning_rate",
        "own",
        "matrix",
    ]
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "own" in line] == ["epoch 1/2  own 0.5000", "epoch 2/2  own 1.5000"]


def test_a_checkpoint_has_the_metrics_that_callbacks_have_added(tmp_path: Any) -> None:
    saved = str(tmp_path / "saved")

    class AddsAndSaves(jsonnx.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if "own" in logs:
                self.trainer.save_checkpoint(saved)
            else:
                logs["own"] = 1.0

    trainer, x = Trainer(SPEC), np.ones((4, 2), np.float32)
    trainer.fit({"x": x}, x[:, :1], epochs=1, callbacks=[AddsAndSaves(), AddsAndSaves()], verbose=0)
    later = Trainer(SPEC)
    later.load_checkpoint(saved)
    history = later.fit({"x": x}, x[:, :1], epochs=2, verbose=0)
    assert history.history["own"] == [1.0]
    assert len(history.history["loss"]) == 2


@pytest.mark.parametrize("value", ["good", None, object(), {"a": 1}])
def test_other_values_in_the_logs_are_errors(value: object) -> None:
    with pytest.raises(TypeError, match="a callback has added 'own' to the logs: a metric is a number or a list"):
        fit_with(LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(own=value)))


def test_the_end_of_a_fit_is_known_in_its_last_epoch() -> None:
    """By early stopping of the spec as by a callback, before the weights of the best epoch are restored."""
    spec = {**SPEC, "training": {"loss": "mse", "early_stopping": {"monitor": "loss", "min_delta": 10, "patience": 2}}}
    ends: list[bool] = []
    trainer = Trainer(spec)
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(trainer.stop_training))
    trainer.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=9, callbacks=[note])
    assert ends == [False, False, True]


@pytest.mark.parametrize("threads", [-1, 0, 100_000])
def test_threads_are_in_a_range(threads: int) -> None:
    with pytest.raises(ValueError, match=f"threads must be from 1 to [0-9]+, got {threads}"):
        Trainer(SPEC, threads=threads)


@pytest.mark.parametrize("threads", ["2", 1.5])
def test_threads_are_an_integer(threads: Any) -> None:
    with pytest.raises(TypeError, match="threads must be an integer"):
        Trainer(SPEC, threads=threads)


@pytest.mark.parametrize("shuffle", ["batch", 1, "False"])
def test_shuffle_is_true_or_false(shuffle: Any) -> None:
    with pytest.raises(TypeError, match="shuffle must be True or False"):
        Trainer(SPEC).fit(np.zeros((4, 2)), np.zeros((4, 1)), shuffle=shuffle)
    Trainer(SPEC).fit(np.zeros((4, 2)), np.zeros((4, 1)), shuffle=np.bool_(False))


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((np.zeros((4, 2)), np.zeros((4, 1)), np.ones(4), 0), "got 4 values"),
        ((np.zeros((4, 2)),), r"\(x, y\) or \(x, y, sample_weight\), got 1 values"),
        (np.zeros((4, 2)), "got an object of type ndarray"),
    ],
)
def test_validation_data_are_a_pair(pair: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Trainer(SPEC).fit(np.zeros((4, 2)), np.zeros((4, 1)), validation_data=pair)
