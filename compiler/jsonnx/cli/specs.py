"""Commands about specs: validate, summary, fmt, diff."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
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

if TYPE_CHECKING:
    from ..pipeline.lint_spec import LintOptions


class OptionalDataCommand(click.Command):
    """A command whose option `--data` may stand alone, to check the data that the spec names.

    The next argument is its value only if it is a folder or has the suffix of a data file other than .json: in
    `--data spec.json`, the spec is an argument. `--data=FILE` always gives a value.
    """

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        from ..core.data_formats import DATA_ONLY_SUFFIXES

        rewritten: list[str] = []
        rest = list(arguments)
        while rest:
            argument = rest.pop(0)
            if argument == "--":
                rewritten += [argument, *rest]
                break
            if argument == "--data":
                has_value = bool(rest) and (rest[0].lower().endswith(DATA_ONLY_SUFFIXES) or os.path.isdir(rest[0]))
                argument = f"--data={rest.pop(0)}" if has_value else "--spec-data"
            rewritten.append(argument)
        return super().parse_args(context, rewritten)


@click.command(cls=OptionalDataCommand)
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option(
    "--data",
    metavar="[FILE]",
    help="Also read and check the data: the files that the spec names, or FILE in their place; a .json file "
    "needs --data=FILE.",
)
@click.option("--spec-data", is_flag=True, hidden=True)
@DATA_ROOT_OPTION
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "github", "sarif", "junit"]),
    default="text",
    show_default=True,
    help="Format of the output: for people, programs, GitHub annotations, code scanning or test reports.",
)
@click.option("--lint", is_flag=True, help="Also run the rules of `jsonnx lint`; their findings are exit status 1.")
@SCALE_OPTION
@SET_OPTION
@ALL_OPTION
@handles_errors
def validate(
    specs: tuple[str, ...],
    data: str | None,
    spec_data: bool,
    data_roots: tuple[str, ...],
    format_: str,
    lint: bool,
    scale: str | None,
    changes: tuple[str, ...],
) -> None:
    """Check specs and show all errors. The exit status is 1 if there is an error, 2 if a file cannot be read.

    A data file that does not exist is a warning, and an error with --data.
    """
    lint_options = None
    if lint:
        from ..pipeline.lint_spec import LintOptions

        lint_options = LintOptions()
    options = CheckOptions(data, spec_data, data_roots, scale, changes)
    sys.exit(check_and_print(specs, options, format_, lint_options))


class CheckOptions(NamedTuple):
    """The options of `validate` and `lint` that say what is checked."""

    data: str | None
    spec_data: bool
    data_roots: tuple[str, ...]
    scale: str | None
    changes: tuple[str, ...]


def check_and_print(
    specs: Sequence[str], options: CheckOptions, format_: str, lint_options: LintOptions | None = None
) -> int:
    """Checks specs, with rules if there are options for them, prints all diagnostics, and returns the exit status."""
    from ..frontend.json_reader import STDIN_NAME
    from ..pipeline.validate import validate_spec

    data, spec_data, data_roots, scale, changes = options
    if data == "":
        help = "name a file, or give --data alone to check the spec's data"
        raise UsageError("bad-option", "--data= has no value", help)
    diagnostics: list[Diagnostic] = []
    summaries: list[str] = []
    has_usage_error = False
    for spec in dict.fromkeys(specs):
        try:
            path = Path(spec) if spec != "-" else spec
            data_choice = spec_data if data is None else data
            validation = validate_spec(path, scale, changes, data_choice, data_roots, lint_options)
            diagnostics += validation.diagnostics
            has_usage_error |= validation.has_unreadable_data
            if validation.sample_counts:
                from ..render.data_summary import data_summary_text  # imports what a fine spec does not need

                summaries.append(data_summary_text(validation, spec if len(specs) > 1 else None))
        except UsageError as error:
            diagnostics.append(replace(error.diagnostic, file=error.diagnostic.file or spec))
            has_usage_error = True
    diagnostics = [*dict.fromkeys(diagnostics)]  # specs may have the faults of one data file in common
    if format_ == "text" and summaries:
        print_result("\n\n".join(summaries))
    _print_validation(diagnostics, format_, [STDIN_NAME if spec == "-" else spec for spec in dict.fromkeys(specs)])
    fails = any(_fails(diagnostic, lint_options) for diagnostic in diagnostics)
    return EXIT_USAGE_ERROR if has_usage_error else EXIT_INVALID_INPUT if fails else 0


def _fails(diagnostic: Diagnostic, lint_options: LintOptions | None) -> bool:
    """Whether a diagnostic makes the exit status 1: an error does, and a warning that a rule could silence."""
    if diagnostic.severity == "error" or lint_options is None:
        return diagnostic.severity == "error"
    from ..frontend.lint_codes import LINT_CODES

    return not lint_options.exits_zero and diagnostic.severity == "warning" and diagnostic.code in LINT_CODES


def _print_validation(diagnostics: list[Diagnostic], format_: str, files: list[str]) -> None:
    if format_ == "text" and not diagnostics:
        print_result(f"{len(files)} {'file is' if len(files) == 1 else 'files are'} fine")
    else:
        print_diagnostics(diagnostics, format_, files)


@click.command()
@SPEC_ARGUMENT
@FORMAT_OPTION
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Show N levels of blocks; sum up deeper blocks.")
@click.option("--descriptions", is_flag=True, help="Show the descriptions in the spec.")
@SCALE_OPTION
@SET_OPTION
@ALL_OPTION
@handles_errors
def summary(
    spec: str, format_: str, depth: int | None, descriptions: bool, scale: str | None, changes: tuple[str, ...]
) -> None:
    """Show layers, output shapes, parameters and multiply-adds."""
    import json

    from ..lowering.cost import cost_table
    from ..pipeline.graphs import costed_graph
    from ..render.tables import summary_json, summary_text
    from ..render.terminal import line_width, shows_color

    checked = checked_spec(spec, changes, scale)
    typed = checked.require()
    rows = cost_table(typed, costed_graph(checked))
    if format_ == "json":
        print_result(json.dumps(summary_json(typed.network, rows, depth), indent=2))
    else:
        color, width = shows_color(sys.stdout), line_width(sys.stdout)
        print_result(summary_text(typed.network, rows, color, depth, width, descriptions))


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option("--check", is_flag=True, help="Write nothing; show the changes, and exit with status 1 if there are any.")
@ALL_OPTION
@handles_errors
def fmt(specs: tuple[str, ...], check: bool) -> None:
    """Format specs canonically, in place. - reads standard input and writes to standard output."""
    from ..pipeline.format_file import format_file
    from ..render.terminal import shows_color
    from ..render.text_diff import unified_diff_text

    diagnostics: list[Diagnostic] = []
    status = 0
    for spec in dict.fromkeys(specs):
        try:
            formatted = format_file(spec)
            if check and formatted.differs:
                color = shows_color(sys.stdout)
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
@ALL_OPTION
@handles_errors
def diff(old: str, new: str, format_: str) -> None:
    """Compare the networks of two specs, models or RUN folders. The exit status is 1 if programs that run the old model
    must be changed."""
    import json

    from ..pipeline.compare_specs import compare_specs
    from ..render.spec_diff import comparison_json, comparison_text
    from ..render.terminal import shows_color

    comparison = compare_specs(old, new)
    if format_ == "json":
        print_result(json.dumps(comparison_json(comparison), indent=2))
    else:
        print_result(comparison_text(comparison, color=shows_color(sys.stdout)))
    sys.exit(EXIT_INVALID_INPUT if comparison.breaks_signature else 0)
