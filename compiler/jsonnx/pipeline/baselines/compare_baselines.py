"""Compares the network of a trained model with baselines, on the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...core.diagnostics import UsageError
from ...core.metric_values import finite
from ...core.reserved_names import LOSS
from ...data.rows.windows import WindowedDataset
from ...data.samples.dataset import Dataset
from ...html_report.outputs import OutputKind
from ...runtime.training_plan import TrainingPlan
from ...sections.monitor import monitored_metric
from ..run.trained_model import TrainedModel, batch_slices, evaluation_batch_size, target_statistics
from ..train.run_data import RunData, read_data
from .baseline import Baseline
from .bootstrap import MIN_GROUPS, draws_of, group_size, interval
from .constant_baselines import constant_baselines
from .feature_matrix import FeatureMatrix
from .fitted_models import MAX_FEATURE_ROWS, MAX_ROWS, fitted_baselines
from .naive_forecasts import ScaledErrors, naive_forecasts
from .output_scale import OutputScale
from .output_scorer import OutputScorer, ScoreSums
from .season import Season, season_of
from .training_targets import TrainingTargets, evenly_spaced, target_rows, weighted_samples
from .verdict import verdict

MASE = "mase"
NETWORK = "network"
NO_TRAINING_DATA_HELP = "evaluate the RUN folder of a spec with `training.data`, where its files are"


@dataclass
class ComparedOutput:
    """An output, its baselines, and the sums of the metrics of each."""

    scale: OutputScale
    targets: TrainingTargets
    baselines: list[Baseline]
    scorer: OutputScorer
    season: Season | None
    scaled_errors: ScaledErrors | None
    notes: list[str]
    sums: dict[str, ScoreSums] = field(default_factory=dict)

    def add(self, samples: Dataset, feeds: dict[str, np.ndarray], groups: Sequence[np.ndarray]) -> None:
        """Adds the metrics of a batch; `feeds` are its inputs, targets, weights, and outputs of the network."""
        name = self.scale.name
        network = feeds[name]
        self._add_model(NETWORK, samples, feeds, groups)
        for baseline in self.baselines:
            scores = baseline.scores(samples, network.shape)
            numbers = self.scale.numbers(self.targets.kind, scores).astype(network.dtype)
            self._add_model(baseline.title, samples, feeds | {name: numbers}, groups)

    def _add_model(
        self, title: str, samples: Dataset, feeds: dict[str, np.ndarray], groups: Sequence[np.ndarray]
    ) -> None:
        sums = self.sums.setdefault(title, ScoreSums(self.scorer.metrics))
        scored = {name: feeds[name] for name in self.scorer.session.inputs}
        sums.add(self.scorer.statistics(scored), len(samples))
        for group in groups:
            sums.add_group(self.scorer.statistics({name: array[group] for name, array in scored.items()}), len(group))
        if self.scaled_errors is not None and isinstance(samples, WindowedDataset):
            errors = self.scaled_errors.of_samples(samples, feeds[self.scale.name])
            sums.add_errors(MASE, errors, groups)


def baseline_comparison(
    model: TrainedModel, samples: Dataset, season: int | None = None, with_fitted: bool = True
) -> list[dict[str, Any]]:
    """For each output: the metrics of the network and of its baselines on some samples, as JSON values.

    Raises UsageError `no-data` without training data, CompileError for errors in them.
    """
    plan = model.plan
    data = read_data(replace(plan, source=model.data.source), model.data.files, ("train", "validation"))
    if data is None:
        message = "baselines are fitted on the training data, and the spec names none"
        raise UsageError("no-data", message, NO_TRAINING_DATA_HELP)
    outputs = list(_compared_outputs(model, plan, data, samples, season))
    compared = [output for output in outputs if isinstance(output, ComparedOutput)]
    _measure(model, plan, compared, samples)
    prefix = len(outputs) > 1
    return [_shown(o, plan, len(samples), prefix) if isinstance(o, ComparedOutput) else o for o in outputs]


def _compared_outputs(
    model: TrainedModel, plan: TrainingPlan, data: RunData, samples: Dataset, season: int | None
) -> Iterator[ComparedOutput | dict[str, Any]]:
    """Each output with its baselines, or why it has none."""
    objective = model.checked.objective
    if objective is None:
        return
    train = weighted_samples(data.train, plan)
    features = _FeatureMatrix(train, list(model.session.inputs))
    for name, loss in objective.losses.items():
        scale = OutputScale(model.checked.require(), name, loss, 0.5)
        reason = _reason_without(model, scale, samples)
        targets = None if reason else TrainingTargets.of(scale, train, target_rows(train, name))
        if targets is not None and not _has_output_shape(targets):
            reason = f"the loss {loss.type_name} compares the output with targets of another form"
        if reason or targets is None:
            yield {"output": name, "models": [], "notes": [f"no baseline: {reason}"]}
            continue
        own_season = season_of(train, name, season) if isinstance(train, WindowedDataset) else None
        notes: list[str] = []
        units = model.checked.require().types[name].shape[-1]
        baselines: list[Baseline] = [*constant_baselines(targets, units if isinstance(units, int) else 0)]
        if own_season is not None:
            baselines += naive_forecasts(targets, own_season)
        baselines += features.fitted(targets, notes)
        scorer = OutputScorer.of(
            model.checked,
            name,
            name in samples.weights or name in objective.weighted_outputs,
            target_statistics(model.checked.require(), model.session.metadata),
        )
        errors = ScaledErrors.of(targets, own_season) if own_season is not None else None
        yield ComparedOutput(scale, targets, baselines, scorer, own_season, errors, notes)


def _reason_without(model: TrainedModel, scale: OutputScale, samples: Dataset) -> str | None:
    """Why an output has no baseline; None if it has one."""
    if scale.name not in model.session.outputs:
        return "the deployed model lacks the output"
    if scale.name not in samples.targets:
        return "the data have no targets of it"
    if scale.loss.aligns_steps:
        return f"the loss {scale.loss.type_name} aligns sequences"
    return None


def _has_output_shape(targets: TrainingTargets) -> bool:
    """Whether targets are classes, or numbers in the output's shape."""
    type, true = targets.scale.typed.types[targets.scale.name], targets.true
    if targets.kind is OutputKind.EXCLUSIVE:
        return true.ndim == type.rank - 1
    return true.ndim == max(type.rank, 2) and (type.rank < 2 or true.shape[-1] == type.shape[-1])


