"""The command `train`."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial as bind
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.files.user_files import file_names
from ..core.training_options import TrainingOptions
from .common import (
    ALL_OPTION,
    SPEC_ARGUMENT,
    checked_spec,
    handles_errors,
    print_diagnostics,
    print_provider_choice,
    print_result,
    print_status,
    print_weights_report,
)
from .folds import default_folder, train_all_folds
from .options import ALL_FOLDS, distributed_options, options_of, ray_workers, training_options
from .report import check_port, live_report, write_run_report
from .runs import locked_run

if TYPE_CHECKING:
    from ..pipeline.check.check import CheckedSpec
    from ..pipeline.run.lock_file import LockedRun
    from ..pipeline.run.run_outcome import Outcome
    from ..pipeline.run.training_run import ProviderPlacement
    from ..ray.workers import RayWorkers


@click.command()
@SPEC_ARGUMENT
@training_options
@distributed_options
@ALL_OPTION
@handles_errors
def train(
    spec: str,
    distributed: str | None,
    workers: tuple[int, int] | None,
    address: str | None,
    cpus_per_worker: int | None,
    **arguments: Any,
) -> None:
    """Train a network on the data that its spec names, or on FILE."""
    options = options_of(arguments)
    cluster = ray_workers(
        distributed, workers, address, cpus_per_worker, lambda text: None if options.quiet else print_status(text)
    )
    with cluster or nullcontext():
        status = _train(spec, options, cluster)
    sys.exit(status)


def _train(spec: str, options: TrainingOptions, workers: RayWorkers | None) -> int:
    """Trains on one or all folds. Returns the exit status."""
    from ..pipeline.train.cross_validation import fold_change, with_fold

    check_port(options.port, options.live)
    lock = locked_run(spec) if options.locked else None
    if lock is not None:
        options = lock.applied_to(options)
    changes, fold, quiet = options.changes, options.fold, options.quiet
    has_validation_data = options.validation_data is not None
    checked = checked_spec(spec, changes, options.scale, has_validation_data=has_validation_data)
    if not quiet:
        print_provider_choice(options.provider)
    run_in = bind(_train_in, options, lock, workers)
    if fold == ALL_FOLDS:
        roots = (*options.data_roots, *_data_folders(options))
        return train_all_folds(checked, changes, options.output, options.resume, quiet, roots, run_in)
    if fold is not None:
        checked, changes = with_fold(checked, fold), (*changes, fold_change(fold))
    output = options.output
    folder = Path(output) if output else default_folder(checked, options.resume, options.force, quiet)
    return run_in(folder, checked, changes).exit_status


def _train_in(
    options: TrainingOptions,
    lock: LockedRun | None,
    workers: RayWorkers | None,
    folder: Path,
    checked: CheckedSpec,
    changes: tuple[str, ...],
) -> Outcome:
    """Trains in a RUN folder, and prints the results. `changes` are those of `checked`, for the record of the run."""
    from ..pipeline.run import training_run
    from ..render.results.progress import progress_display

    quiet = options.quiet

    def tell_placement(placement: ProviderPlacement | None) -> None:
        if options.explain_placement:
            _print_placement(options.provider, placement)

    with (
        live_report(folder, options.port, options.live),
        progress_display(0 if quiet else 1) as display,
    ):
        outcome = (workers or training_run).train(
            checked,
            folder,
            replace(options, changes=changes),
            lock=lock,
            callbacks=[display],
            warn=lambda diagnostics: print_diagnostics(diagnostics, "text") if diagnostics else None,
            on_weights_resolved=print_weights_report,
            on_resumed=lambda lines: None if quiet else print_status("\n".join(lines)),
            on_placement=tell_placement,
        )
    for line in outcome.summary_lines():
        print_result(line)
    if options.report:
        named = _data_folders(options)
        write_run_report(folder, (*options.data_roots, str(checked.folder), *named))
    return outcome


def _data_folders(options: TrainingOptions) -> list[str]:
    """The folders of the files in place of the spec's."""
    paths = [*file_names(options.data), *file_names(options.validation_data)]
    return [os.path.dirname(path) or "." for path in paths]


def _print_placement(provider: str, placement: ProviderPlacement | None) -> None:
    """Prints where the nodes of a training step run."""
    from ..render.results.placement_text import placements_text

    print_status(
        placements_text([placement]) if placement else f"{provider}: onnxruntime does not tell where nodes run"
    )
