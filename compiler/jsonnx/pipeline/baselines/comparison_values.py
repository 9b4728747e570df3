"""A comparison with baselines as JSON values, which the text and the report are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.metric_values import finite
from ...core.reserved_names import LOSS
from ...runtime.training_plan import TrainingPlan
from ...sections.monitor import monitored_metric
from ...training.metrics.metrics import AccuracyMetric
from .bootstrap import MIN_GROUPS, draws_of, interval
from .compared_output import NETWORK, ComparedOutput
from .verdict import verdict


def output_values(output: ComparedOutput, plan: TrainingPlan, sample_count: int, has_prefix: bool) -> dict[str, Any]:
    """The metrics of the network and of all baselines, and what follows from them.

    With `has_prefix`, the names of metrics begin with that of the output, as for several outputs.
    """
    prefix = f"{output.name}_" if has_prefix else ""
    metric = _deciding_metric(output, plan, prefix)
    models = _model_values(output, metric, prefix)
    metrics = output.scorer.metrics
    higher_is_better = metrics[metric].higher_is_better if metric in metrics else False
    season = output.season
    return {
        "output": output.name,
        "samples": sample_count,
        "training_samples": len(output.targets.samples),
        "metric": prefix + metric,
        "higher_is_better": higher_is_better,
        "models": models,
        **({} if season is None else {"season": season.length}),
        **verdict(models, prefix + metric, higher_is_better, output.reservation),
        "notes": [*([] if season is None else [f"season: {season.text}"]), *output.notes],
    }


def _model_values(output: ComparedOutput, metric: str, prefix: str) -> list[dict[str, Any]]:
    """The metrics of each model; of a baseline, also the difference of the network's metric to its."""
    network = output.sums[NETWORK]
    resampled = _resampled(output, metric)
    models: list[dict[str, Any]] = []
    for title, sums in output.sums.items():
        results = sums.results()
        values = {prefix + name: finite(value) for name, value in results.items()}
        models.append({"model": title, "figures": values, "interval": interval(resampled[title])})
        if sums is not network:
            own, others = resampled[title], resampled[NETWORK]
            difference = network.results()[metric], results[metric]
            models[-1] |= {
                "difference": finite(float(np.subtract(*difference))),
                "difference_interval": None if own is None or others is None else interval(others - own),
            }
    for entry, baseline in zip(models[1:], output.baselines, strict=True):
        entry["fitted_samples"] = baseline.fitted_rows
    return models


def _resampled(output: ComparedOutput, metric: str) -> dict[str, np.ndarray | None]:
    """A metric of each model for the same draws of groups; None if there are too few."""
    groups = len(output.sums[NETWORK].groups[LOSS])
    draws = draws_of(groups) if groups >= MIN_GROUPS else None
    return {title: None if draws is None else sums.resampled(metric, draws) for title, sums in output.sums.items()}


def _deciding_metric(output: ComparedOutput, plan: TrainingPlan, prefix: str) -> str:
    """The monitored metric unless it is a loss, else the first number among the metrics, else the loss.

    Accuracies come last if classes are weighted, or predicted by a chosen threshold: then the rarer ones matter more.
    """
    scalars = [name for name, metric in output.scorer.metrics.items() if metric.is_scalar]
    if plan.training.class_weight is not None or plan.training.threshold is not None:
        scalars.sort(key=lambda name: isinstance(output.scorer.metrics[name], AccuracyMetric))
    monitored = (monitored_metric(plan.training) or "").removeprefix("val_").removeprefix(prefix)
    return monitored if monitored in scalars else (scalars or [LOSS])[0]
