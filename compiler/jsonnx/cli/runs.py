"""Commands about RUN folders: runs, compare, lock."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ..core.diagnostics import UsageError
from .common import DATA_ROOT_OPTION, FORMAT_OPTION, handles_errors, print_diagnostics, print_result, print_status

if TYPE_CHECKING:
    from ..pipeline.run.lock_file import LockedRun


@click.command()
@click.argument("folder", metavar="[FOLDER]", default="runs")
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="Only runs for which it holds: a column, one of < <= > >= = !=, and a value, such as 'val_accuracy>0.9' or "
    "state=finished. May be repeated.",
)
@click.option(
    "--sort",
    metavar="COLUMN",
    default="run",
    show_default=True,
    help="Order: run, state, spec, started, duration, epochs, best, a metric of the last epoch (with "
    "restore_best_weights of the best one) or test_METRIC, a parameter, or a path in the spec; -COLUMN for the "
    "greatest first.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    show_default=True,
    help="Format of the output: text for people, json and csv for programs.",
)
@handles_errors
def runs(folder: str, conditions: tuple[str, ...], sort: str, format_: str) -> None:
    """List the runs beneath a folder with their states and metrics."""
    from ..pipeline.run.select_runs import column_value, parse_condition, selected_runs, sorted_runs
    from ..pipeline.run_folder.list_runs import list_runs
    from ..render.results.runs_table import runs_csv, runs_json, runs_text
    from ..render.text.terminal import line_width, shows_color

    parsed = [parse_condition(text) for text in conditions]
    all_runs, warnings = list_runs(Path(folder))
    found = sorted_runs(selected_runs(all_runs, parsed), sort)
    if warnings:
        print_diagnostics(warnings, "text")
    if format_ == "json":
        print_result(runs_json(found))
    elif format_ == "csv":
        print_result(runs_csv(found))
    elif found:
        columns = dict.fromkeys([*(condition.column for condition in parsed), sort.removeprefix("-")])
        print_result(runs_text(found, shows_color(sys.stdout), line_width(sys.stdout), [*columns], column_value))
    else:
        print_status(f"there are no runs in {folder}" if not all_runs else "no run fulfils the conditions")


@click.command(short_help="Show runs side by side: metrics, differences, curves.")
@click.argument("folders", metavar="RUN...", nargs=-1, required=True)
@FORMAT_OPTION
@handles_errors
def compare(folders: tuple[str, ...], format_: str) -> None:
    """Show runs side by side: their metrics, what differs from the first run in spec, data, seed and environment,
    curves by epoch, and metrics by class."""
    import json

    from ..pipeline.compare.compare_runs import compare_runs
    from ..pipeline.run_folder.run import Run
    from ..render.results.curves import ASCII_LEVELS, BLOCKS
    from ..render.results.run_comparison import run_comparison_json, run_comparison_text
    from ..render.text.terminal import can_show, line_width, shows_color

    opened = [Run(folder) for folder in dict.fromkeys(folders)]
    differences, warnings = compare_runs(opened)
    if warnings:
        print_diagnostics(warnings, "text")
    if format_ == "json":
        print_result(json.dumps(run_comparison_json(opened, differences), indent=2))
        return
    levels = BLOCKS if can_show(sys.stdout, BLOCKS) else ASCII_LEVELS
    color, width = shows_color(sys.stdout), line_width(sys.stdout)
    print_result(run_comparison_text(opened, differences, color, width, levels))


@click.command()
@click.argument("run", metavar="RUN")
@DATA_ROOT_OPTION
@handles_errors
def lock(run: str, data_roots: tuple[str, ...]) -> None:
    """Write what a finished run depended on to jsonnx.lock, beside its spec, for `jsonnx train --locked`."""
    from ..core.files.files import display_path
    from ..pipeline.run.lock_file import write_lock
    from ..pipeline.run_folder.run import Run

    opened = Run(run)
    path = write_lock(opened, data_roots)
    print_status(f"wrote the run of {opened.spec_file} to {display_path(path)}")


def locked_run(spec: str) -> LockedRun:
    """The run of the lock file beside a spec. Raises UsageError for options that it decides."""
    from ..pipeline.run.lock_file import read_lock

    context = click.get_current_context()
    for name, option in LOCKED_OPTIONS.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError("bad-option", f"--locked and {option} exclude each other", "jsonnx.lock has its value")
    return read_lock(spec)


LOCKED_OPTIONS = {
    "changes": "--set",
    "fold": "--fold",
    "scale": "--scale",
    "seed": "--seed",
    "provider": "--provider",
    "provider_options": "--provider-option",
    "threads": "--threads",
}
"""The options whose values the lock file gives."""
