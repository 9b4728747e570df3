"""Commands about specs: validate, summary, fmt, diff."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from .common import (
    EXIT_INVALID_INPUT,
    EXIT_USAGE_ERROR,
    FORMAT_OPTION,
    SCALE_OPTION,
    SET_OPTION,
    SPEC_ARGUMENT,
    checked_spec,
    handles_errors,
    print_diagnostics,
    print_result,
    print_status,
)


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "github", "sarif", "junit"]),
    default="text",
    show_default=True,
    help="Format of the output: for people, programs, GitHub annotations, code scanning or test reports.",
)
@SCALE_OPTION
@SET_OPTION
@handles_errors
def validate(specs: tuple[str, ...], format_: str, scale: str | None, changes: tuple[str, ...]) -> None:
    """Check specs and show all errors. The exit status is 1 if there is an error, 2 if a file cannot be read."""
    from ..frontend.json_reader import STDIN_NAME
    from ..pipeline.check import validate as validate_spec

    diagnostics: list[Diagnostic] = []
    has_usage_error = False
    for spec in dict.fromkeys(specs):
        try:
            diagnostics += validate_spec(Path(spec) if spec != "-" else spec, scale, changes)
        except UsageError as error:
            diagnostics.append(replace(error.diagnostic, file=spec))
            has_usage_error = True
    files = [STDIN_NAME if spec == "-" else spec for spec in dict.fromkeys(specs)]
    has_error = any(diagnostic.severity == "error" for diagnostic in diagnostics)
    if format_ == "text" and not diagnostics:
        print_result(f"{len(files)} {'file is' if len(files) == 1 else 'files are'} fine")
    else:
        print_diagnostics(diagnostics, format_, files)
    sys.exit(EXIT_USAGE_ERROR if has_usage_error else EXIT_INVALID_INPUT if has_error else 0)


@click.command()
@SPEC_ARGUMENT
@FORMAT_OPTION
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Show N levels of blocks; sum up deeper blocks.")
@click.option("--descriptions", is_flag=True, help="Show the descriptions in the spec.")
@SCALE_OPTION
@SET_OPTION
@handles_errors
def summary(
    spec: str, format_: str, depth: int | None, descriptions: bool, scale: str | None, changes: tuple[str, ...]
) -> None:
    """Show layers, output shapes, parameters and multiply-adds."""
    import json

    from ..lowering.cost import cost_table
    from ..pipeline.graphs import costed_graph
    from ..render.tables import summary_json, summary_text

    checked = checked_spec(spec, changes, scale)
    typed = checked.require()
    rows = cost_table(typed, costed_graph(checked))
    if format_ == "json":
        print_result(json.dumps(summary_json(typed.network, rows, depth), indent=2))
    else:
        print_result(summary_text(typed.network, rows, sys.stdout.isatty(), depth, descriptions))


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option("--check", is_flag=True, help="Write nothing; show the changes, and exit with status 1 if there are any.")
@handles_errors
def fmt(specs: tuple[str, ...], check: bool) -> None:
    """Format specs canonically, in place. - reads standard input and writes to standard output."""
    from ..pipeline.format_file import format_file
    from ..render.text_diff import unified_diff_text

    diagnostics: list[Diagnostic] = []
    status = 0
    for spec in dict.fromkeys(specs):
        try:
            formatted = format_file(spec)
            if check and formatted.differs:
                color = sys.stdout.isatty()
                print_result(unified_diff_text(formatted.file, formatted.before, formatted.after, color=color))
                print_status(f"would change {formatted.file}")
                status = max(status, EXIT_INVALID_INPUT)
            elif spec == "-" and not check:
                print_result(formatted.after.decode().rstrip("\n"))
            elif formatted.differs:
                formatted.save()
                print_status(f"wrote {formatted.file}")
        except CompileError as error:
            diagnostics += error.diagnostics
            status = max(status, EXIT_INVALID_INPUT)
        except UsageError as error:
            diagnostics.append(replace(error.diagnostic, file=spec))
            status = EXIT_USAGE_ERROR
    if diagnostics:
        print_diagnostics(diagnostics, "text")
    sys.exit(status)


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@FORMAT_OPTION
@handles_errors
def diff(old: str, new: str, format_: str) -> None:
    """Compare the networks of two specs, models or RUN folders. The exit status is 1 if programs that run the old model
    must be changed."""
    import json

    from ..pipeline.compare_specs import compare_specs
    from ..render.spec_diff import comparison_json, comparison_text

    comparison = compare_specs(old, new)
    if format_ == "json":
        print_result(json.dumps(comparison_json(comparison), indent=2))
    else:
        print_result(comparison_text(comparison, color=sys.stdout.isatty()))
    sys.exit(EXIT_INVALID_INPUT if comparison.breaks_signature else 0)
