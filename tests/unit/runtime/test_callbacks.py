"""The check of a fit's callbacks: a hook that would never be called is an error at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx import Trainer
from jsonnx.runtime.callbacks.callbacks import HOOKS, OTHER_NAMES, checked_callbacks

SPEC = {
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {"loss": "mse"},
}


def with_hooks(**hooks: Any) -> object:
    return type("Note", (), {name: staticmethod(hook) for name, hook in hooks.items()})()


def keras_callback() -> object:
    base = type("Callback", (), {"__module__": "keras.src.callbacks.callback", "on_epoch_end": lambda *_: None})
    return type("EarlyStopping", (base,), {})()


def a_function(epoch: int, figures: Any) -> None:
    pass


class Stops:
    def on_end(self, history: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([with_hooks(on_epoch_ends=print)], "unknown hook 'on_epoch_ends'; did you mean 'on_epoch_end'?"),
        ([with_hooks(on_batch_end=print)], "unknown hook 'on_batch_end'; here it is 'on_step'"),
        ([with_hooks(on_end=print, on_exception=print)], "unknown hook 'on_exception'; the hooks are on_epoch_begin"),
        (
            [with_hooks(on_epoch_end=lambda epoch: 0)],
            r"on_epoch_end takes \(epoch\), but is called with",
        ),
        ([type("Note", (), {"on_end": 3})()], "Note.on_end is a hook and must be a method, got int"),
        ([a_function], "the function 'a_function' has no hook"),
        ([print, 42], "the function 'print' has no hook"),
        ([42], "the callback int has no hook"),
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


def test_objects_with_some_of_the_hooks_are_callbacks() -> None:
    hooks = {name: lambda *arguments: None for name in HOOKS}
    for name in hooks:
        assert len(checked_callbacks([with_hooks(**{name: hooks[name]})])) == 1
    assert len(checked_callbacks(iter([with_hooks(**hooks), with_hooks(on_step=print), Stops()]))) == 3
    optional = with_hooks(on_epoch_end=lambda epoch, figures, more=None: None, online=True)
    assert checked_callbacks([optional]) == (optional,)
    assert checked_callbacks(None) == ()
    not_evaluated = type("Note", (), {"on_end": print, "on_screen": property(lambda self: 1 / 0)})()
    assert checked_callbacks([not_evaluated]) == (not_evaluated,)
    assert set(OTHER_NAMES.values()) <= HOOKS.keys()
    assert not OTHER_NAMES.keys() & HOOKS.keys()


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
