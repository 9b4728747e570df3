"""The trainer of a training plan: weights, steps, fits, evaluation, prediction and checkpoints."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...collective.protocol import Collective
from ...core.callback import Callback
from ...core.diagnostics import CompileError, Diagnostic
from ...core.reserved_names import LEARNING_RATE
from ...data.samples.array_arguments import DataArgument
from ...data.samples.batch_stream import BatchStream, is_batch_source
from ...data.samples.data_spec import DataSpec
from ...data.samples.dataset import Dataset
from ..callbacks.callback_states import CallbackStates
from ..callbacks.callbacks import fit_params
from ..distillation.teacher_outputs import with_teacher_outputs
from ..execution.divergence import Diverged
from ..execution.engine import Engine
from ..execution.execution_plan import ExecutionPlan
from ..execution.history import TEACHER, FitProgress, History, MetricSums, data_digests
from ..execution.runner import runner_without_updates
from ..execution.variables import DonatedArrays
from ..fit_arguments import FitSettings, require_bool, require_integer, require_rate
from ..providers.provider_options import ProviderOptions
from ..providers.providers import Provider, SessionConfig
from ..providers.session_recorder import SessionRecorder
from ..session.session import concatenate_batches
from ..training_plan import Teacher, TrainingPlan
from .batch_layout import CachedLayout
from .checkpoint_errors import mismatch
from .class_weights import (
    ClassWeightArgument,
    WeightsByClass,
    check_class_weight,
    has_balanced,
    weights_by_class,
    with_class_weights,
)
from .early_stopping import EarlyStoppingMonitor
from .environment import run_environment
from .fit import Fit
from .fit_data import dataset_of, samples_without_targets
from .plateau import plateau_monitor
from .schedule_steps import known_steps, require_known_steps, set_schedule_steps
from .stream_arguments import check_stream, weighted_batches
from .trainer_checkpoint import engine_for_plan, load_run, save_run

if TYPE_CHECKING:
    from ...ir import Graph


class PlanTrainer:
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
        collective: Collective | None = None,
    ) -> None:
        self.plan = plan
        self.engine = Engine(plan, provider, threads, fast, donated_weights, provider_options, collective)
        self.fast = fast
        self._spec_weighted_outputs = plan.weighted_outputs
        self.class_weights: WeightsByClass = {}
        """The weights of classes in the last fit, by output and class index."""
        self.initial_weights_digest: str | None = None
        """The hash of the weights that were given to start from; None if all are drawn."""
        self._loaded_weights_digest: str | None = None
        self._progress: FitProgress | None = None
        self._has_set_weights = False
        self._resumes = False  # whether the next fit goes on from `_progress`
        self._fit: Fit | None = None
        self.cached_layout: CachedLayout | None = None
        self.temporary_folder: str | os.PathLike[str] | None = None
        """Where a fit keeps the best weights of a large network; None: where temporary files lie."""
        if weights is not None:
            self.set_weights(weights)

    @property
    def provider(self) -> str:
        """The short name of the provider."""
        return self.engine.execution.provider.name

    @property
    def resolved_provider(self) -> Provider:
        """The provider, as sessions get it."""
        return self.engine.execution.provider

    @property
    def steps(self) -> int:
        """Steps trained so far."""
        return self.engine.steps

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
        """The learning rate of the next step."""
        return self.engine.learning_rate()

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        if self.plan.rate_graph is not None:
            raise TypeError("the learning rate is a schedule of the spec, so it cannot be set")
        self.engine.set_learning_rate(require_rate(rate))

    @property
    def last_learning_rate(self) -> float:
        """The learning rate of the last step."""
        return self.engine.last_learning_rate()

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of the network's weights, by Keras' names and in Keras' order."""
        return self.engine.weights()

    def current_weights(self) -> Mapping[str, np.ndarray]:
        """The network's weights, until a step or `set_weights` replaces them: not to be changed."""
        return self.engine.current_weights()

    def set_weights(self, weights: Mapping[str, Any], *, strict: bool = True) -> None:
        """Replaces the weights; unless `strict`, some may be missing. Raises ValueError with every error."""
        self.engine.write(self.engine.validate_weights(weights, strict))
        self._has_set_weights = True

    # -- training ----------------------------------------------------------------------------------------------------

    def step(
        self, x: DataArgument | Dataset, y: DataArgument = None, sample_weight: DataArgument = None
    ) -> dict[str, Any]:
        """Trains on one batch. Returns its loss and metrics."""
        feeds = self.cached_layout.feeds(x, y) if self.cached_layout and sample_weight is None else None
        engine = self.engine
        if feeds is None:
            if not self.schedule_steps:
                require_known_steps(self.plan)
            samples = dataset_of(self.plan, x, y, sample_weight)
            self._use_weights(self.plan.weighted_outputs.union(samples.weights))
            self.open_teacher()
            engine, samples = self.engine, samples.for_graphs(self.plan.data_spec)
            feeds = engine.feeds(samples, slice(None), self.steps)
            self.cached_layout = CachedLayout.of(x, y, samples, feeds) if engine.group is None else None
        else:
            feeds[LEARNING_RATE] = engine.constant_rate
        metric_sums = MetricSums(self.plan)
        metric_sums.add(engine.step(feeds), engine.step_feeds.batch_samples(feeds))
        return metric_sums.results()

    def fit(
        self,
        samples: Dataset | BatchStream,
        validation: Dataset | BatchStream | None,
        settings: FitSettings,
        callbacks: tuple[Callback, ...] = (),
        class_weight: ClassWeightArgument = None,
        model: object | None = None,
    ) -> History:
        """Trains for some epochs; after `load_checkpoint`, resumes the fit of the checkpoint.

        Callbacks see `model` as their model and trainer; by default this trainer. Raises CompileError or FeedError for
        data that do not fit, TypeError or ValueError for settings that do not fit an iterable of batches, Diverged.
        """
        if isinstance(samples, BatchStream):
            check_stream(samples, self.plan, settings, is_resumed=self._resumes)
        else:
            self.plan = self.plan.with_learned(samples)
        samples = self._weighted(samples, class_weight)
        self.open_teacher()
        if not self._resumes:
            self.engine.adapt(samples)
        schedule_steps = set_schedule_steps(self.engine, samples, settings)
        resumed_rate = self.learning_rate if self._resumes and self.plan.rate_graph is None else None
        monitor = EarlyStoppingMonitor(self.plan, self.temporary_folder)
        progress = self._start_progress(monitor, (samples, validation), settings)
        params = fit_params(self.plan, settings, samples, validation)
        if has_balanced(self.plan.training.class_weight if class_weight is None else class_weight):
            params["class_weights"] = self.class_weights
        params |= schedule_steps
        for callback in callbacks:
            callback.set_model(self if model is None else model)
            callback.set_params(dict(params))
        progress.callbacks = CallbackStates(callbacks, progress.callbacks.current())
        self._fit = Fit(
            self.engine,
            self._with_teacher(samples, callbacks),
            validation,
            settings,
            monitor,
            progress,
            callbacks,
            plateau_monitor(self.plan, progress.plateau_state),
            self._deadline(),
            resumed_rate,
        )
        try:
            return self._fit.run()
        except Diverged as error:
            error.history, self._progress = progress.history, None
            if not any(callback.stops_on_nan(error) for callback in callbacks):
                raise
            return progress.history
        finally:
            self._fit = None
            progress.callbacks = progress.callbacks.detached()

    def open_teacher(self) -> Teacher | None:
        """The teacher of the plan, which is opened once; None if it has none.

        Raises UsageError or CompileError if it cannot be used, also if it has other labels than the network.
        """
        if self.plan.open_teacher is None:
            return None
        execution = self.engine.execution
        if self.engine.teacher is None:
            threads = execution.shard_threads or execution.threads
            self.engine.teacher = self.plan.open_teacher(self.plan, execution.provider, threads)
        self.engine.teacher.require_labels(self.plan.labels)
        return self.engine.teacher

    def _with_teacher(self, samples: Dataset | BatchStream, callbacks: Iterable[Callback]) -> Dataset | BatchStream:
        """The samples of a fit with the outputs of the teacher, if these are the same in every epoch."""
        teacher = self.engine.teacher
        if teacher is None or isinstance(samples, BatchStream) or not self._keeps_teacher_outputs(samples):
            return samples
        for callback in callbacks:
            callback._on_preparation(f"computes the outputs of the teacher for {len(samples):,} samples")
        return with_teacher_outputs(samples, teacher, self.temporary_folder)

    def _keeps_teacher_outputs(self, samples: Dataset) -> bool:
        """Whether the teacher computes the same in every epoch: there are no augmented images, and no padding depends
        on the batch."""
        teacher = self.engine.teacher
        is_fixed = teacher is not None and teacher.has_fixed_shapes and not samples.has_sequences
        return is_fixed and not self.plan.augmented_inputs

    @property
    def has_changed_weights(self) -> bool:
        """Whether the next fit starts with other weights than the trainer got, unless it resumes a checkpoint."""
        return not self._resumes and (self.steps > 0 or self._has_set_weights)

    def forget_fit(self) -> None:
        """Lets the next fit begin with its own first epoch, unless it resumes the fit of a loaded checkpoint."""
        if not self._resumes:
            self._progress = None

    @property
    def schedule_steps(self) -> dict[str, int]:
        """The numbers of steps of schedules that the first fit has determined, by name; empty before it."""
        return known_steps(self.engine)

    def _deadline(self) -> float | None:
        """The time of the monotonic clock when a fit that starts is interrupted; None without a time limit."""
        limit = self.plan.training.time_limit
        return None if limit is None else time.monotonic() + limit.total_seconds

    def prepare(self, samples: Dataset) -> None:
        """Learns from training samples what a fit learns before its first step: names of classes, states of layers such
        as Normalization, and normalized targets."""
        self.plan = self.plan.with_learned(samples)
        self.engine.adapt(samples.for_graphs(self.plan.data_spec))

    @property
    def validation_samples(self) -> Dataset | None:
        """The validation samples of the last fit; None if it had none in memory, or diverged."""
        datasets = self._progress.datasets if self._progress is not None else None
        validation = datasets[1] if datasets is not None else None
        return validation if isinstance(validation, Dataset) else None

    @property
    def stop_training(self) -> bool:
        """Whether the fit ends after the current step."""
        return self._fit is not None and (self._fit.stop_requested or self._fit.progress.finished)

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        if self._fit is not None:
            self._fit.stop_requested = require_bool("stop_training", value)

    def stop(self) -> None:
        """Ends the epoch and the fit after the current step."""
        if self._fit is not None:
            self._fit.stop_requested = True

    def _batch_size(self, requested: int | None) -> int:
        if requested is None:
            return self.plan.training.batch_size
        return require_integer("batch_size", requested, minimum=1)

    def _class_weighted(self, samples: Dataset, class_weight: ClassWeightArgument) -> tuple[Dataset, WeightsByClass]:
        """The samples with the weights of their classes, and these by output; None stands for the spec's."""
        setting = self.plan.training.class_weight if class_weight is None else class_weight
        check_class_weight(setting, self.plan)
        weights = weights_by_class(setting, samples, self.plan)
        return with_class_weights(samples, weights, self.plan), weights

    def _weighted(self, samples: Dataset | BatchStream, class_weight: ClassWeightArgument) -> Dataset | BatchStream:
        """The samples of a fit with their weights, after the training step was made to take these.

        Of an iterable, the first batch shows which outputs have weights.
        """
        setting = self.plan.training.class_weight if class_weight is None else class_weight
        if isinstance(samples, BatchStream):
            if has_balanced(setting):
                raise ValueError("balanced class weights need the classes of all samples: give their numbers instead")
            first, self.class_weights = self._class_weighted(samples.first(), class_weight)
            self._use_weights(first.weights)
            samples.transform = weighted_batches(self.class_weights, first.weights.keys(), self.plan)
            return samples
        samples, self.class_weights = self._class_weighted(samples, class_weight)
        self._use_weights(samples.weights)
        return samples.for_graphs(self.plan.data_spec)

    def _use_weights(self, outputs: Iterable[str]) -> None:
        """Lets steps take sample weights for these outputs, besides the outputs that the spec weighs.

        The engine is replaced by one with the same state, since its training step is another one.
        """
        plan = self.plan.weighting(self._spec_weighted_outputs.union(outputs))
        if plan is self.plan:
            return
        self.cached_layout = None
        self.plan, self.engine = plan, engine_for_plan(plan, self.engine, self.fast)

    def _start_progress(
        self,
        early_stopping: EarlyStoppingMonitor,
        datasets: tuple[Dataset | BatchStream, Dataset | BatchStream | None],
        settings: FitSettings,
    ) -> FitProgress:
        """The progress of a new fit, or of the fit of a checkpoint that was loaded."""
        progress = self._progress
        if progress is None or not self._resumes:
            # With initial_epoch, a fit that goes on from an earlier one has the order of samples of a single fit.
            done = 0 if progress is None else progress.epoch_offset + progress.epoch
            offset, epoch = max(0, done - settings.initial_epoch), settings.initial_epoch
            fixed = self._fixed_settings(settings)
            self._progress = FitProgress(MetricSums(self.plan), offset, epoch, settings=fixed, datasets=datasets)
            return self._progress
        if settings.initial_epoch not in (0, progress.epoch):
            message = f"initial_epoch is {settings.initial_epoch}, but the checkpoint has {progress.epoch} epochs"
            raise ValueError(f"{message}: leave it out")
        self._check_resumed(*datasets, settings)
        self._resumes = False
        if progress.early_stopping_state is not None:
            early_stopping.load_state_dict(progress.early_stopping_state, progress.best_weights)
        progress.settings, progress.datasets = self._fixed_settings(settings), datasets
        return progress

    def _fixed_settings(self, settings: FitSettings) -> dict[str, Any]:
        """What may not change when a fit is resumed, besides its samples."""
        teacher = self.open_teacher()
        return {**settings.fixed, **({} if teacher is None else {TEACHER: teacher.digest})}

    def check_resumed_fit(self, samples: Dataset, validation: Dataset | None, settings: FitSettings) -> None:
        """Raises CompileError `checkpoint-mismatch` if a fit would not resume the loaded checkpoint."""
        if self._progress is None or not self._resumes:
            return
        samples, _ = self._class_weighted(samples, None)
        self._check_resumed(samples, validation, settings)

    def _check_resumed(
        self, samples: Dataset | BatchStream, validation: Dataset | BatchStream | None, settings: FitSettings
    ) -> None:
        """Raises CompileError as `check_resumed_fit` does, for samples with the weights of their classes."""
        if self._progress is None:
            return
        current = {**self._fixed_settings(settings), **data_digests(samples, validation)}
        changes = self._progress.changes(current, settings.epochs)
        errors = [mismatch(f"the run cannot be resumed: {change}") for change in changes]
        if errors:
            raise CompileError(errors)

    # -- without training --------------------------------------------------------------------------------------------

    def evaluate(
        self, samples: Dataset | BatchStream, batch_size: int | None = None, plan: TrainingPlan | None = None
    ) -> dict[str, Any]:
        """Loss and metrics, or those of another plan of this network. Classes are not weighted."""
        return self.engine.measure(samples, self._batch_size(batch_size), plan=plan).results()

    def predict(self, x: DataArgument | Dataset, batch_size: int | None = None) -> Any:
        """The network's output for every sample; a dict of arrays if there are several outputs."""
        if is_batch_source(x):
            batches = BatchStream(x, lambda inputs, *_: samples_without_targets(self.plan, inputs)).one_pass()
            results = concatenate_batches([self.engine.predict(batch, len(batch)) for batch in batches])
        else:
            samples = x if isinstance(x, Dataset) else samples_without_targets(self.plan, x)
            results = self.engine.predict(samples, self._batch_size(batch_size))
        return next(iter(results.values())) if len(results) == 1 else results

    def record_steps(self, recorder: SessionRecorder | None) -> ExecutionPlan:
        """Lets a recorder record the training steps from now on; None ends this. Returns how they run."""
        self.engine.record_steps(recorder)
        return self.engine.execution

    def run_graph(
        self,
        graph: Graph,
        batches: Iterable[Dataset],
        data_spec: DataSpec | None = None,
        recorder: SessionRecorder | None = None,
    ) -> Iterator[dict[str, np.ndarray]]:
        """The outputs of another graph over the trainer's variables for each batch, fed as the next step would be.

        `data_spec` replaces the plan's, for a graph that takes other sample weights; `recorder` records the runs.
        """
        self.open_teacher()
        engine = self.engine
        data_spec = self.plan.data_spec if data_spec is None else data_spec
        config = SessionConfig(recorder=recorder)
        runner = runner_without_updates(graph, engine.current_variables(), engine.vocabularies, config)
        for batch in batches:
            feeds = engine.feeds(batch.for_graphs(data_spec), slice(None), self.steps)
            results = runner({name: feeds[name] for name in runner.fed_names})
            # An output may be a view of an input or a weight, which is freed with the runner.
            yield {name: array.copy() for name, array in results.items()}

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def save_checkpoint(self, path: str | os.PathLike[str]) -> str:
        """Writes the complete state of the run to one file. Returns its SHA-256."""
        initial_weights = self._loaded_weights_digest or self.initial_weights_digest
        return save_run(os.fspath(path), self.plan, self.engine, self._progress, initial_weights, self.environment())

    def load_checkpoint(self, path: str | os.PathLike[str], *, exact: bool = False) -> list[Diagnostic]:
        """Loads the state of a checkpoint; the next `fit` resumes its run. Returns warnings."""
        given = self.initial_weights_digest, self.environment(), exact, self.temporary_folder
        saved = load_run(os.fspath(path), self.plan, self.engine, *given)
        if saved.learning_rate is not None and self.plan.rate_graph is None:
            self.engine.set_learning_rate(saved.learning_rate)
        self.engine.steps = saved.steps
        self.engine.write(saved.values)
        self._progress, self._resumes = saved.progress, saved.progress is not None
        self._loaded_weights_digest = saved.initial_weights
        return saved.differences

    def environment(self) -> dict[str, Any]:
        """Versions, processor and settings on which the last bit of a result depends."""
        return run_environment(self.engine.execution.provider.label, self.engine.execution.threads, self.fast)


__all__ = ["Diverged", "History", "PlanTrainer", "TrainingPlan"]
