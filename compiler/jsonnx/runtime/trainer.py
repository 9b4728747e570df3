"""The trainer of a training plan: weights, steps, fits, evaluation, prediction and checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.reserved_names import LEARNING_RATE, best_weight_name, split_best_weights
from ..interop.string_arrays import bytes_to_strings, with_strings_as_bytes
from . import checkpoint
from .batch_layout import CachedLayout
from .callbacks import checked_callbacks
from .checkpoint_faults import RANDOM_WEIGHTS, array_faults, environment_diagnostics, mismatch, run_faults
from .dataset import DataArgument, Dataset, from_arrays
from .dataset_files import from_spec
from .early_stopping import EarlyStoppingMonitor
from .engine import Diverged, Engine
from .environment import run_environment
from .fit import Fit
from .fit_arguments import require_bool, require_integer, require_rate
from .history import FitProgress, History, MetricSums, data_digests
from .provider_options import ProviderOptions
from .providers import Provider
from .training_plan import TrainingPlan
from .variables import DonatedArrays


class Trainer:
    """Trains the network of a plan.

    `weights` replaces initial weights, by name; so does `donated_weights`, whose arrays must fit and are not copied.
    Raises UsageError if the provider is not available.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        provider: str | Provider = "cpu",
        threads: int | None = None,
        weights: Mapping[str, np.ndarray] | None = None,
        fast: bool = True,
        donated_weights: DonatedArrays | None = None,
        provider_options: ProviderOptions | None = None,
    ) -> None:
        self.plan = plan
        self._engine = Engine(plan, provider, threads, fast, donated_weights, provider_options)
        self._fast = fast
        self.initial_weights_digest: str | None = None
        """The hash of the weights that were given to start from; None if all are drawn."""
        self._loaded_weights_digest: str | None = None
        self._progress: FitProgress | None = None
        self._resumes = False  # whether the next fit goes on from `_progress`
        self._fit: Fit | None = None
        self._cached_layout: CachedLayout | None = None
        if weights is not None:
            self.set_weights(weights)

    @property
    def provider(self) -> str:
        """The short name of the provider."""
        return self._engine.execution.provider.name

    @property
    def steps(self) -> int:
        """Steps trained so far."""
        return self._engine.steps

    @property
    def epochs_done(self) -> int:
        """Complete epochs of the current fit, or of the fit that a loaded checkpoint resumes."""
        return 0 if self._progress is None else self._progress.epoch

    @property
    def history(self) -> History:
        """Losses and metrics of the complete epochs."""
        return History() if self._progress is None else self._progress.history

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step; a new value takes effect from that step on.

        Setting it raises TypeError if it is not a number, ValueError if it is not positive and finite.
        """
        return float(self._engine.learning_rate(self.steps))

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        if self.plan.learning_rate is not None:
            raise TypeError("the learning rate is a schedule of the spec, so it cannot be set")
        self._engine.set_learning_rate(require_rate(rate))

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of the network's weights, by Keras' names and in Keras' order."""
        return self._engine.weights()

    def set_weights(self, weights: Mapping[str, Any], *, strict: bool = True) -> None:
        """Replaces the weights; unless `strict`, some may be missing. Raises ValueError with every fault."""
        self._engine.write(self._engine.validate_weights(weights, strict))

    # -- training ----------------------------------------------------------------------------------------------------

    def step(self, x: DataArgument, y: DataArgument = None) -> dict[str, float]:
        """Train on one batch; its loss and metrics. Raises FeedError for data that do not fit, Diverged."""
        engine = self._engine
        feeds = self._cached_layout.feeds(x, y) if self._cached_layout else None
        if feeds is None:
            samples = self._dataset(x, y)
            feeds = engine.feeds(samples, slice(None), self.steps)
            self._cached_layout = CachedLayout.of(x, y, samples, feeds)
        else:
            feeds[LEARNING_RATE] = engine.learning_rate(self.steps)
        metric_sums = MetricSums(self.plan)
        metric_sums.add(engine.step(feeds), len(feeds[next(iter(self.plan.inputs))]))
        return metric_sums.results()

    def fit(
        self,
        x: DataArgument | Dataset = None,
        y: DataArgument = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        shuffle: bool | None = None,
        validation_data: Dataset | tuple[Any, Any] | None = None,
        validation_split: float | None = None,
        callbacks: Iterable[object] | None = (),
    ) -> History:
        """Train for some epochs. Arguments that are None are taken from the spec's training section, and so are the
        data.

        After `load_checkpoint`, the fit resumes the run of the checkpoint. Ctrl-C or SIGTERM ends it after the current
        step, with `signal` set in the history. Callbacks are objects with at least one of the hooks
        `on_epoch_begin(epoch, epochs, steps)`, `on_step(step, figures)` (steps done in this epoch, figures so far),
        `on_epoch_end(epoch, figures)` and `on_end(history)`, which is called before the best epoch's weights are
        restored; they may call `stop` and set `learning_rate`. Raises CompileError or FeedError for data that do not
        fit, TypeError for other callbacks, Diverged.
        """
        training = self.plan.training
        batch_size = self._batch_size(batch_size)
        epochs = training.epochs if epochs is None else require_integer("epochs", epochs, minimum=0)
        shuffle = training.shuffle if shuffle is None else require_bool("shuffle", shuffle)
        listeners = checked_callbacks(callbacks)
        samples, validation = self._train_and_validation(x, y, validation_data, validation_split)
        monitor = EarlyStoppingMonitor(self.plan, validation is not None)
        if not self._resumes:
            self._engine.adapt(samples)
        progress = self._start_progress(monitor, (samples, validation), batch_size, epochs, shuffle)
        engine = self._engine
        self._fit = Fit(engine, samples, validation, batch_size, epochs, shuffle, monitor, progress, listeners)
        try:
            return self._fit.run()
        except Diverged as error:
            error.history, self._progress = progress.history, None
            raise
        finally:
            self._fit = None

    def stop(self) -> None:
        """Ends the epoch and the fit after the current step; to be called by callbacks."""
        if self._fit is not None:
            self._fit.stop_requested = True

    def _batch_size(self, requested: int | None) -> int:
        if requested is None:
            return self.plan.training.batch_size
        return require_integer("batch_size", requested, minimum=1)

    def _dataset(self, x: DataArgument | Dataset, y: DataArgument, *, learns_labels: bool = False) -> Dataset:
        data_spec = replace(self.plan.data_spec, learns_labels=True) if learns_labels else self.plan.data_spec
        return x if isinstance(x, Dataset) else from_arrays(x, y, data_spec)

    def _use_learned(self, train: Dataset) -> None:
        """Takes over the names of classes and of columns that training data determine."""
        self.plan = self.plan.with_learned(train)

    def _validation_dataset(self, pair: Any) -> Dataset:
        if isinstance(pair, Dataset):
            return pair
        if not self.plan.targets and (not isinstance(pair, tuple) or len(pair) == 1):
            pair = (pair[0] if isinstance(pair, tuple) else pair, None)  # samples without targets
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            is_tuple = isinstance(pair, (tuple, list))
            actual = f"{len(pair)} values" if is_tuple else f"an object of type {type(pair).__name__}"
            hint = ": weights of samples are not supported" if is_tuple and len(pair) == 3 else ""
            raise TypeError(f"validation_data is a pair of arrays or of dicts of arrays, (x, y), got {actual}{hint}")
        return self._dataset(*pair)

    def _train_and_validation(
        self, x: Any, y: Any, validation_data: Any, split: float | None
    ) -> tuple[Dataset, Dataset | None]:
        """The samples to train on, and those to validate on."""
        uses_spec = x is None and y is None
        samples = from_spec(self.plan, "train") if uses_spec else self._dataset(x, y, learns_labels=True)
        if samples is None:
            raise UsageError(
                "no-data", "there is nothing to train on", "name a file in `training.data.train`, or pass x and y"
            )
        self._use_learned(samples)
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
        self,
        early_stopping: EarlyStoppingMonitor,
        datasets: tuple[Dataset, Dataset | None],
        batch_size: int,
        epochs: int,
        shuffle: bool,
    ) -> FitProgress:
        """The progress of a new fit, or of the fit of a checkpoint that was loaded."""
        settings = {"batch_size": batch_size, "shuffle": shuffle}
        progress = self._progress
        if progress is None or not self._resumes:
            offset = 0 if progress is None else progress.epoch_offset + progress.epoch
            self._progress = FitProgress(MetricSums(self.plan), offset, settings=settings, datasets=datasets)
            return self._progress
        self.check_resumed_fit(*datasets, batch_size, epochs, shuffle)
        self._resumes = False
        if progress.early_stopping_state is not None:
            early_stopping.load_state_dict(progress.early_stopping_state, progress.best_weights)
        progress.settings, progress.datasets = settings, datasets
        return progress

    def check_resumed_fit(
        self,
        samples: Dataset,
        validation: Dataset | None,
        batch_size: int | None = None,
        epochs: int | None = None,
        shuffle: bool | None = None,
    ) -> None:
        """Raises CompileError `checkpoint-mismatch` if these arguments of `fit` do not resume the loaded checkpoint."""
        if self._progress is None or not self._resumes:
            return
        training = self.plan.training
        current = {
            "batch_size": self._batch_size(batch_size),
            "shuffle": training.shuffle if shuffle is None else shuffle,
            **data_digests(samples, validation),
        }
        changes = self._progress.changes(current, training.epochs if epochs is None else epochs)
        faults = [mismatch(f"the run cannot be resumed: {change}") for change in changes]
        if faults:
            raise CompileError(faults)

    # -- without training --------------------------------------------------------------------------------------------

    def evaluate(
        self, x: DataArgument | Dataset = None, y: DataArgument = None, batch_size: int | None = None
    ) -> dict[str, float]:
        """Loss and metrics; without `x`, on the spec's test file or else on its validation file."""
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
        """The network's output for every sample; a dict of arrays if there are several outputs."""
        samples = x if isinstance(x, Dataset) else self._samples_without_targets(x)
        results = self._engine.predict(samples, self._batch_size(batch_size))
        return next(iter(results.values())) if len(results) == 1 else results

    def _samples_without_targets(self, x: DataArgument) -> Dataset:
        """The inputs of the compiled model. Further inputs, which only training has, may be given, too."""
        inputs = self.plan.inference_inputs
        if isinstance(x, Mapping):
            x = {name: array for name, array in x.items() if name in inputs or name not in self.plan.inputs}
        return from_arrays(x, None, replace(self.plan.data_spec, inputs=inputs), targets=False)

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def save_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Write the complete state of the run to one file, from which `load_checkpoint` resumes it bit for bit.

        Raises UsageError `unwritable-file`; then an earlier file of that name is unchanged.
        """
        arrays = self._engine.state_dict()
        progress = self._progress
        if progress is not None and progress.best_weights is not None:
            arrays |= {best_weight_name(name): array for name, array in progress.best_weights.items()}
        state = {
            "spec": self.plan.fingerprint,
            "vocabulary_files": self.plan.vocabulary_digests,
            "initial_weights": self._loaded_weights_digest or self.initial_weights_digest or RANDOM_WEIGHTS,
            "seed": self.plan.seed,
            "steps": self.steps,
            "learning_rate": self.learning_rate if self.plan.learning_rate is None else None,
            "progress": None if progress is None else progress.state_dict(),
            "environment": self.environment(),
        }
        checkpoint.save(os.fspath(path), with_strings_as_bytes(arrays), state)

    def load_checkpoint(self, path: str | os.PathLike[str], *, exact: bool = False) -> list[Diagnostic]:
        """Load the state of a checkpoint; the next `fit` resumes its run.

        Returns a warning `not-exact` if the run will not be the same bit for bit; with `exact`, raises it as a
        CompileError and loads nothing. Raises UsageError for a missing file, CompileError `bad-checkpoint` for a
        damaged one, `checkpoint-mismatch` for one of another network, seed or initial weights.
        """
        name = os.fspath(path)
        arrays, state = checkpoint.load(name)
        best_entries, other_entries = split_best_weights(arrays)
        best = self._decode_strings({weight: arrays[entry] for entry, weight in best_entries.items()})
        stored_values = self._decode_strings({entry: arrays[entry] for entry in other_entries})
        values = self._engine.convert_state(stored_values)
        self._check_checkpoint(name, values, best, state)
        differences = environment_diagnostics(name, state["environment"], self.environment(), exact)
        if differences and exact:
            raise CompileError(differences)
        self._engine.steps = state["steps"]
        self._engine.write(values)
        if state["learning_rate"] is not None and self.plan.learning_rate is None:
            self._engine.set_learning_rate(state["learning_rate"])
        progress = state["progress"]
        self._progress = None if progress is None else FitProgress.from_state_dict(self.plan, progress, best or None)
        self._resumes = progress is not None
        self._loaded_weights_digest = state["initial_weights"]
        return differences

    def _decode_strings(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays of a file, with the bytes of vocabularies decoded into strings."""
        strings = {name for name, array in self._engine.vocabularies.items() if array.dtype == object}
        try:
            return {name: bytes_to_strings(array) if name in strings else array for name, array in arrays.items()}
        except ValueError as error:
            raise CompileError([mismatch(f"cannot resume the run: a vocabulary {error}")]) from error

    def _check_checkpoint(
        self, file: str, values: Mapping[str, np.ndarray], best: Mapping[str, np.ndarray], state: Mapping[str, Any]
    ) -> None:
        """Raises CompileError `checkpoint-mismatch` with every fault."""
        # Another spec has other arrays, too; they are no further faults.
        faults = [*run_faults(self.plan, self.initial_weights_digest, state)]
        if not faults:
            faults = [*array_faults(self._engine, values, best)]
        if faults:
            raise CompileError([mismatch(f"cannot resume the run from {file!r}: {fault}", file) for fault in faults])

    def environment(self) -> dict[str, Any]:
        """Versions, processor and settings on which the last bit of a result depends."""
        return run_environment(self._engine.execution.provider.label, self._engine.execution.threads, self._fast)


__all__ = ["Diverged", "History", "Trainer", "TrainingPlan"]
