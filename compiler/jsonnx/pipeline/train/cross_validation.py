"""Cross-validation: runs on the folds of a spec's `split`, and the mean and the spread of their metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, nan
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ...core.diagnostics import UsageError
from ...core.files.files import write_atomically
from ...core.files.run_layout import FOLDS_FILE
from ...core.metric_values import finite, numbers_only
from ..check.check import CheckedSpec, check_source

FOLDS_HELP = 'write "split": {"folds": 5} in `training.data`, or add --set training.data.split.folds=5'

Metrics = Mapping[str, float]


def fold_count(checked: CheckedSpec) -> int:
    """The number of folds of a spec. Raises UsageError if it has none."""
    training = checked.network.training
    split = training.data.split if training and training.data else None
    if split is None or split.folds is None:
        raise UsageError("bad-option", "the spec does not divide its data into folds", FOLDS_HELP)
    return split.folds


def fold_change(fold: int) -> str:
    """The change of a spec, as after `--set`, that makes a fold the one for validation."""
    return f"training.data.split.fold={fold}"


def with_fold(checked: CheckedSpec, fold: int) -> CheckedSpec:
    """The spec with a fold as validation data. Raises UsageError if there is no such fold."""
    count = fold_count(checked)
    if not 0 <= fold < count:
        help = f"folds count from 0: the last one is {count - 1}"
        raise UsageError("bad-option", f"there is no fold {fold} of {count}", help)
    return check_source(checked.source, changes=[fold_change(fold)])


def fold_folder(folder: Path, fold: int) -> Path:
    """The RUN folder of a fold."""
    return folder / f"fold-{fold}"


def spread(metrics: Sequence[Metrics]) -> Iterator[tuple[str, Metrics]]:
    """The mean and the standard deviation of the metrics that all folds have, which are two or more. They are NaN if
    the metric of a fold is NaN or infinite."""
    names = [name for name in metrics[0] if all(name in own for own in metrics)]
    values = {name: [own[name] for own in metrics] for name in names}
    for title, statistic in (("mean", fmean), ("standard deviation", stdev)):
        yield title, {name: statistic(row) if all(map(isfinite, row)) else nan for name, row in values.items()}


def write_folds(folder: Path, metrics: Sequence[Metrics]) -> Path:
    """Writes the metrics of all folds, their mean and their standard deviation. Raises UsageError."""
    rows = [{name: finite(metric) for name, metric in numbers_only(own).items()} for own in metrics]
    path = folder / FOLDS_FILE
    document = {"folds": rows, **spread_json(metrics)}
    write_atomically(path, (json.dumps(document, indent=2) + "\n").encode(), follows_links=False)
    return path


def spread_json(metrics: Sequence[Metrics]) -> dict[str, dict[str, Any]]:
    """The mean and the standard deviation as JSON values."""
    return {
        title.replace(" ", "_"): {name: finite(metric) for name, metric in own.items()}
        for title, own in spread(metrics)
    }
