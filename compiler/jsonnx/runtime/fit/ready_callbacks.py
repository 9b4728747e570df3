"""Ready callbacks with Keras' names, arguments and defaults."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

from ...core.callback import HOOKS, Callback, Logs
from ...core.diagnostics import UsageError, quoted_or_list, suggestion
from ...core.files.files import error_reason, write_atomically
from ...core.invisible_characters import escape_invisible
from ...core.reserved_names import LEARNING_RATE, validation_name
from ...interop.safetensors_file import weights_parts
from ...sections.monitor import LIST_HELP
from ..execution.history import Weights
from .early_stopping import is_maximized
from .kept_weights import kept_weights
from .plateau import PlateauMonitor

MODES = ("auto", "min", "max")


class _Monitor(Callback):
    """A callback that compares a loss or metric of each epoch with the best so far."""

    def __init__(self, monitor: str, mode: str, verbose: int) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}, got {mode!r}")
        self.monitor, self.mode, self.verbose = monitor, mode, verbose

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Raises ValueError if the training does not report the monitored metric, or reports it as a list."""
        known = self.params["metrics"]
        if self.monitor not in known:
            help = suggestion(self.monitor, known) or f"the metrics are {quoted_or_list(known)}"
            if self.monitor.startswith("val_") and self.monitor[4:] in known:
                help = "give validation data"
            raise ValueError(f"{type(self).__name__}: {self.monitor!r} is not reported: {help}")
        metric = self.trainer.plan.metrics.get(self.monitor.removeprefix(validation_name("")))
        if metric is not None and not metric.is_scalar:
            raise ValueError(f"{type(self).__name__}: {self.monitor!r} is a list of numbers: {LIST_HELP}")

    @property
    def is_maximized(self) -> bool:
        return is_maximized(self.trainer.plan, self.monitor, self.mode)

    def improves(self, logs: Logs, best: float, min_delta: float = 0.0) -> bool:
        metric = logs[self.monitor]
        return metric > best + min_delta if self.is_maximized else metric < best - min_delta

    @property
    def worst(self) -> float:
        return -inf if self.is_maximized else inf

    def say(self, text: str) -> None:
        if self.verbose:
            print(escape_invisible(text), flush=True)


class EarlyStopping(_Monitor):
    """Ends the fit when a loss or metric has not improved for `patience` epochs."""

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, verbose)
        self.min_delta, self.patience, self.baseline = abs(min_delta), patience, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best: float | None = None
        self.best_weights: Weights | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best, self.best_weights = None, None

    def state_dict(self) -> dict[str, Any]:
        names = ("wait", "stopped_epoch", "best_epoch", "best", "best_weights")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.wait, self.stopped_epoch, self.best_epoch = state["wait"], state["stopped_epoch"], state["best_epoch"]
        self.best, weights = state["best"], state["best_weights"]
        self.best_weights = None if weights is None else kept_weights(weights, self.trainer.temporary_folder)
        if self.stopped_epoch:
            self.trainer.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self.monitor not in logs or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.best is None or self.improves(logs, self.best, self.min_delta):
            self.best, self.best_epoch = logs[self.monitor], epoch
            if self.restore_best_weights:
                self.best_weights = kept_weights(self.trainer.current_weights(), self.trainer.temporary_folder)
            if self.baseline is None or self.improves(logs, self.baseline, self.min_delta):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.trainer.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch:
            self.say(f"epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            self.say(f"the weights of epoch {self.best_epoch + 1} are restored")
            self.trainer.set_weights(self.best_weights)


class ReduceLROnPlateau(_Monitor):
    """Multiplies the learning rate by `factor` when a loss or metric has not improved for `patience` epochs."""

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, verbose)
        if not 0 < factor < 1:
            raise ValueError(f"factor must be between 0 and 1, got {factor}")
        self._arguments = factor, patience, min_delta, cooldown, min_lr
        self._plateau: PlateauMonitor | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self._plateau = PlateauMonitor(self.monitor, self.is_maximized, *self._arguments)
        self.trainer.learning_rate = self.trainer.learning_rate  # raises TypeError if it is a schedule

    def state_dict(self) -> dict[str, Any]:
        return self._plateau.state_dict() if self._plateau else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._plateau:
            self._plateau.load_state_dict(state)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs, before = logs or {}, self.trainer.learning_rate
        after = self._plateau.rate_after(logs, before) if self._plateau else before
        if after != before:
            self.trainer.learning_rate = after
            self.say(f"epoch {epoch + 1}: the learning rate is reduced to {after:.6g}")


