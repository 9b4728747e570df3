"""Compares the network of a trained model with baselines, on the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ...analysis.decision import DEFAULT_THRESHOLD, threshold_outputs
from ...core.diagnostics import CompileError, UsageError
from ...core.reserved_names import target_name
from ...core.signature.thresholds import Threshold
from ...core.system.optional_packages import require_package
from ...data.rows.windows import WindowedDataset
from ...data.samples.dataset import Dataset
from ...html_report.outputs import OutputKind
from ...runtime.training_plan import TrainingPlan
from ...sections.training_section import ThresholdSection
from ..check.check import CheckedSpec
from ..run.trained_model import TrainedModel, target_statistics
from ..train.decision import chosen_threshold, with_thresholds
from ..train.run_data import read_data
from .baseline import Baseline
from .compared_output import ComparedOutput, measure
from .comparison_values import output_values
from .constant_baselines import ConstantBaseline, constant_baselines
from .encoders import EXTRA, PURPOSE
from .feature_matrix import FeatureMatrix
from .fitted_models import MAX_FEATURE_ROWS, MAX_ROWS, MIN_ROWS, fitted_baselines
from .naive_forecasts import ScaledErrors, naive_forecasts
from .output_scale import OutputScale
from .output_scorer import OutputScorer
from .season import season_of
from .target_change import TargetChange
from .training_targets import TrainingTargets, evenly_spaced, samples_for_graphs, target_rows, weighted_samples

NO_TRAINING_DATA_HELP = "evaluate the RUN folder of a spec with `training.data`, where its files are"


@dataclass
class Comparison:
    """The outputs of a model beside baselines."""

    plan: TrainingPlan
    outputs: dict[str, ComparedOutput | str]
    """By name; of an output without baselines, why it has none."""
    sample_count: int

    def add(self, other: Comparison) -> None:
        """Adds the metrics of another fold, on its samples."""
        self.sample_count += other.sample_count
        for name, output in self.outputs.items():
            added = other.outputs[name]
            if isinstance(output, ComparedOutput) and isinstance(added, ComparedOutput):
                output.add_sums(added)

    def values(self) -> list[dict[str, Any]]:
        """For each output, the metrics of the network and of its baselines, as JSON values."""
        return [
            {"output": name, "models": [], "notes": [f"no baseline: {output}"]}
            if isinstance(output, str)
            else output_values(output, self.plan, self.sample_count, len(self.outputs) > 1)
            for name, output in self.outputs.items()
        ]


def compare(model: TrainedModel, samples: Dataset, season: int | None = None) -> Comparison:
    """Fits the baselines on the training data of a model, and measures them and the network on some samples.

    `season` is the number of rows after which series repeat, if it is known. Raises UsageError `no-data` without
    training data, CompileError for errors in them.
    """
    plan, objective = model.plan, model.checked.objective
    has_arrays = model.run_info is not None and bool(model.run_info.get("arrays"))
    data = None
    if not has_arrays:
        data = read_data(replace(plan, source=model.data.source), model.data.files, ("train", "validation"))
    if data is None or objective is None:
        message = "baselines are fitted on the training data, and the spec names none"
        raise UsageError("no-data", message, NO_TRAINING_DATA_HELP)
    own, weighted = samples_for_graphs(data.train, plan), weighted_samples(data.train, plan)
    fitting = _Fitting(model, plan, weighted, own, data.validation, samples, season)
    outputs = {name: fitting.compared(name) for name in objective.losses}
    measure(model.session, plan, [o for o in outputs.values() if isinstance(o, ComparedOutput)], samples)
    return Comparison(plan, outputs, len(samples))


@dataclass(frozen=True)
class _Fitting:
    """Fits the baselines of the outputs of a model."""

    model: TrainedModel
    plan: TrainingPlan
    train: Dataset
    """With the weights of samples and classes."""
    without_class_weights: Dataset
    """The same samples, with their own weights: the most frequent class is so whatever the classes weigh."""
    validation: Dataset | None
    evaluated: Dataset
    season: int | None

    def compared(self, name: str) -> ComparedOutput | str:
        """An output with its baselines, or why it has none."""
        objective, typed = self.model.checked.objective, self.model.checked.require()
        if objective is None:
            raise ValueError("a spec without an objective")
        scale = OutputScale(typed, name, objective.losses[name], DEFAULT_THRESHOLD)
        if reason := self._reason_without(scale):
            return reason
        targets = TrainingTargets.of(scale, self.train, target_rows(self.train, name))
        if not _has_output_shape(targets):
            return f"the loss {scale.loss.type_name} compares the output with targets of another form"
        try:
            scorer = self._scorer(targets, self.model.checked)
        except CompileError as error:
            return error.diagnostics[0].message
        season = season_of(self.train, name, self.season) if isinstance(self.train, WindowedDataset) else None
        notes: list[str] = []
        units = typed.types[name].shape[-1]
        unweighted = TrainingTargets.of(scale, self.without_class_weights, targets.rows)
        baselines: list[Baseline] = [*constant_baselines(unweighted, units if isinstance(units, int) else 0)]
        baselines += naive_forecasts(targets, season) if season is not None else []
        reservation = ""
        try:
            baselines += self._fitted(targets, notes)
        except UsageError as error:
            if error.diagnostic.code != "missing-package":
                raise
            compared = "constants" if season is None else "constants and past values"
            reservation = (
                f"only {compared} were compared ({error.diagnostic.help} adds regression and gradient boosting)"
            )
        own_scorers = self._own_scorers(targets, baselines)
        errors = ScaledErrors.of(targets, season) if season is not None else None
        return ComparedOutput(targets, baselines, scorer, own_scorers, season, errors, notes, reservation)

    def _reason_without(self, scale: OutputScale) -> str | None:
        """Why an output has no baseline, by its loss and its data."""
        if scale.name not in self.model.session.outputs:
            return "the deployed model lacks the output"
        if scale.name not in self.evaluated.targets or scale.name not in self.train.targets:
            return "the data have no targets of it"
        if scale.loss.aligns_steps:
            return f"the loss {scale.loss.type_name} aligns sequences"
        return None

    def _fitted(self, targets: TrainingTargets, notes: list[str]) -> Iterator[Baseline]:
        """The fitted baselines of an output. Adds notes about what they are fed, or why there is none.

        Raises UsageError `missing-package` without scikit-learn.
        """
        if not targets.is_flat:
            notes.append("no regression and no gradient boosting: the output has several positions, each with a target")
            return
        require_package("sklearn", EXTRA, PURPOSE)
        change = self._target_change(targets.scale.name)
        predicted = "" if change is None else f"; they predict {change.text}, as the network does"
        notes.append(f"regression and gradient boosting get {self._matrix.text}{predicted}")
        for baseline in fitted_baselines(targets, self._matrix, change):
            if isinstance(baseline, str):
                notes.append(baseline)
                continue
            if baseline.fitted_rows < len(self.train):
                rows = f"{baseline.fitted_rows:,} of {len(self.train):,} training samples"
                notes.append(f"{baseline.title} is fitted on {rows}")
            yield baseline

    def _target_change(self, name: str) -> TargetChange | None:
        """What fitted baselines predict in place of the target."""
        typed = self.model.checked.require()
        return TargetChange.of(typed, name, target_statistics(typed, self.model.session.metadata).get(name, {}))

    @cached_property
    def _matrix(self) -> FeatureMatrix:
        """The features of fitted baselines, which all outputs share."""
        inputs = [*self.model.session.inputs]
        values = sum(int(np.prod(self.train.sample_shape(name))) for name in inputs)
        count = min(MAX_ROWS, max(MIN_ROWS, MAX_FEATURE_ROWS // max(1, values)))
        return FeatureMatrix.of(self.train.subset(evenly_spaced(len(self.train), count)), inputs)

    def _scorer(self, targets: TrainingTargets, checked: CheckedSpec) -> OutputScorer:
        """What scores an output. Raises CompileError if the model lacks values that the loss depends on."""
        name = targets.scale.name
        is_weighted = name in self.evaluated.weights or name in self.plan.weighted_outputs
        statistics = target_statistics(checked.require(), self.model.session.metadata)
        return OutputScorer.of(checked, name, is_weighted, statistics)

    def _own_scorers(self, targets: TrainingTargets, baselines: Sequence[Baseline]) -> Mapping[str, OutputScorer]:
        """What scores baselines with thresholds of their own, by their titles."""
        checked, name = self.model.checked_without_thresholds, targets.scale.name
        return {
            title: self._scorer(targets, with_thresholds(checked, {name: threshold}))
            for title, threshold in self._thresholds(targets, baselines).items()
        }

    def _thresholds(self, targets: TrainingTargets, baselines: Sequence[Baseline]) -> dict[str, Threshold]:
        """The threshold of each baseline by its title, if the network has one other than the default: chosen on the
        validation data if that of the network is; the default of constants, whose best one for `f1` is below the
        frequency of a rare class, so that they would predict no other."""
        scale, section = targets.scale, self.plan.training.threshold
        scales = threshold_outputs(scale.typed, {scale.name: scale.loss})
        if section is None or scale.name not in scales:
            return {}
        chosen: dict[str, Threshold] = {
            baseline.title: DEFAULT_THRESHOLD for baseline in baselines if isinstance(baseline, ConstantBaseline)
        }
        if self.validation is None or not isinstance(section, ThresholdSection):
            return chosen
        true = self.validation.samples_of(target_name(scale.name), slice(None))
        for baseline in baselines:
            if baseline.title not in chosen:
                scores = baseline.scores(self.validation, (len(true), targets.true.shape[-1]))
                numbers = scale.numbers(targets.kind, scores)
                chosen[baseline.title] = chosen_threshold(numbers, true, scales[scale.name], section)
        return chosen


def _has_output_shape(targets: TrainingTargets) -> bool:
    """Whether targets are classes, or numbers in the output's shape."""
    type, true = targets.scale.typed.types[targets.scale.name], targets.true
    if targets.kind is OutputKind.EXCLUSIVE:
        return true.ndim == type.rank - 1
    if targets.scale.quantiles:
        return true.ndim == type.rank and true.shape[-1] == 1
    return true.ndim == max(type.rank, 2) and (type.rank < 2 or true.shape[-1] == type.shape[-1])
