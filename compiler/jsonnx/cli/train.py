"""The command `train`."""

from __future__ import annotations

import sys
from functools import partial as bind
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
    PARTIAL_OPTION,
    PROVIDER_OPTION,
    PROVIDER_OPTIONS_OPTION,
    SCALE_OPTION,
    SEED_TYPE,
    SET_OPTION,
    SPEC_ARGUMENT,
    THREADS_OPTION,
    TRAINING_DATA_OPTION,
    UNVERIFIED_OPTION,
    VALIDATION_DATA_OPTION,
    checked_spec,
    handles_errors,
    print_diagnostics,
    print_provider_choice,
    print_result,
    print_status,
    print_weights_report,
)
from .folds import ALL_FOLDS, default_folder, fold_of, train_all_folds
from .report import PORT_OPTION, check_port, live_report, write_run_report
from .runs import locked_run

if TYPE_CHECKING:
    from ..pipeline.check.check import CheckedSpec
    from ..pipeline.run.lock_file import LockedRun
    from ..pipeline.run.run_outcome import Outcome
    from ..pipeline.run.training_run import ProviderPlacement, RunOptions


class TrainArguments(NamedTuple):
    """The arguments and options of the command, by the names of its parameters."""

    spec: str
    output: str | None
    resume: bool
    locked: bool
    exact: bool
    on_save_error: str
    weights: str | None
    partial: bool
    unverified: bool
    seed: int | None
    data: str | None
    validation_data: str | None
    data_roots: tuple[str, ...]
    fold: int | None
    force: bool
    threads: int | None
    quiet: bool
    provider: str
    provider_options: tuple[str, ...]
    explain_placement: bool
    strict: bool
    report: bool
    trackers: tuple[str, ...]
    live: bool
    port: int | None
    scale: str | None
    changes: tuple[str, ...]

    def with_lock(self, lock: LockedRun) -> TrainArguments:
        """The arguments with the values that a lock file decides."""
        return self._replace(
            changes=lock.changes,
            scale=lock.scale,
            seed=lock.seed,
            provider=lock.provider,
            provider_options=lock.provider_options,
            threads=lock.threads,
        )

    def run_options(self, lock: LockedRun | None, changes: tuple[str, ...]) -> RunOptions:
        from ..pipeline.run.training_run import RunOptions
        from ..pipeline.train.run_data import DataFiles
        from ..runtime.providers.provider_options import parse_assignments

        return RunOptions(
            provider=self.provider,
            seed=self.seed,
            weights=self.weights,
            partial=self.partial,
            resume=self.resume,
            force=self.force,
            exact=self.exact,
            continue_on_save_error=self.on_save_error == "continue",
            verify=not self.unverified,
            data=DataFiles(self.data, self.validation_data),
            data_roots=self.data_roots,
            scale=self.scale,
            changes=changes,
            provider_options=parse_assignments(self.provider_options),
            strict=self.strict,
            threads=self.threads,
            lock=lock,
            trackers=self.trackers,
        )