class ModelCheckpoint(_Monitor):
    """Saves weights, the model or the state of the run after epochs, or after every `save_freq` steps.

    The suffix of `filepath` decides: `.onnx` is the inference model, `.safetensors` the weights, which
    `save_weights_only` demands; any other is a checkpoint for `Trainer.load_checkpoint`. The path may contain
    `{epoch:02d}`, counted from 1, and metrics such as `{val_loss:.3f}`. With `save_best_only`, only an epoch that
    improves the monitored metric is saved.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, verbose)
        self.filepath, self.save_best_only = os.fspath(filepath), save_best_only
        suffix = Path(self.filepath).suffix.lower()
        if suffix in (".keras", ".h5"):
            raise ValueError(f"{self.filepath!r}: jsonnx saves .onnx, .safetensors or checkpoints, not {suffix}")
        if save_weights_only and suffix != ".safetensors":
            raise ValueError(f"{self.filepath!r}: with save_weights_only, the file ends in .safetensors")
        if save_freq != "epoch" and (not isinstance(save_freq, int) or isinstance(save_freq, bool) or save_freq < 1):
            raise ValueError(f"save_freq must be 'epoch' or a number of steps, got {save_freq!r}")
        self._suffix, self.save_freq, self.best = suffix, save_freq, initial_value_threshold
        self._steps, self._epoch = 0, 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.save_best_only:
            super().on_train_begin(logs)
        if self._suffix == ".onnx" and not hasattr(self.trainer, "model"):
            raise ValueError("only a Trainer of a spec has a model")

    def state_dict(self) -> dict[str, Any]:
        best = {"best": self.best} if self.save_best_only else {}
        return best | ({"steps": self._steps} if self.save_freq != "epoch" else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self._steps = state.get("best", self.best), state.get("steps", self._steps)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._steps += 1
        if self._steps % int(self.save_freq) == 0:
            self._save(logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _save(self, logs: Logs) -> None:
        if self.save_best_only:
            best = self.worst if self.best is None else self.best
            if self.monitor not in logs or not self.improves(logs, best):
                return
            self.best = logs[self.monitor]
        path = self._path(logs)
        if self._suffix == ".onnx":
            self.trainer.model().save(path)
        elif self._suffix == ".safetensors":
            write_atomically(path, weights_parts(self.trainer.current_weights()))
        else:
            self.trainer.save_checkpoint(path)
        self.say(f"epoch {self._epoch + 1}: saved {path}")

    def _path(self, logs: Logs) -> str:
        try:
            return self.filepath.format(epoch=self._epoch + 1, **logs)
        except (KeyError, IndexError) as error:
            known = quoted_or_list(["epoch", *logs])
            raise ValueError(f"{self.filepath!r} names {error}; the names are {known}") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.filepath!r} cannot be filled in: {error}") from None


class TerminateOnNaN(Callback):
    """Ends the fit without an error if the loss becomes NaN or infinite; the last finite weights are kept."""

    def stops_on_nan(self, error: Exception) -> bool:
        print(error, flush=True)
        return True


class CSVLogger(Callback):
    """Writes the losses and metrics of each epoch as a line of a CSV file, with those that callbacks before it have
    added to the logs of the first epoch. A resumed fit continues its file."""

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.separator, self.append = os.fspath(filename), separator, append
        self._names: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._names = ["epoch", *self.params["metrics"], LEARNING_RATE]
        if not self._size or not (self.append or self.trainer.history.epoch):
            self._write([self._names], "w")

    def state_dict(self) -> dict[str, Any]:
        return {"size": self._size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Removes the lines of epochs that are trained again. If lines are missing, writes the file anew, without the
        metrics that not every epoch has."""
        if self._size >= state["size"]:
            with self._errors():
                os.truncate(self.filename, state["size"])
            return
        history = self.trainer.history
        columns = [history.history.get(name, ()) for name in self._names[1:]]
        blank = [""] * len(history.epoch)
        rows = zip(history.epoch, *(column if len(column) == len(blank) else blank for column in columns), strict=True)
        self._write([self._names, *rows], "w")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        row = {"epoch": epoch, **(logs or {})}
        added = [name for name in row if name not in self._names]
        if added and len(self.trainer.history.epoch) == 1 and not self.append:
            self._names += added
            self._write([self._names], "w")
        self._write([[row.get(name, "") for name in self._names]], "a")

    @property
    def _size(self) -> int:
        """The size of the file in bytes; 0 if there is none."""
        try:
            return os.path.getsize(self.filename)
        except FileNotFoundError:
            return 0

    def _write(self, rows: Iterable[Sequence[Any]], mode: str) -> None:
        """Raises UsageError `unwritable-file`."""
        with self._errors(), open(self.filename, mode, encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=self.separator, lineterminator="\n").writerows(rows)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raises UsageError `unwritable-file` for an error of the file."""
        try:
            yield
        except OSError as error:
            message = f"cannot write {self.filename!r}: {error_reason(error)}"
            raise UsageError("unwritable-file", message) from error


class LearningRateScheduler(Callback):
    """Sets the learning rate of each epoch: `schedule(epoch, rate)` returns it."""

    def __init__(self, schedule: Callable[[int, float], float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.trainer.learning_rate = self.schedule(epoch, self.trainer.learning_rate)
        if self.verbose:
            print(f"epoch {epoch + 1}: the learning rate is {self.trainer.learning_rate:.6g}", flush=True)


class LambdaCallback(Callback):
    """Calls functions at events: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`."""

    def __new__(cls, **functions: Callable[..., None]) -> LambdaCallback:
        """A callback of a subclass that overrides the methods of these names.

        Raises TypeError for another name, or for what is not a function.
        """
        for name, function in functions.items():
            if name not in HOOKS:
                help = suggestion(name, HOOKS) or f"the names are {quoted_or_list(HOOKS)}"
                raise TypeError(f"LambdaCallback takes no {name!r}: {help}")
            if not callable(function):
                raise TypeError(f"LambdaCallback: {name} must be a function, got {function!r}")
        methods = {name: staticmethod(function) for name, function in functions.items()}
        return super().__new__(type("LambdaCallback", (cls,), methods))

    def __init__(self, **functions: Callable[..., None]) -> None:
        super().__init__()