class _FeatureMatrix:
    """The features of fitted baselines, which all outputs share; learned when the first one needs them."""

    def __init__(self, train: Dataset, inputs: list[str]) -> None:
        self._train, self._inputs = train, inputs
        self._matrix: FeatureMatrix | None = None

    def fitted(self, targets: TrainingTargets, notes: list[str]) -> Iterator[Baseline]:
        """The fitted baselines of an output. Adds notes about what they are fed, or why there is none."""
        if not targets.is_flat:
            notes.append("no fitted baseline: the output has a value for each step, pixel or position")
            return
        try:
            if self._matrix is None:
                values = sum(int(np.prod(self._train.sample_shape(name))) for name in self._inputs)
                count = min(MAX_ROWS, max(100, MAX_FEATURE_ROWS // max(1, values)))
                part = self._train.subset(evenly_spaced(len(self._train), count))
                self._matrix = FeatureMatrix.of(part, self._inputs)
            notes.append(f"regression and trees get {self._matrix.text}")
            for baseline in fitted_baselines(targets, self._matrix):
                if isinstance(baseline, str):
                    notes.append(baseline)
                    continue
                if baseline.fitted_rows < len(self._train):
                    rows = f"{baseline.fitted_rows:,} of {len(self._train):,} training samples"
                    notes.append(f"{baseline.title} is fitted on {rows}")
                yield baseline
        except UsageError as error:
            if error.diagnostic.code != "missing-package":
                raise
            notes.append(f"for regression and gradient boosting beside it: {error.diagnostic.help}")


def _measure(model: TrainedModel, plan: TrainingPlan, outputs: Sequence[ComparedOutput], samples: Dataset) -> None:
    """Adds up the metrics of the network and of all baselines."""
    weighted = plan.weighted_outputs.union(samples.weights)
    samples = samples.for_graphs(plan.data_spec_weighting(weighted))
    size = group_size(len(samples))
    is_series = isinstance(samples, WindowedDataset)
    if isinstance(samples, WindowedDataset):  # windows that overlap are drawn together
        size = max(size, min(samples.windows.horizon, len(samples) // MIN_GROUPS), 1)
    rng = np.random.default_rng(0)
    for rows in batch_slices(len(samples), evaluation_batch_size(plan)):
        part = samples.subset(rows)
        feeds = part.take(slice(None))
        feeds |= model.session.run({name: feeds[name] for name in model.session.inputs})
        order = np.arange(len(part)) if is_series else rng.permutation(len(part))
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        for output in outputs:
            output.add(part, feeds, groups)


def _shown(output: ComparedOutput, plan: TrainingPlan, row_count: int, is_prefixed: bool) -> dict[str, Any]:
    """The comparison of an output as JSON values."""
    name = output.scale.name
    names = [*output.sums[NETWORK].totals]
    shown_names = {own: f"{name}_{own}" if is_prefixed else own for own in names}
    primary = _primary_metric(output, plan, shown_names)
    groups = len(output.sums[NETWORK].groups[LOSS])
    draws = draws_of(groups) if groups >= MIN_GROUPS else None
    resampled = {
        title: None if draws is None else sums.resampled(primary, draws) for title, sums in output.sums.items()
    }
    models: list[dict[str, Any]] = []
    fitted_rows = {baseline.title: baseline.fitted_rows for baseline in output.baselines}
    for title, sums in output.sums.items():
        results = sums.results()
        own, network = resampled[title], resampled[NETWORK]
        entry: dict[str, Any] = {
            "model": title,
            "figures": {shown_names[key]: finite(value) for key, value in results.items()},
            "interval": interval(own),
        }
        if title != NETWORK:
            entry["fitted_samples"] = fitted_rows[title]
            entry["difference"] = _difference(output, primary, title)
            entry["difference_interval"] = None if own is None or network is None else interval(network - own)
        models.append(entry)
    higher = output.scorer.metrics[primary].higher_is_better if primary in output.scorer.metrics else False
    return {
        "output": name,
        "samples": row_count,
        "training_samples": len(output.targets.samples),
        "metric": shown_names[primary],
        "higher_is_better": higher,
        "models": models,
        **({} if output.season is None else {"season": output.season.length}),
        **verdict(models, shown_names[primary], higher),
        "notes": [*([] if output.season is None else [f"season: {output.season.text}"]), *output.notes],
    }


def _difference(output: ComparedOutput, metric: str, title: str) -> float | None:
    """The metric of the network minus that of a baseline."""
    network, other = (output.sums[key].results()[metric] for key in (NETWORK, title))
    return None if isinstance(network, list) or isinstance(other, list) else finite(network - other)


def _primary_metric(output: ComparedOutput, plan: TrainingPlan, shown_names: dict[str, str]) -> str:
    """The metric that decides: the monitored one unless it is a loss, else the first number among the metrics, else the
    loss."""
    scalars = [name for name, metric in output.scorer.metrics.items() if metric.is_scalar]
    monitored = (monitored_metric(plan.training) or "").removeprefix("val_")
    return next((name for name in scalars if shown_names[name] == monitored), scalars[0] if scalars else LOSS)
