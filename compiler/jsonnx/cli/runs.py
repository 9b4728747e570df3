"""Commands about RUN folders: runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .common import handles_errors, print_diagnostics, print_result, print_status


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
    help="Order: run, state, spec, started, duration, epochs, best, a figure of the last epoch or test_FIGURE, a "
    "parameter, or a path in the spec; -COLUMN for the greatest first.",
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
    """List the runs beneath a folder with their states and figures."""
    from ..pipeline.list_runs import list_runs
    from ..pipeline.select_runs import column_value, parse_condition, selected_runs, sorted_runs
    from ..render.runs_table import runs_csv, runs_json, runs_text
    from ..render.terminal import line_width, shows_color

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
