"""The public Trainer, which is constructed from a spec."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...collective.protocol import Collective
from ...core.diagnostics import Diagnostic
from ...core.reserved_names import is_slot_name
from ...core.signature.thresholds import Threshold
from ...core.system.gc_pause import gc_paused
from ...core.system.memory import require_memory
from ...data.samples.array_arguments import DataArgument
from ...data.samples.array_digest import array_digest
from ...data.samples.dataset import Dataset
from ...ir import variable_bytes
from ...render.results.progress import VERBOSITIES, AddedMetricsLine, Verbosity, progress_display
from ...runtime.callbacks.callbacks import checked_callbacks
from ...runtime.execution.history import History
from ...runtime.execution.precision import require_precision
from ...runtime.execution.variables import DonatedArrays
from ...runtime.fit.class_weights import ClassWeightArgument, WeightsByClass
from ...runtime.fit.trainer import PlanTrainer
from ...runtime.fit_arguments import fit_settings
from ...runtime.parity.parity_check import check_step
from ...runtime.providers.provider_options import ProviderOptions
from ...runtime.providers.providers import Provider, resolve_provider
from ...runtime.training_plan import TrainingPlan
from ..check.check import CheckedSpec, Spec
from ..check.python_objective import check_with_objective
from ..compile.compile import compile_checked, compile_part
from ..compile.initial_weights import Weights, resolve_initial_weights
from ..compile.model import Model
from ..compile.network_part import network_part
from ..compile.target_forms import plan_for_target
from ..compile.word_vectors import read_known_vectors
from .cross_validation import fold_change, with_fold
from .decision import calibrate, choose_thresholds, with_thresholds
from .fit_samples import evaluation_samples, fit_samples
from .learned_spec import with_learned
from .plan_training import plan_training

if TYPE_CHECKING:
    import numpy as np

    from ...runtime.session.weight_files import WeightsReport


class Trainer:
    """Trains the network of a spec on stock onnxruntime, as its `training` section says.

    `seed` replaces the spec's seed; `weights` (arrays by name, or a file) replace the spec's weight file and the random
    initial weights. Every weight must be given and fit; with `partial`, weights that are missing or do not fit are
    drawn, and `weights_report` lists them. `scale` is the name of one of the spec's scales, and a change is a text like
    `width=128`, as after `--set`. Without `fast`, the graphs are not rewritten for this machine. With `verify`, a
    weight file must match the digests that it records, and a provider other than the CPU must compute the losses that
    the CPU computes from drawn samples, which is checked once for each step. `data_roots` are folders whose files the
    spec may name as data, besides its own folder. `provider_options` are those of onnxruntime's documentation, such as
    `{"device_id": 1}`. `fold` is the index of the fold for validation, from 0, if the spec's `split` has `folds`.
    `collective` connects the workers of a distributed training, each of which has a trainer of the same spec. `loss`
    and `metrics` replace the spec's, in the forms that a spec has, and may be functions of `jsonnx.loss` and
    `jsonnx.metric`. Raises CompileError for an invalid spec or a weight file that does not fit, FeedError for arrays
    that do not fit, UsageError if the provider is not available or the spec has no such fold.
    """

    plan_trainer: PlanTrainer
    """The trainer of the spec's training plan. It does all that needs no spec."""
    temperatures: dict[str, float]
    """The numbers by which a calibration divided the logits, by output."""
    thresholds: dict[str, Threshold]
    """The decision thresholds of outputs, by output; chosen by `fit`, or set in the spec."""
    weights_report: WeightsReport | None
    """The loaded and the missing weights; None if no weights were given."""
    _checked: CheckedSpec
    _recorded_options: dict[str, Any]
    """The options that a RUN folder records, by the names in TrainingOptions."""

    @gc_paused()
    def __init__(
        self,
        spec: Spec | CheckedSpec,
        provider: str | Provider = "cpu",
        seed: int | None = None,
        weights: Weights = None,
        threads: int | None = None,
        partial: bool = False,
        scale: str | None = None,
        fast: bool = True,
        verify: bool = True,
        data_roots: Iterable[str | os.PathLike[str]] = (),
        changes: Sequence[str] = (),
        provider_options: ProviderOptions | None = None,
        fold: int | None = None,
        collective: Collective | None = None,
        loss: Any = None,
        metrics: Any = None,
    ) -> None:
        self._checked = check_with_objective(spec, loss, metrics, changes, scale)
        self._recorded_options = {"scale": scale, "changes": tuple(changes)}
        if fold is not None:
            self._checked = with_fold(self._checked, fold)
            self._recorded_options["changes"] = (*changes, fold_change(fold))
        plan = plan_training(self._checked, seed)
        plan = replace(plan, source=plan.source.with_data_roots(data_roots))
        resolved_provider = resolve_provider(provider, provider_options)
        plan = plan_for_target(plan, resolved_provider.name) if fast else plan
        require_precision(plan, resolved_provider)
        variables = {**plan.train.parameters, **plan.train.states}
        types = plan.weight_types
        slots = [value.type for name, value in variables.items() if is_slot_name(name)]
        needed_bytes = {"weights": variable_bytes(types.values()), "optimizer slots": variable_bytes(slots)}
        require_memory("the training", needed_bytes, plan.source.file)
        initial_weights, self.weights_report = resolve_initial_weights(self._checked, types, weights, partial, verify)
        digest = array_digest(sorted(initial_weights.items())) if initial_weights else None
        given_weights = {*initial_weights}
        donated_weights = DonatedArrays(initial_weights)
        del initial_weights  # the engine frees each array once it is copied
        self.plan_trainer = PlanTrainer(
            plan, resolved_provider, threads, fast=fast, donated_weights=donated_weights, collective=collective
        )
        self.plan_trainer.initial_weights_digest = digest
        for found in read_known_vectors(self._checked, plan.source) if weights is None else ():
            if found.weight not in given_weights:
                self.plan_trainer.engine.write_rows(found.weight, found.indices, found.vectors, found.token_count)
        if verify and not self.resolved_provider.is_cpu:
            check_step(self.plan, self.resolved_provider)
        self.temperatures = {}
        self.thresholds = choose_thresholds(self.plan_trainer, self._checked, None)

    # Properties without a docstring are not part of the documented interface.

    @property
    def plan(self) -> TrainingPlan:
        return self.plan_trainer.plan

    @property
    def temporary_folder(self) -> str | os.PathLike[str] | None:
        return self.plan_trainer.temporary_folder

    @property
    def class_weights(self) -> WeightsByClass:
        return self.plan_trainer.class_weights

    @property
    def initial_weights_digest(self) -> str | None:
        return self.plan_trainer.initial_weights_digest

    @property
    def provider(self) -> str:
        """The short name of the provider."""
        return self.plan_trainer.provider

    @property
    def resolved_provider(self) -> Provider:
        """The provider, as sessions get it."""
        return self.plan_trainer.resolved_provider

    @property
    def steps(self) -> int:
        """Steps trained so far."""
        return self.plan_trainer.steps

    @property
    def epochs_done(self) -> int:
        """Complete epochs of the current fit, or of the fit that a loaded checkpoint resumes."""
        return self.plan_trainer.epochs_done

    @property
    def history(self) -> History:
        """Losses and metrics of the complete epochs."""
        return self.plan_trainer.history

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step; a new value takes effect from that step on.

        Setting it raises TypeError if it is not a number, ValueError if it is not positive and finite.
        """
        return self.plan_trainer.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.plan_trainer.learning_rate = rate

    @property
    def schedule_steps(self) -> dict[str, int]:
        """The numbers of steps that a schedule has from the data and epochs of the first fit, such as
        `{"decay_steps": 300}`; empty before it, and for a schedule that gives them as numbers."""
        return self.plan_trainer.schedule_steps

    @property
    def last_learning_rate(self) -> float:
        return self.plan_trainer.last_learning_rate

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of the network's weights, by Keras' names and in Keras' order."""
        return self.plan_trainer.weights()

    def current_weights(self) -> Mapping[str, np.ndarray]:
        return self.plan_trainer.current_weights()

    def set_weights(self, weights: Mapping[str, Any], *, strict: bool = True) -> None:
        """Replaces the weights; unless `strict`, some may be missing. Raises ValueError with every error."""
        self.plan_trainer.set_weights(weights, strict=strict)

    # -- training ----------------------------------------------------------------------------------------------------

    def step(
        self, x: DataArgument | Dataset, y: DataArgument = None, sample_weight: DataArgument = None
    ) -> dict[str, Any]:
        """Train on one batch; its loss and metrics. Raises FeedError for data that do not fit, Diverged."""
        return self.plan_trainer.step(x, y, sample_weight)

    def fit(
        self,
        x: DataArgument | Dataset = None,
        y: DataArgument = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        shuffle: bool | None = None,
        validation_data: Dataset | tuple[Any, ...] | None = None,
        validation_split: float | None = None,
        callbacks: Iterable[object] | None = (),
        verbose: Verbosity = "auto",
        *,
        class_weight: ClassWeightArgument = None,
        sample_weight: DataArgument = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_freq: int | Collection[int] = 1,
        run: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> History:
        """Train for some epochs. Arguments that are None are taken from the spec's training section, and so are the
        data.

        After `load_checkpoint`, the fit resumes the run of the checkpoint. Ctrl-C or SIGTERM ends it after the current
        step, with `signal` set in the history. `callbacks` are instances of `jsonnx.Callback`, which may set
        `stop_training` and `learning_rate`. Raises CompileError or FeedError for data that do not fit, TypeError for
        other callbacks, Diverged.

        `x` may also be a table in place of the spec's training file: a frame of pandas or polars, a table of Arrow, or
        a list of rows as dicts, whose columns the spec assigns.

        Or `x` is an iterable of batches, each `x`, `(x, y)` or `(x, y, sample_weight)`: a data loader, a sequence
        with `__len__` and `__getitem__`, a generator, or a function that is called for each pass and returns one. An
        epoch is one pass, or `steps_per_epoch` batches. Batches have their own size and order, so `batch_size` and
        `shuffle` have no effect.

        `run` is a folder, to which the fit writes all that `jsonnx train` writes, with the arguments of the fit in the
        place of the spec's values; `resume` continues the run in the folder, if there is one. Raises UsageError
        `run-exists` for a folder with a run that is not resumed.

        `verbose` is as in Keras: 1 shows a progress bar in a terminal or a notebook, elsewhere a line an epoch; 2 shows
        a line an epoch, 0 nothing; "auto" shows a bar in a terminal or a notebook, elsewhere nothing. It is printed to
        standard error, in a notebook to standard output.
        """
        if verbose not in VERBOSITIES:
            raise ValueError(f"verbose must be one of {VERBOSITIES}, got {verbose!r}")
        if run is not None:
            samples_given: dict[str, Any] = {"x": x, "y": y, "sample_weight": sample_weight}
            samples_given |= {"validation_data": validation_data, "validation_split": validation_split}
            arguments: dict[str, Any] = {
                "batch_size": batch_size,
                "epochs": epochs,
                "shuffle": shuffle,
                "verbose": verbose,
            }
            arguments |= {"class_weight": class_weight, "initial_epoch": initial_epoch}
            arguments |= {"steps_per_epoch": steps_per_epoch, "validation_freq": validation_freq}
            return self._recorded_fit(Path(run), resume, samples_given, arguments, callbacks or ())
        if resume:
            raise TypeError("resume continues the run in a folder: give run, too; load_checkpoint resumes without one")
        listeners = checked_callbacks(callbacks)
        with progress_display(verbose) as display:
            settings = fit_settings(
                self.plan.training, batch_size, epochs, shuffle, initial_epoch, steps_per_epoch, validation_freq
            )
            samples, validation = fit_samples(self.plan, x, y, sample_weight, validation_data, validation_split)
            if isinstance(samples, Dataset):
                self._checked = with_learned(self._checked, samples)
            callbacks = (display, *listeners, AddedMetricsLine(display)) if listeners else (display,)
            history = self.plan_trainer.fit(samples, validation, settings, callbacks, class_weight, model=self)
        self._decide()
        return history

    def _recorded_fit(
        self,
        run: Path,
        resume: bool,
        data: Mapping[str, Any],
        arguments: Mapping[str, Any],
        callbacks: Iterable[object],
    ) -> History:
        """A fit that writes a RUN folder. `data` are the arguments of `fit` with samples, `arguments` the others."""
        raise NotImplementedError("jsonnx.Trainer writes RUN folders")

    def _decide(self) -> None:
        """Calibrates the weights and chooses thresholds, as the spec says, on the validation data of the last fit."""
        trainer, validation = self.plan_trainer, self.plan_trainer.validation_samples
        if self.plan.training.calibration is not None and validation is not None:
            self.temperatures = calibrate(trainer, self._checked, validation)
        self.thresholds = choose_thresholds(trainer, self._checked, validation)

    @property
    def stop_training(self) -> bool:
        """Whether the fit ends after the current step, as in Keras; a callback may set it to True."""
        return self.plan_trainer.stop_training

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        self.plan_trainer.stop_training = value

    def stop(self) -> None:
        """Ends the epoch and the fit after the current step; to be called by callbacks."""
        self.plan_trainer.stop()

    def check_resumed_fit(
        self,
        samples: Dataset,
        validation: Dataset | None,
        batch_size: int | None = None,
        epochs: int | None = None,
        shuffle: bool | None = None,
    ) -> None:
        """Raises CompileError `checkpoint-mismatch` if these arguments of `fit` do not resume the loaded checkpoint."""
        settings = fit_settings(self.plan.training, batch_size, epochs, shuffle)
        self.plan_trainer.check_resumed_fit(samples, validation, settings)

    # -- without training --------------------------------------------------------------------------------------------

    def evaluate(
        self,
        x: DataArgument | Dataset = None,
        y: DataArgument = None,
        batch_size: int | None = None,
        sample_weight: DataArgument = None,
        *,
        split: Literal["train", "validation", "test"] | None = None,
    ) -> dict[str, Any]:
        """Loss and metrics; without `x`, on a part of the spec's data, `split`: by default the test data, or else the
        validation data. Classes are not weighted. `x` may be a table or an iterable of batches, as in `fit`.

        Metrics with the default threshold take that of their output in `thresholds`.
        """
        plan = self._thresholded_plan() if self.thresholds else self.plan
        return self.plan_trainer.evaluate(evaluation_samples(plan, x, y, sample_weight, split), batch_size, plan)

    def _thresholded_plan(self) -> TrainingPlan:
        """The plan with metrics that take the thresholds."""
        plan = replace(plan_training(with_thresholds(self._checked, self.thresholds)), source=self.plan.source)
        return plan_for_target(plan, self.resolved_provider.name) if self.plan_trainer.fast else plan

    def predict(self, x: DataArgument | Dataset, batch_size: int | None = None) -> Any:
        """The network's output for every sample; a dict of arrays if there are several outputs. `x` may be a table
        or an iterable of batches, as in `fit`; targets are not used."""
        return self.plan_trainer.predict(x, batch_size)

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def save_checkpoint(self, path: str | os.PathLike[str]) -> str:
        """Write the complete state of the run to one file, from which `load_checkpoint` resumes it bit for bit.

        Returns the SHA-256 of the file. Raises UsageError `unwritable-file`; then an earlier file of that name is
        unchanged. Raises TypeError if the state of a callback cannot be saved.
        """
        return self.plan_trainer.save_checkpoint(path)

    def load_checkpoint(self, path: str | os.PathLike[str], *, exact: bool = False) -> list[Diagnostic]:
        """Load the state of a checkpoint; the next `fit` resumes its run.

        Returns a warning `not-exact` if the run will not be the same bit for bit; with `exact`, raises it as a
        CompileError and loads nothing. Raises UsageError for a missing file, CompileError `bad-checkpoint` for a
        damaged one, `checkpoint-mismatch` for one of another network, seed or initial weights.
        """
        return self.plan_trainer.load_checkpoint(path, exact=exact)

    def environment(self) -> dict[str, Any]:
        """Versions, processor and settings on which the last bit of a result depends."""
        return self.plan_trainer.environment()

    # -- of the spec -------------------------------------------------------------------------------------------------

    def model(self, *, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> Model:
        """The inference model with the current weights; its metadata have the thresholds.

        With `inputs` or `outputs`, names of layers, the part of the network between these. Raises UsageError for a part
        that does not exist.
        """
        weights = self.current_weights()  # compilation copies them
        if inputs or outputs:
            return compile_part(self._checked, network_part(self._checked, inputs, outputs), weights)
        return compile_checked(self._checked, weights, thresholds=self.thresholds)


__all__ = ["Trainer"]
