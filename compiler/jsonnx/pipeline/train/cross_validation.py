"""Cross-validation: runs on the folds of a spec's `split`, and the mean and the spread of their figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, nan
from pathlib import Path
from statistics import fmean, stdev

from ...core.diagnostics import UsageError
from ...core.figures import finite, numbers_only
from ...core.files.files import write_atomically
from ..check.check import CheckedSpec, check_source

FOLDS_FILE = "folds.json"
"""The file with the figures of all folds, in the folder that has a RUN folder for each."""
FOLDS_HELP = 'write "split": {"folds": 5} in `training.data`, or add --set training.data.split.folds=5'

Figures = Mapping[str, float]


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


def spread(figures: Sequence[Figures]) -> Iterator[tuple[str, Figures]]:
    """The mean and the standard deviation of the figures that all folds have, which are two or more. They are NaN if
    the figure of a fold is NaN or infinite."""
    names = [name for name in figures[0] if all(name in own for own in figures)]
    values = {name: [own[name] for own in figures] for name in names}
    for title, statistic in (("mean", fmean), ("standard deviation", stdev)):
        yield title, {name: statistic(row) if all(map(isfinite, row)) else nan for name, row in values.items()}


def write_folds(folder: Path, figures: Sequence[Figures]) -> Path:
    """Writes the figures of all folds, their mean and their standard deviation. Raises UsageError."""
    rows = [{name: finite(figure) for name, figure in numbers_only(own).items()} for own in figures]
    summary = {
        title.replace(" ", "_"): {name: finite(figure) for name, figure in own.items()}
        for title, own in spread(figures)
    }
    path = folder / FOLDS_FILE
    write_atomically(path, (json.dumps({"folds": rows, **summary}, indent=2) + "\n").encode())
    return path
