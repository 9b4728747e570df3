"""Commands about what was written."""

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
    help="For people, programs, GitHub annotations, code scanning or test reports.",
)
@SCALE_OPTION
@SET_OPTION
@handles_errors
def validate(specs: tuple[str, ...], format_: str, scale: str | None, changes: tuple[str, ...]) -> None:
    """Show everything that is wrong with specs. Exit status 1 where there is an error, 2 where a file is missing."""
    from ..pipeline.check import STDIN_NAME
    from ..pipeline.check import validate as faults

    found: list[Diagnostic] = []
    missing = False
    for spec in dict.fromkeys(specs):
        try:
            found += faults(Path(spec) if spec != "-" else spec, scale, changes)
        except UsageError as error:
            found.append(replace(error.diagnostic, file=spec))
            missing = True
    files = [STDIN_NAME if spec == "-" else spec for spec in dict.fromkeys(specs)]
    failed = any(diagnostic.severity == "error" for diagnostic in found)
    if format_ == "text" and not found:
        print_result(f"{len(files)} {'file is' if len(files) == 1 else 'files are'} fine")
    else:
        print_diagnostics(found, format_, files)
    sys.exit(EXIT_USAGE_ERROR if missing else EXIT_INVALID_INPUT if failed else 0)


@click.command()
@SPEC_ARGUMENT
@FORMAT_OPTION
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Show what is in blocks N deep, of others the sum.")
@SCALE_OPTION
@SET_OPTION
@handles_errors
def summary(spec: str, format_: str, depth: int | None, scale: str | None, changes: tuple[str, ...]) -> None:
    """Show a row a layer: name, type, output shape, parameters, multiply-adds; and totals."""
    import json

    from ..lowering.cost import cost_table
    from ..pipeline.graphs import inference_graph
    from ..render.tables import summary_json, summary_text

    checked = checked_spec(spec, changes, scale)
    typed = checked.require()
    rows = cost_table(typed, inference_graph(checked))
    if format_ == "json":
        print_result(json.dumps(summary_json(typed.network, rows, depth), indent=2))
    else:
        print_result(summary_text(typed.network, rows, color=sys.stdout.isatty(), depth=depth))


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option("--check", is_flag=True, help="Write nothing: show what would change, with exit status 1 if anything.")
@handles_errors
def fmt(specs: tuple[str, ...], check: bool) -> None:
    """Bring specs to the canonical format, where they stand; - is standard input, to standard output."""
    from ..pipeline.format_file import format_file
    from ..render.text_diff import unified_diff_text

    found: list[Diagnostic] = []
    status = 0
    for spec in dict.fromkeys(specs):
        try:
            made = format_file(spec)
            if check and made.differs:
                print_result(unified_diff_text(made.file, made.before, made.after, color=sys.stdout.isatty()))
                print_status(f"would change {made.file}")
                status = max(status, EXIT_INVALID_INPUT)
            elif spec == "-" and not check:
                print_result(made.after.decode().rstrip("\n"))
            elif made.differs:
                made.save()
                print_status(f"wrote {made.file}")
        except CompileError as error:
            found += error.diagnostics
            status = max(status, EXIT_INVALID_INPUT)
        except UsageError as error:
            found.append(replace(error.diagnostic, file=spec))
            status = EXIT_USAGE_ERROR
    if found:
        print_diagnostics(found, "text")
    sys.exit(status)


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@FORMAT_OPTION
@handles_errors
def diff(old: str, new: str, format_: str) -> None:
    """Show what changed in meaning between two specs, models or RUNs. Exit status 1 where the signature breaks."""
    import json

    from ..pipeline.compare_specs import compare_specs
    from ..render.spec_diff import comparison_json, comparison_text

    found = compare_specs(old, new)
    if format_ == "json":
        print_result(json.dumps(comparison_json(found), indent=2))
    else:
        print_result(comparison_text(found, color=sys.stdout.isatty()))
    sys.exit(EXIT_INVALID_INPUT if found.breaks_signature else 0)
