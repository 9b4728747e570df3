"""Evaluates the runs of all folds of a cross-validation, each on its validation data, and all together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.files.run_layout import FOLDS_FILE, RunPaths
from ...core.files.user_files import UserFiles
from ...core.metric_values import MetricValue, finite, numbers_only
from ...runtime.execution.history import MetricSums
from ..run_folder.run_info import no_run_folder
from ..train.cross_validation import fold_folder, spread, spread_json
from ..train.evaluated_part import EvaluatedPart
from .run_warnings import Warn, no_warning
from .trained_model import Evaluation, TrainedModel

OUT_OF_FOLD = "out of fold"
"""The title of the metrics on the validation data of all folds together."""


@dataclass(frozen=True)
class FoldsEvaluation:
    """The metrics of each fold, and those on all predictions out of fold."""

    folds: list[Evaluation]
    pooled: dict[str, MetricValue] | None
    """The metrics on the validation data of all folds together, each sample predicted by the run that was not trained
    on it; None for samples that all runs predict."""
    labels: dict[str, list[Sequence[str]]]
    """The labels along the axes of metrics that are lists, by name."""

    @property
    def estimate(self) -> dict[str, MetricValue]:
        """The metrics for a bound: those out of fold, or else the mean."""
        return self.pooled if self.pooled is not None else dict(next(iter(spread(self._numbers)))[1])

    @property
    def _numbers(self) -> list[dict[str, Any]]:
        return [numbers_only(fold.metrics) for fold in self.folds]

    def rows(self) -> list[tuple[str, dict[str, Any]]]:
        """The metrics of each fold, their mean and standard deviation, and those out of fold, by title."""
        rows: list[tuple[str, dict[str, Any]]] = [
            (f"fold {number}", numbers_only(fold.metrics)) for number, fold in enumerate(self.folds)
        ]
        rows += [(title, dict(metrics)) for title, metrics in spread(self._numbers)]
        return rows if self.pooled is None else [*rows, (OUT_OF_FOLD, numbers_only(self.pooled))]

    def to_json(self) -> dict[str, Any]:
        folds = [
            {"fold": number, "data": fold.evaluated.to_json(), "figures": _finite(fold.metrics)}
            for number, fold in enumerate(self.folds)
        ]
        pooled = {} if self.pooled is None else {"out_of_fold": _finite(self.pooled)}
        return {"folds": folds, **spread_json(self._numbers), **pooled}


def has_folds(folder: Path) -> bool:
    """Whether a folder has the runs of all folds."""
    return (folder / FOLDS_FILE).is_file() and not RunPaths(folder).run_info.exists()


def fold_folders(folder: Path) -> list[Path]:
    """The RUN folders of all folds, in order."""
    folders: list[Path] = []
    while RunPaths(path := fold_folder(folder, len(folders))).run_info.exists():
        folders.append(path)
    return folders


def evaluate_folds(
    folder: Path,
    open_model: Callable[[Path], TrainedModel],
    data: UserFiles | None,
    part: str | None = None,
    warn: Warn = no_warning,
    observe: Callable[[TrainedModel, EvaluatedPart], None] = lambda model, evaluated: None,
) -> FoldsEvaluation:
    """Evaluates the runs of all folds on a file or a part of their data, by default each on its validation data.

    `observe` is called with each model and its samples. Raises UsageError, CompileError.
    """
    part = part if data is not None or part is not None else "validation"
    folds: list[Evaluation] = []
    sums: list[MetricSums] = []
    paths = fold_folders(folder)
    if len(paths) < 2:
        raise no_run_folder(folder)
    for path in paths:  # one model is open at a time
        model = open_model(path)
        evaluated, own = model.metric_sums(data, warn, part)
        folds.append(Evaluation(model.known_metrics(own, warn), evaluated))
        sums.append(own)
        observe(model, evaluated)
    is_out_of_fold = part == "validation" and all(fold.evaluated.is_divided for fold in folds)
    pooled = model.known_metrics(_pooled(sums)) if is_out_of_fold else None
    return FoldsEvaluation(folds, pooled, model.figure_labels())


def _pooled(sums: Sequence[MetricSums]) -> MetricSums:
    """The sums over the samples of all folds."""
    first, *others = sums
    for own in others:
        first.add_sums(own)
    return first


def _finite(metrics: dict[str, MetricValue]) -> dict[str, Any]:
    return {name: finite(metric) for name, metric in metrics.items()}