@click.command()
@SPEC_ARGUMENT
@click.option(
    "-o",
    "--output",
    metavar="RUN",
    help="Folder to write; if omitted, runs/SPEC, runs/SPEC-2, ..., named after the spec's file.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue from the folder's last checkpoint, without -o from that of the spec's newest unfinished run; start "
    "if there is no run yet.",
)
@click.option(
    "--locked",
    is_flag=True,
    help="Reproduce the run of jsonnx.lock, which lies beside the spec: with its seed, provider and overrides, and bit "
    "for bit.",
)
@click.option("--exact", is_flag=True, help="Resume only if the result is the same bit for bit.")
@click.option(
    "--on-save-error",
    type=click.Choice(["stop", "continue"]),
    default="stop",
    show_default=True,
    help="Whether the run ends if a checkpoint cannot be written, or goes on and tries again.",
)
@click.option(
    "--weights",
    metavar="FILE",
    help="Start from these weights, a file or a RUN folder, instead of the spec's weights or the initial ones.",
)
@PARTIAL_OPTION
@UNVERIFIED_OPTION
@click.option("--seed", type=SEED_TYPE, help="Override the spec's seed.")
@TRAINING_DATA_OPTION
@VALIDATION_DATA_OPTION
@DATA_ROOT_OPTION
@click.option(
    "--fold",
    metavar="N|all",
    callback=fold_of,
    help="Validate on the fold of this index, from 0, of the spec's `split`; or train on all folds one after another, "
    "in RUN/fold-0, RUN/fold-1, ..., and print the mean of their figures.",
)
@click.option("--force", is_flag=True, help="Replace an existing run in the folder.")
@THREADS_OPTION
@click.option("--quiet", is_flag=True, help="Show no progress.")
@PROVIDER_OPTION
@PROVIDER_OPTIONS_OPTION
@click.option(
    "--explain-placement",
    is_flag=True,
    help="Tell first which nodes the provider leaves to the CPU, and what it costs.",
)
@click.option("--strict", is_flag=True, help="Do not train if the provider leaves large nodes to the CPU.")
@click.option("--report", is_flag=True, help="Write report.html to the folder at the end, as `jsonnx report` does.")
@click.option(
    "--tracker",
    "trackers",
    type=click.Choice(["tensorboard", "mlflow", "wandb"]),
    multiple=True,
    help="Send the figures to this tracker, besides those of the spec; may be repeated.",
)
@click.option("--live", is_flag=True, help="Serve a page with the figures on this machine while it trains.")
@PORT_OPTION
@SCALE_OPTION
@SET_OPTION
@ALL_OPTION
@handles_errors
def train(**arguments: Any) -> None:
    """Train a network on the data that its spec names, or on FILE."""
    sys.exit(_train(TrainArguments(**arguments)))


def _train(arguments: TrainArguments) -> int:
    """Trains on one or all folds. Returns the exit status."""
    from ..pipeline.train.cross_validation import fold_change, with_fold

    check_port(arguments.port, arguments.live)
    lock = locked_run(arguments.spec) if arguments.locked else None
    if lock is not None:
        arguments = arguments.with_lock(lock)
    changes, fold, quiet = arguments.changes, arguments.fold, arguments.quiet
    has_validation_data = arguments.validation_data is not None
    checked = checked_spec(arguments.spec, changes, arguments.scale, has_validation_data=has_validation_data)
    if not quiet:
        print_provider_choice(arguments.provider)
    run_in = bind(_train_in, arguments, lock)
    if fold == ALL_FOLDS:
        return train_all_folds(checked, changes, arguments.output, arguments.resume, quiet, run_in)
    if fold is not None:
        checked, changes = with_fold(checked, fold), (*changes, fold_change(fold))
    output = arguments.output
    folder = Path(output) if output else default_folder(checked, arguments.resume, arguments.force, quiet)
    return run_in(folder, checked, changes).exit_status


def _train_in(
    arguments: TrainArguments, lock: LockedRun | None, folder: Path, checked: CheckedSpec, changes: tuple[str, ...]
) -> Outcome:
    """Trains in a RUN folder, and prints the results. `changes` are those of `checked`, for the record of the run."""
    from ..pipeline.run.training_run import train
    from ..render.results.progress import progress_display

    quiet = arguments.quiet

    def tell_placement(placement: ProviderPlacement | None) -> None:
        if arguments.explain_placement:
            _print_placement(arguments.provider, placement)

    with (
        live_report(folder, arguments.port, arguments.live),
        progress_display(0 if quiet else 1) as display,
    ):
        outcome = train(
            checked,
            folder,
            arguments.run_options(lock, changes),
            callbacks=[display],
            warn=lambda diagnostics: print_diagnostics(diagnostics, "text") if diagnostics else None,
            on_weights_resolved=print_weights_report,
            on_resumed=lambda lines: None if quiet else print_status("\n".join(lines)),
            on_placement=tell_placement,
        )
    for line in outcome.summary_lines():
        print_result(line)
    if arguments.report:
        write_run_report(folder, arguments.data_roots)
    return outcome


def _print_placement(provider: str, placement: ProviderPlacement | None) -> None:
    """Prints where the nodes of a training step run."""
    from ..render.results.placement_text import placements_text

    print_status(
        placements_text([placement]) if placement else f"{provider}: onnxruntime does not tell where nodes run"
    )
