"""The base class of callbacks with Keras' method names, and what lets a fit call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Logs = dict[str, float]

KERAS_HOOKS: Mapping[str, tuple[str, ...]] = {
    "on_train_begin": ("logs",),
    "on_train_end": ("logs",),
    "on_epoch_begin": ("epoch", "logs"),
    "on_epoch_end": ("epoch", "logs"),
    "on_train_batch_begin": ("batch", "logs"),
    "on_train_batch_end": ("batch", "logs"),
    "on_batch_begin": ("batch", "logs"),
    "on_batch_end": ("batch", "logs"),
    "on_test_begin": ("logs",),
    "on_test_end": ("logs",),
    "on_test_batch_begin": ("batch", "logs"),
    "on_test_batch_end": ("batch", "logs"),
}
"""The arguments of each method that a fit calls."""


class Callback:
    """The base class of callbacks with Keras' method names.

    A subclass overrides the methods that it needs. `logs` are losses and metrics so far; epochs and batches count from
    0. `self.model` and `self.trainer` are the Trainer; `self.model.stop_training = True` ends the fit after the current
    step. `self.params` has the number of `epochs` and of `steps` in each, and the names of the `metrics`. The test
    methods are called when validation data are measured.
    """

    def __init__(self) -> None:
        self.trainer: Any = None
        self.params: dict[str, Any] = {}

    @property
    def model(self) -> Any:
        return self.trainer

    def set_model(self, model: Any) -> None:
        self.trainer = model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def stops_on_nan(self, error: Exception) -> bool:
        """Whether a loss that is not finite ends the fit without an error; called with that error."""
        return False

    def fit_failed(self, error: BaseException) -> None:
        """Called with the exception that ends a fit before `on_train_end`."""

    def state_dict(self) -> dict[str, Any]:
        """The state that checkpoints keep, by names of your choice: numbers, strings, booleans, None, NumPy arrays, and
        dicts, lists and tuples of them. A class that overrides it also overrides `load_state_dict`."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of a checkpoint, which `state_dict` has returned. Called when its fit is resumed, after
        `on_train_begin` and, in the middle of an epoch, `on_epoch_begin`."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called before the first epoch, also of a resumed fit."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called after the last epoch, with its logs, when the trainer has the weights with which the fit ends."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch, and before the rest of one in which a fit is resumed."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a step."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a step."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The same as `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The same as `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called before the validation data are measured."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called after the validation data were measured, with their losses and metrics."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of the validation data."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of the validation data."""


class CallbackListener:
    """Calls the methods of a Callback at the events of a fit.

    It has a method for an event only if the callback overrides a method for it: events of steps that nobody listens to
    cost no time.
    """

    def __init__(self, callback: Callback, trainer: Any, params: dict[str, Any]) -> None:
        self.callback, self._logs = callback, Logs()
        callback.set_model(trainer)
        callback.set_params(params)
        for event, forward, methods in (
            ("begin_step", self._begin_step, ("on_train_batch_begin", "on_batch_begin")),
            ("on_step", self._end_step, ("on_train_batch_end", "on_batch_end")),
            ("begin_test_batch", callback.on_test_batch_begin, ("on_test_batch_begin",)),
            ("end_test_batch", callback.on_test_batch_end, ("on_test_batch_end",)),
        ):
            if any(getattr(type(callback), name) is not getattr(Callback, name) for name in methods):
                setattr(self, event, forward)

    def state_dict(self) -> dict[str, Any]:
        return self.callback.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.callback.load_state_dict(state)

    def begin_fit(self) -> None:
        history = self.callback.trainer.history
        if history.epoch:  # a resumed fit, which may have no epoch left
            count = len(history.epoch)
            self._logs = {name: figures[-1] for name, figures in history.history.items() if len(figures) == count}
        self.callback.on_train_begin({})

    def on_epoch_begin(self, epoch: int, epochs: int, steps: int) -> None:
        self.callback.on_epoch_begin(epoch, {})

    def _begin_step(self, batch: int) -> None:
        self.callback.on_train_batch_begin(batch, {})

    def _end_step(self, steps: int, figures: Mapping[str, float]) -> None:
        self.callback.on_train_batch_end(steps - 1, dict(figures))

    def begin_test(self) -> None:
        self.callback.on_test_begin({})

    def end_test(self, figures: Mapping[str, float]) -> None:
        self.callback.on_test_end(dict(figures))

    def on_epoch_end(self, epoch: int, figures: Mapping[str, float]) -> None:
        self._logs = dict(figures)
        self.callback.on_epoch_end(epoch, self._logs)

    def fail_fit(self, error: BaseException) -> None:
        self.callback.fit_failed(error)

    def end_fit(self) -> None:
        self.callback.on_train_end(self._logs)
