"""The folders of training runs, and `jsonnx train --fold`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.diagnostics import UsageError
from .common import print_result, print_status

if TYPE_CHECKING:
    from ..pipeline.check.check import CheckedSpec
    from ..pipeline.run.run_outcome import Outcome


def default_folder(checked: CheckedSpec, resume: bool, force: bool, quiet: bool) -> Path:
    """The folder of a run for which the user names none. Says which one it is."""
    from ..pipeline.run.run_names import default_run_folder

    folder = default_run_folder(checked, resume, force)
    if not quiet:
        print_status(f"{'resuming the run' if folder.has_run else 'training'} in {folder.path}")
    return folder.path


def train_all_folds(
    checked: CheckedSpec,
    changes: tuple[str, ...],
    output: str | None,
    resume: bool,
    quiet: bool,
    data_roots: tuple[str, ...],
    run_in: Callable[[Path, CheckedSpec, tuple[str, ...]], Outcome],
) -> int:
    """Trains on each fold with `run_in`, and prints and writes their metrics. Returns the exit status."""
    from ..pipeline.predict.out_of_fold import write_out_of_fold
    from ..pipeline.run.trained_model import TrainedModel
    from ..pipeline.train.cross_validation import fold_change, fold_count, fold_folder, spread, with_fold, write_folds
    from ..render.results.runs_table import metrics_text
    from ..render.text.terminal import line_width, shows_color

    count = fold_count(checked)
    if resume and not output:
        raise UsageError("bad-option", "--resume of all folds needs their folder", "name it with -o")
    folder = Path(output) if output else default_folder(checked, False, False, quiet)
    outcomes = []
    for fold in range(count):
        if not quiet:
            print_status(f"fold {fold} of {count}")
        outcome = run_in(fold_folder(folder, fold), with_fold(checked, fold), (*changes, fold_change(fold)))
        if outcome.history.interrupted:
            return outcome.exit_status
        outcomes.append(outcome)
    metrics = [outcome.kept_metrics for outcome in outcomes]
    rows = [(f"fold {fold}", own) for fold, own in enumerate(metrics)]
    print_result(metrics_text([*rows, *spread(metrics)], shows_color(sys.stdout), line_width(sys.stdout)))
    print_result(f"wrote {write_folds(folder, metrics)}")
    runs = [fold_folder(folder, fold) for fold in range(count)]
    roots = (*data_roots, str(checked.folder))
    written = write_out_of_fold(folder, runs, lambda run: TrainedModel.open(run, data_roots=roots))
    print_result(f"wrote {written}") if isinstance(written, Path) else print_status(f"note: {written}")
    return 0
