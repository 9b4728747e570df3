"""The public Trainer, which is constructed from a spec."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from ...core.diagnostics import suggestion
from ...core.html_table import FIGURE_TITLES, figure_rows, html_table
from ...data.samples.array_digest import array_digest
from ...data.samples.batch_stream import BatchStream
from ...data.samples.dataset import DataArgument, Dataset
from ...render.results.progress import VERBOSITIES, Verbosity, progress_display
from ...runtime.callbacks.callbacks import checked_callbacks
from ...runtime.execution.history import History
from ...runtime.execution.precision import require_precision
from ...runtime.execution.variables import DonatedArrays
from ...runtime.fit.class_weights import ClassWeightArgument
from ...runtime.fit.fit_data import dataset_of
from ...runtime.fit.trainer import Trainer as PlanTrainer
from ...runtime.parity.parity_check import check_step
from ...runtime.providers.provider_options import ProviderOptions
from ...runtime.providers.providers import Provider, resolve_provider
from ..check.check import CheckedSpec, Spec, check_spec
from ..compile.compile import compile_checked
from ..compile.initial_weights import Weights, resolve_initial_weights
from ..compile.model import Model
from ..compile.target_forms import plan_for_target
from .cross_validation import with_fold
from .decision import calibrate, choose_thresholds, require_validation, with_thresholds
from .learned_spec import with_learned
from .plan_training import plan_training
from .weight_gradients import batch_gradients

if TYPE_CHECKING:
    import numpy as np

_ATTRIBUTES = (
    "class_weights",
    "initial_weights_digest",
    "plan",
    "temperatures",
    "thresholds",
    "weights_report",
    *(
        "_cached_layout",
        "_checked",
        "_engine",
        "_fast",
        "_fit",
        "_loaded_weights_digest",
        "_progress",
        "_resumes",
        "_spec_weighted_outputs",
    ),
)
"""The attributes of a Trainer that may be set, besides its properties."""
OTHER_NAMES = {"lr": "learning_rate"}
"""Our attributes, by the names in other frameworks."""


class Trainer(PlanTrainer):
    """Trains the network of a spec on stock onnxruntime, as its `training` section says.

    `seed` replaces the spec's seed; `weights` (arrays by name, or a file) replace the spec's weight file and the random
    initial weights. Every weight must be given and fit; with `partial`, weights that are missing or do not fit are
    drawn, and `weights_report` lists them. `scale` is the name of one of the spec's scales, and a change is a text like
    `width=128`, as after `--set`. Without `fast`, the graphs are not rewritten for this machine. With `verify`, a
    weight file must match the digests that it records, and a provider other than the CPU must compute the losses that
    the CPU computes from drawn samples, which is checked once for each step. `data_roots` are folders whose files the
    spec may name as data, besides its own folder. `provider_options` are those of onnxruntime's documentation, such as
    `{"device_id": 1}`. `fold` is the index of the fold for validation, from 0, if the spec's `split` has `folds`.
    Raises CompileError for an invalid spec or a weight file that does not fit, FeedError for arrays that do not fit,
    UsageError if the provider is not available or the spec has no such fold.
    """

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
    ) -> None:
        self._checked = spec if isinstance(spec, CheckedSpec) else check_spec(spec, changes=changes, scale=scale)
        if fold is not None:
            self._checked = with_fold(self._checked, fold)
        plan = plan_training(self._checked, seed)
        plan = replace(plan, source=plan.source.with_data_roots(data_roots))
        resolved_provider = resolve_provider(provider, provider_options)
        plan = plan_for_target(plan, resolved_provider.name) if fast else plan
        require_precision(plan, resolved_provider)
        variables = {**plan.train.parameters, **plan.train.states}
        types = {name: variables[name].type for name in plan.weight_names}
        initial_weights, self.weights_report = resolve_initial_weights(self._checked, types, weights, partial, verify)
        digest = array_digest(sorted(initial_weights.items())) if initial_weights else None
        donated_weights = DonatedArrays(initial_weights)
        del initial_weights  # the engine frees each array once it is copied
        super().__init__(plan, resolved_provider, threads, fast=fast, donated_weights=donated_weights)
        self.initial_weights_digest = digest
        if verify and not self.resolved_provider.is_cpu:
            check_step(self.plan, self.resolved_provider)
        self.temperatures: dict[str, float] = {}
        """The numbers by which a calibration divided the logits, by output."""
        self.thresholds: dict[str, float] = choose_thresholds(self, self._checked, None)
        """The probabilities above which outputs predict a class, by output; chosen by `fit`, or those of the spec."""

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
    ) -> History:
        if verbose not in VERBOSITIES:
            raise ValueError(f"verbose must be one of {VERBOSITIES}, got {verbose!r}")
        listeners = checked_callbacks(callbacks)
        with progress_display(verbose) as display:
            history = super().fit(
                x,
                y,
                batch_size,
                epochs,
                shuffle,
                validation_data,
                validation_split,
                [display, *listeners],
                class_weight=class_weight,
                sample_weight=sample_weight,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                validation_freq=validation_freq,
            )
        self._decide()
        return history

    fit.__doc__ = f"""{cleandoc(PlanTrainer.fit.__doc__ or "")}

