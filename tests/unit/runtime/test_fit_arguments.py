"""The arguments of a fit that say how many steps an epoch has, which epochs it trains, and when it validates."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx import CompileError, Trainer
from jsonnx.core.callback import Callback

from .plans import flowers, have_equal_variables

X, Y = flowers(100)
SPEC = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [{"type": "Dense", "name": "y", "units": 3, "activation": "softmax"}],
    "training": {"loss": "sparse_categorical_crossentropy", "optimizer": "adam", "batch_size": 8},
}


def fitted(**arguments: Any) -> Trainer:
    trainer = Trainer(SPEC, seed=0)
    trainer.fit(X, Y, **arguments)
    return trainer


@pytest.mark.parametrize("steps", [1, 2, 13, 26])
def test_epochs_of_a_number_of_steps_continue_the_order_of_the_samples(steps: int) -> None:
    whole = fitted(epochs=2)  # 13 steps each, the last one of 4 samples
    by_steps = fitted(epochs=26 // steps, steps_per_epoch=steps)
    assert have_equal_variables(by_steps.plan_trainer, whole.plan_trainer)


def test_a_fit_by_steps_resumes_in_the_middle_of_a_pass(tmp_path: Any) -> None:
    trainer = fitted(epochs=2, steps_per_epoch=5)
    trainer.save_checkpoint(tmp_path / "c")
    resumed = Trainer(SPEC, seed=0)
    resumed.load_checkpoint(tmp_path / "c")
    with pytest.raises(CompileError, match="steps_per_epoch changes from 5 to None"):
        resumed.fit(X, Y, epochs=4)
    resumed.fit(X, Y, epochs=4, steps_per_epoch=5)
    assert have_equal_variables(resumed.plan_trainer, fitted(epochs=4, steps_per_epoch=5).plan_trainer)


def test_a_fit_from_an_initial_epoch_continues_an_earlier_one() -> None:
    trainer = fitted(epochs=2)
    history = trainer.fit(X, Y, epochs=5, initial_epoch=2)
    assert history.epoch == [2, 3, 4]
    assert have_equal_variables(trainer.plan_trainer, fitted(epochs=5).plan_trainer)
    assert trainer.fit(X, Y, epochs=5, initial_epoch=7).epoch == []


@pytest.mark.parametrize(("freq", "count"), [(1, 5), (2, 2), (6, 0), ([1, 4], 2), ({5}, 1)])
def test_validation_data_are_measured_after_some_epochs(freq: Any, count: int) -> None:
    history = Trainer(SPEC).fit(X, Y, epochs=5, validation_split=0.2, validation_freq=freq)
    assert len(history.history["loss"]) == 5
    assert len(history.history.get("val_loss", [])) == count


def test_early_stopping_skips_epochs_without_validation() -> None:
    early_stopping = {"patience": 1, "min_delta": 100.0}
    trainer = Trainer({**SPEC, "training": {**SPEC["training"], "early_stopping": early_stopping}})  # type: ignore[dict-item]
    history = trainer.fit(X, Y, epochs=10, validation_split=0.2, validation_freq=3)
    assert (history.epoch[-1], history.stopped_early) == (5, True)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be at least 1, got 0"),
        ({"steps_per_epoch": 2.5}, TypeError, "steps_per_epoch must be an integer"),
        ({"initial_epoch": -1}, ValueError, "initial_epoch must be at least 0"),
        ({"validation_freq": 0}, ValueError, "validation_freq must be at least 1"),
        ({"validation_freq": [1, "2"]}, TypeError, "an epoch of validation_freq must be an integer"),
        ({"validation_freq": "epoch"}, TypeError, "validation_freq must be an integer"),
    ],
)
def test_unusable_arguments_are_errors(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fitted(**arguments)


def test_the_number_of_steps_is_told_to_callbacks() -> None:
    class Note(Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            assert (self.params["epochs"], self.params["steps"]) == (2, 5)
            self.batches = []  # type: ignore[var-annotated]

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.batches.append(batch)

    note = Note()
    fitted(epochs=2, steps_per_epoch=5, callbacks=[note])
    assert note.batches == [*range(5), *range(5)]
