"""Training by a plan: weights, steps, epochs, evaluation, prediction and checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from operator import index
from typing import Any

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.reserved_names import LEARNING_RATE, best_weight_name, split_best_weights
from ..interop.string_arrays import bytes_to_strings, with_strings_as_bytes
from . import checkpoint
from .dataset import DataArgument, Dataset, from_arrays, from_spec
from .engine import Diverged, Engine
from .fit import Fit
from .history import EarlyStoppingMonitor, FitProgress, History, MetricSums
from .providers import load_runtime
from .step_cache import CachedLayout
from .training_plan import TrainingPlan

"""What the names of the best epoch's weights begin with in a checkpoint."""


class Trainer:
    """A network in training.

    `weights` replaces initial weights, by name; so does `given`, whose arrays are known to fit, and are taken over.
    Raises UsageError where the provider is not there.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        provider: str = "cpu",
        threads: int | None = None,
        weights: Mapping[str, np.ndarray] | None = None,
        fast: bool = True,
        donated_weights: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.plan = plan
        self._engine = Engine(plan, provider, threads, fast, donated_weights)
        self._progress: FitProgress | None = None
        self._resumes = False
        self._fit: Fit | None = None
        self._cached_layout: CachedLayout | None = None
        if weights is not None:
            self.set_weights(weights)

    @property
    def provider(self) -> str:
        """The provider it runs on, by its short name."""
        return self._engine.provider.name

    @property
    def steps(self) -> int:
        """Steps trained so far."""
        return self._engine.steps

    @property
    def epochs_done(self) -> int:
        """Whole epochs of the fit at hand, or of the one that a loaded checkpoint will go on with."""
        return 0 if self._progress is None else self._progress.epoch

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of the network's weights, by Keras' names and in its order."""
        return self._engine.weights()

    def set_weights(self, weights: Mapping[str, Any], *, strict: bool = True) -> None:
        """New weights; with `strict` false some may be left out. Raises ValueError with every fault."""
        self._engine.write(self._engine.validate_weights(weights, strict))

    # -- training ----------------------------------------------------------------------------------------------------

    def step(self, x: DataArgument, y: DataArgument = None) -> dict[str, float]:
        """Train on one batch; its loss and metrics. Raises FeedError for data that does not fit, Diverged."""
        engine = self._engine
        feeds = self._cached_layout.feeds(x, y) if self._cached_layout else None
        if feeds is None:
            samples = self._dataset(x, y)
            feeds = engine.feeds(samples, slice(None), self.steps)
            self._cached_layout = CachedLayout.of(x, y, samples, feeds)
        else:
            feeds[LEARNING_RATE] = engine.rate(self.steps)
        totals = MetricSums(self.plan)
        totals.add(engine.step(feeds), len(feeds[next(iter(self.plan.inputs))]))
        return totals.results()

    def fit(
        self,
        x: DataArgument | Dataset = None,
        y: DataArgument = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        shuffle: bool | None = None,
        validation_data: Dataset | tuple[Any, Any] | None = None,
        validation_split: float | None = None,
        callbacks: Iterable[object] = (),
    ) -> History:
        """Train for some epochs. What is left out is as the spec's training section says; so is the data, without `x`.

        After `load_checkpoint` it goes on where that run was. Ctrl-C or SIGTERM ends it after the step at hand, with
        `signal` set in what is returned. Callbacks may have `on_epoch_begin(epoch, epochs, steps)`,
        `on_step(step, figures)` (steps done in this epoch, figures so far), `on_epoch_end(epoch, figures)` and
        `on_end(history)`, which comes before the best epoch's weights are put back. Raises CompileError or FeedError
        for data that does not fit, Diverged.
        """
        training = self.plan.training
        batch_size = self._batch_size(batch_size)
        epochs = training.epochs if epochs is None else _require_integer("epochs", epochs, minimum=0)
        shuffle = training.shuffle if shuffle is None else bool(shuffle)
        samples, validation = self._train_and_validation(x, y, validation_data, validation_split)
        watch = EarlyStoppingMonitor(self.plan, validation is not None)
        if not self._resumes:
            self._engine.adapt(samples)
        progress = self._start_progress(watch, samples, {"batch_size": batch_size, "shuffle": shuffle})
        engine = self._engine
        self._fit = Fit(engine, samples, validation, batch_size, epochs, shuffle, watch, progress, tuple(callbacks))
        try:
            return self._fit.run()
        except Diverged as error:
            error.history, self._progress = progress.history, None
            raise
        finally:
            self._fit = None

    def stop(self) -> None:
        """For callbacks: close the epoch after the step at hand, and end the fit."""
        if self._fit is not None:
            self._fit.stop_requested = True

    def _batch_size(self, requested: int | None) -> int:
        return (
            self.plan.training.batch_size if requested is None else _require_integer("batch_size", requested, minimum=1)
        )

    def _dataset(self, x: DataArgument | Dataset, y: DataArgument) -> Dataset:
        return x if isinstance(x, Dataset) else from_arrays(x, y, self.plan.data_spec)

    def _validation_dataset(self, pair: Any) -> Dataset:
        if isinstance(pair, Dataset):
            return pair
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError("validation_data is a pair: (x, y)")
        return self._dataset(*pair)

    def _train_and_validation(
        self, x: Any, y: Any, validation_data: Any, split: float | None
    ) -> tuple[Dataset, Dataset | None]:
        """What to train on and what to validate on."""
        samples = from_spec(self.plan, "train") if x is None and y is None else self._dataset(x, y)
        if samples is None:
            raise UsageError(
                "no-data", "there is nothing to train on", "name a file in `training.data.train`, or pass x and y"
            )
        if validation_data is not None:
            return samples, self._validation_dataset(validation_data)
        data = self.plan.training.data
        if x is None and data is not None:
            validation = from_spec(self.plan, "validation")
            if validation is not None:
                return samples, validation
            split = data.validation_split if split is None else split
        return samples.split(split) if split else (samples, None)

    def _start_progress(
        self, early_stopping: EarlyStoppingMonitor, samples: Dataset, settings: dict[str, Any]
    ) -> FitProgress:
        """A new fit's progress, or that of the checkpoint that was loaded."""
        before, resumes, self._resumes = self._progress, self._resumes, False
        if before is None or not resumes:
            offset = 0 if before is None else before.epoch_offset + before.epoch
            self._progress = FitProgress(MetricSums(self.plan), offset, settings=settings, dataset=samples)
            return self._progress
        now = {**settings, "data": samples.digest}
        changed = {
            key: "the training data is not what it was"
            if key == "data"
            else f"{key} was {before.settings[key]}, now it is {now[key]}"
            for key in now
            if before.settings[key] != now[key]
        }
        if changed:
            raise CompileError([_mismatch(f"the run cannot go on: {fault}") for fault in changed.values()])
        if before.early_stopping_state is not None:
            early_stopping.load_state_dict(before.early_stopping_state, before.best_weights)
        before.dataset = samples
        return before

    # -- without training --------------------------------------------------------------------------------------------

    def evaluate(
        self, x: DataArgument | Dataset = None, y: DataArgument = None, batch_size: int | None = None
    ) -> dict[str, float]:
        """Loss and metrics; without `x` on the spec's test file, or else its validation file."""
        samples = (
            from_spec(self.plan, "test") or from_spec(self.plan, "validation")
            if x is None and y is None
            else self._dataset(x, y)
        )
        if samples is None:
            raise UsageError(
                "no-data", "there is nothing to evaluate on", "name a file in `training.data.test`, or pass x and y"
            )
        return self._engine.measure(samples, self._batch_size(batch_size)).results()

    def predict(self, x: DataArgument | Dataset, batch_size: int | None = None) -> Any:
        """The network's output for every sample; with several outputs a dict of them."""
        samples = x if isinstance(x, Dataset) else from_arrays(x, None, self.plan.data_spec, targets=False)
        results = self._engine.predict(samples, self._batch_size(batch_size))
        return next(iter(results.values())) if len(results) == 1 else results

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def save_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Write everything that `load_checkpoint` needs to go on as if nothing had happened, as one file.

        Raises UsageError `unwritable-file`; then an earlier file of that name is as it was.
        """
        arrays = self._engine.state_dict()
        progress = self._progress
        if progress is not None and progress.best_weights is not None:
            arrays |= {best_weight_name(name): array for name, array in progress.best_weights.items()}
        state = {
            "spec": self.plan.fingerprint,
            "seed": self.plan.seed,
            "steps": self.steps,
            "progress": None if progress is None else progress.state_dict(),
            "machine": self._environment(),
        }
        checkpoint.save(os.fspath(path), with_strings_as_bytes(arrays), state)

    def load_checkpoint(self, path: str | os.PathLike[str]) -> list[Diagnostic]:
        """Take over a checkpoint; the next `fit` goes on from there.

        Returns warnings where the run will not be the same bit for bit. Raises UsageError for a missing file,
        CompileError `bad-checkpoint` for a damaged one, `checkpoint-mismatch` for one of another network or seed.
        """
        name = os.fspath(path)
        arrays, state = checkpoint.load(name)
        best_entries, other_entries = split_best_weights(arrays)
        best = {weight: arrays[entry] for entry, weight in best_entries.items()}
        values = {entry: arrays[entry] for entry in other_entries}
        values, best = self._engine.convert_state(self._decode_strings(values)), self._decode_strings(best)
        self._check_checkpoint(name, values, best, state)
        self._engine.write(values)
        self._engine.steps = state["steps"]
        told = state["progress"]
        self._progress = None if told is None else FitProgress.from_state_dict(self.plan, told, best or None)
        self._resumes = told is not None
        machine = self._environment()
        changed = [
            f"{key} was {told}, now it is {machine.get(key)}"
            for key, told in state["machine"].items()
            if machine.get(key) != told
        ]
        message = "the run will not be the same bit for bit: " + "; ".join(changed)
        return [Diagnostic("not-exact", message, file=name, severity="warning")] if changed else []

    def _decode_strings(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays of a file, bytes as strings where strings are wanted."""
        texts = {n for n, array in self._engine.state_dict().items() if array.dtype == object}
        try:
            return {n: bytes_to_strings(array) if n in texts else array for n, array in arrays.items()}
        except ValueError as error:
            raise CompileError([_mismatch(f"cannot go on from it: a vocabulary {error}")]) from error

    def _check_checkpoint(
        self, name: str, values: Mapping[str, np.ndarray], best: Mapping[str, np.ndarray], state: Mapping[str, Any]
    ) -> None:
        mine = self._engine.state_dict()
        if not mine.keys() <= values.keys():
            mine = self._engine.state_dict(portable=True)
        faults = []
        if state["spec"] != self.plan.fingerprint:
            faults.append("it was made of another spec")
        if state["seed"] != self.plan.seed:
            faults.append(f"it was made with seed {state['seed']}, this run has seed {self.plan.seed}")
        progress = state["progress"]
        if progress and progress["setting"].keys() != {"batch_size", "shuffle", "data"}:
            faults.append("it does not say what it was trained on")
        if progress and not self._has_same_metrics(progress["totals"]["sums"]):
            faults.append("its figures are not those of this spec")
        faults += [f"it lacks {n!r}" for n in mine if n not in values] + [
            f"it has {n!r} besides" for n in values if n not in mine
        ]
        for n, array in [*values.items(), *best.items()]:
            free = n in self._engine.vocabularies and array.ndim == mine[n].ndim
            shape = mine[n].shape if n in mine and not free else array.shape
            if n in mine and (array.shape, array.dtype) != (shape, mine[n].dtype):
                faults.append(f"{n!r} is {array.dtype}{list(array.shape)}, here {mine[n].dtype}{list(mine[n].shape)}")
        if faults:
            message = f"cannot go on from {name!r}: "
            raise CompileError([_mismatch(message + fault, name) for fault in faults])

    def _has_same_metrics(self, sums: Mapping[str, Any]) -> bool:
        wanted = {name: self.plan.train.outputs[name].shape for name in self.plan.fetched_names}
        try:
            return not sums or {name: np.asarray(total, np.float64).shape for name, total in sums.items()} == wanted
        except (TypeError, ValueError):
            return False

    def _environment(self) -> dict[str, Any]:
        """What besides the spec decides about the last bit."""
        runtime = load_runtime().__version__
        return {
            "onnxruntime": runtime,
            "numpy": np.__version__,
            "provider": self.provider,
            "threads": self._engine.threads,
        }


def _mismatch(message: str, file: str | None = None) -> Diagnostic:
    return Diagnostic("checkpoint-mismatch", message, file=file, help="undo what was changed, or start a run anew")


def _require_integer(name: str, value: Any, minimum: int) -> int:
    """The value as an integer. Raises TypeError, ValueError."""
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {number}")
    return number


__all__ = ["Diverged", "History", "Trainer", "TrainingPlan"]