`verbose` is as in Keras: 1 shows a progress bar in a terminal or a notebook, elsewhere a line an epoch; 2 shows
a line an epoch, 0 nothing; "auto" shows a bar in a terminal or a notebook, elsewhere nothing. It is printed to
standard error, in a notebook to standard output.
"""

    def _use_learned(self, train: Dataset) -> None:
        super()._use_learned(train)
        self._checked = with_learned(self._checked, train)

    def _decide(self) -> None:
        """Calibrates the weights and chooses thresholds, as the spec says, on the validation data of the last fit."""
        datasets = self._progress.datasets if self._progress is not None else None
        held_out = datasets[1] if datasets is not None else None
        validation = held_out if isinstance(held_out, Dataset) else None
        if self.plan.training.calibration is not None and validation is not None:
            self.temperatures = calibrate(self, self._checked, validation)
        self.thresholds = choose_thresholds(self, self._checked, validation)

    def _prepare_data(
        self,
        samples: Dataset | BatchStream,
        validation: Dataset | BatchStream | None,
        class_weight: ClassWeightArgument,
    ) -> tuple[Dataset | BatchStream, Dataset | BatchStream | None]:
        require_validation(self.plan, isinstance(validation, Dataset))
        return super()._prepare_data(samples, validation, class_weight)

    def evaluate(
        self,
        x: DataArgument | Dataset = None,
        y: DataArgument = None,
        batch_size: int | None = None,
        sample_weight: DataArgument = None,
    ) -> dict[str, Any]:
        if not self.thresholds:
            return super().evaluate(x, y, batch_size, sample_weight)
        plan = replace(plan_training(with_thresholds(self._checked, self.thresholds)), source=self.plan.source)
        plan = plan_for_target(plan, self.resolved_provider.name) if self._fast else plan
        trainer = PlanTrainer(plan, self.resolved_provider, weights=self.weights(), fast=self._fast)
        return trainer.evaluate(x, y, batch_size, sample_weight)

    evaluate.__doc__ = f"""{cleandoc(PlanTrainer.evaluate.__doc__ or "")}

Metrics with the default threshold take that of their output in `thresholds`.
"""

    def gradients(
        self, x: DataArgument | Dataset, y: DataArgument = None, sample_weight: DataArgument = None
    ) -> dict[str, np.ndarray]:
        """The gradients of the loss of one batch: float32 arrays in the shapes of the weights, by their names.

        They are those of the step that `step` would do, before clipping. Weights that are not trained or that the loss
        does not depend on have none. No weight and no other state changes. Raises FeedError for data that do not fit.
        """
        return batch_gradients(self._checked, self, dataset_of(self.plan, x, y, sample_weight))

    def model(self) -> Model:
        """The inference model with the current weights; its metadata have the thresholds."""
        return compile_checked(self._checked, self.weights(), thresholds=self.thresholds)

    def __setattr__(self, name: str, value: object) -> None:
        """Raises AttributeError for an unknown attribute, which would have no effect. Subclasses may have more."""
        if type(self) is Trainer and name not in _ATTRIBUTES and not hasattr(Trainer, name):
            public = [known for known in (*_ATTRIBUTES, *dir(Trainer)) if not known.startswith("_")]
            help = suggestion(OTHER_NAMES.get(name, name), public)
            raise AttributeError(f"a Trainer has no attribute {name!r}" + (f": {help}" if help else ""))
        super().__setattr__(name, value)

    def _repr_html_(self) -> str:
        """The table that a notebook shows: the state, and the figures of the last fit."""
        history = self._progress.history.history if self._progress is not None else {}
        return html_table(repr(self), FIGURE_TITLES, figure_rows(history))

    def __repr__(self) -> str:
        training = self.plan.training
        return (
            f"<Trainer of {self._checked.network.name!r}: {training.optimizer.type_name} with learning rate"
            f" {self.learning_rate:.6g}, {self.steps:,} steps done, provider {self.provider}>"
        )


__all__ = ["Trainer"]
