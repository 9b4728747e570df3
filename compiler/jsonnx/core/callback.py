"""The base class of callbacks: objects with Keras' method names that a fit calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Logs = dict[str, float]

HOOKS: Mapping[str, tuple[str, ...]] = {
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
    step. `self.params` has the number of `epochs` and of `steps` in each, the names of the `metrics`, and balanced
    `class_weights`. The test methods are called when validation data are measured.
    """

    _reads_logs_lazily = False
    """Whether the callback changes nothing in a fit, so that steps may run before their results are added up, and takes
    `logs` of `on_train_batch_end` that are computed when they are read."""

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

    def _on_preparation(self, text: str) -> None:
        """Called before `on_train_begin` with a phrase for a slow preparation, such as `computes the outputs`."""

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
        """Keras' other name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Keras' other name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called before the validation data are measured."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called after the validation data were measured, with their losses and metrics."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of the validation data."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of the validation data."""


_FORWARDING = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}
"""Hooks whose default calls another one."""


def overrides(callback: Callback, hook: str) -> bool:
    """Whether a callback has a method of its own for a hook."""
    method = getattr(getattr(callback, hook), "__func__", None)
    return method is not getattr(Callback, hook) or (hook in _FORWARDING and overrides(callback, _FORWARDING[hook]))


def methods_for(callbacks: Iterable[Callback], hook: str) -> list[Callable[..., None]]:
    """The methods for a hook of the callbacks that have one."""
    return [getattr(callback, hook) for callback in callbacks if overrides(callback, hook)]
