"""Commands about specs: validate, summary, fmt, diff."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files.user_files import UserFiles
from ..sections.quantization_section import PRECISIONS, Precision
from .budget import MODEL_OPTIONS, budget_options
from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
    EXIT_INVALID_INPUT,
    EXIT_USAGE_ERROR,
    FORMAT_OPTION,
    ONLY_SPECS_OPTION,
    REPORT_FORMAT_OPTION,
    SCALE_OPTION,
    SET_OPTION,
    SPEC_ARGUMENT,
    checked_spec,
    handles_errors,
    print_diagnostics,
    print_document,
    print_result,
    print_status,
    selected_specs,
)
from .fixes import FixOptions, FixOutcome, apply_fixes, fix_options, print_fix_counts, print_fixable
from .options import data_option

if TYPE_CHECKING:
    from ..frontend.json.json_reader import Source
    from ..lowering.precision_cost import PrecisionCost
    from ..pipeline.check.check import CheckedSpec, Spec
    from ..pipeline.validate.lint_spec import LintOptions
    from ..pipeline.validate.validate import Validation, ValidationOptions
    from ..runtime.execution.step_memory import TrainingEstimate


class AssignedSize(click.ParamType):  # type: ignore[type-arg]
    """A name and a number, such as `time=128`."""

    name = "NAME=N"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[str, int]:
        name, _, size = value.partition("=")
        if not name or not size.isdecimal() or not int(size):
            self.fail(f"{value!r} is not a name and a number, such as time=128", param, context)
        return name, int(size)


class OptionalDataCommand(click.Command):
    """A command whose option `--data` may stand alone, to check the data that the spec names.

    The next argument is its value only if it is a folder, has the suffix of a data file other than .json, or is
    NAME=FILE: in `--data spec.json`, the spec is an argument. `--data=FILE` always gives a value.
    """

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        from ..core.files.data_formats import DATA_ONLY_SUFFIXES
        from ..core.files.user_files import parse_user_files

        rewritten: list[str] = []
        rest = list(arguments)
        while rest:
            argument = rest.pop(0)
            if argument == "--":
                rewritten += [argument, *rest]
                break
            if argument == "--data":
                value = rest[0] if rest else ""
                has_value = value.lower().endswith(DATA_ONLY_SUFFIXES) or os.path.isdir(value)
                has_value = has_value or isinstance(parse_user_files([value], "--data"), dict)
                argument = f"--data={rest.pop(0)}" if has_value else "--spec-data"
            rewritten.append(argument)
        return super().parse_args(context, rewritten)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Adds the limits of a spec to the examples."""
        from ..render.reference.limits_page import limits_in_help

        super().format_epilog(context, formatter)
        with formatter.section("Limits (docs/language/limits.md lists all)"):
            formatter.write_dl(limits_in_help())


@click.command(cls=OptionalDataCommand)
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@data_option(
    "Also read and check the data: the files that the spec names, or FILE in their place; a .json file "
    "needs --data=FILE.",
    metavar="[FILE]",
)
@click.option("--spec-data", is_flag=True, hidden=True)
@DATA_ROOT_OPTION
@REPORT_FORMAT_OPTION
@click.option(
    "--compile",
    "compiles",
    is_flag=True,
    help="Also compile each spec with its initial weights, and compare the model with the budget; implied by the "
    "options that limit the model.",
)
@budget_options()
@click.option("--lint", is_flag=True, help="Also run the rules of `jsonnx lint`; findings make the exit status 1.")
@fix_options
@ONLY_SPECS_OPTION
@SCALE_OPTION
@SET_OPTION
@ALL_OPTION
@handles_errors
def validate(
    specs: tuple[str, ...],
    data: UserFiles | None,
    spec_data: bool,
    data_roots: tuple[str, ...],
    format_: str,
    compiles: bool,
    lint: bool,
    only_specs: bool,
    scale: str | None,
    changes: tuple[str, ...],
    limits: Mapping[str, Any],
    fixing: FixOptions,
) -> None:
    """Check specs and show all errors. The exit status is 1 if there is an error, 2 if a file cannot be read.

    A data file that does not exist is a warning, and an error with --data. With --fix, the text from standard input is
    printed after its fixes.
    """
    from ..pipeline.validate.validate import ValidationOptions

    lint_options = None
    if lint:
        from ..pipeline.validate.lint_spec import LintOptions

        lint_options = LintOptions()
    compiles = compiles or not limits.keys().isdisjoint(MODEL_OPTIONS)
    data_choice = spec_data if data is None else data
    options = ValidationOptions(scale, changes, data_choice, data_roots, limits, compiles, lint_options)
    sys.exit(check_and_print(selected_specs(specs, only_specs), options, format_, fixing))


def _validation(spec: Spec | Source, options: ValidationOptions) -> Validation:
    """Checks one spec. Raises UsageError."""
    from ..pipeline.validate.validate import validate_spec

    if options.data == "":
        help = "name a file, or give --data alone to check the spec's data"
        raise UsageError("bad-option", "--data= has no value", help)
    return validate_spec(spec, options)


def _fails(diagnostic: Diagnostic, lint_options: LintOptions | None) -> bool:
    """Whether a diagnostic makes the exit status 1: an error does, and with rules a warning that they silence."""
    if diagnostic.severity == "error" or lint_options is None:
        return diagnostic.severity == "error"
    from ..sections.lint_codes import LINT_CODES

    return not lint_options.exits_zero and diagnostic.severity == "warning" and diagnostic.code in LINT_CODES


def check_and_print(files: Sequence[str], options: ValidationOptions, format_: str, fixing: FixOptions) -> int:
    """Checks specs, applies fixes on request, prints all diagnostics, and returns the exit status."""
    from ..frontend.json.json_reader import STDIN_NAME

    diagnostics: list[Diagnostic] = []
    summaries: list[str] = []
    has_usage_error = False

    def check(source: Source) -> list[Diagnostic]:
        return _validation(source, options).diagnostics

    fixed = apply_fixes(files, fixing, check, format_) if fixing.is_active else FixOutcome()
    diagnostics += fixed.of_standard_input
    for spec in files:
        if spec == "-" and fixing.is_active:
            continue  # it has been read
        try:
            validation = _validation(Path(spec) if spec != "-" else spec, options)
            diagnostics += validation.diagnostics
            has_usage_error |= validation.has_unreadable_data
            if validation.sample_counts:
                from ..render.results.data_summary import data_summary_text  # imports what a fine spec does not need

                summaries.append(data_summary_text(validation, spec if len(files) > 1 else None))
        except UsageError as error:
            diagnostics.append(replace(error.diagnostic, file=error.diagnostic.file or spec))
            has_usage_error = True
    diagnostics = [*dict.fromkeys(diagnostics)]  # specs may have the errors of one data file in common
    if format_ == "text" and summaries:
        print_result("\n\n".join(summaries))
    if diagnostics or not (fixing.is_active and "-" in files):  # then standard output is the text after its fixes
        _print_validation(diagnostics, format_, [STDIN_NAME if spec == "-" else spec for spec in files])
    if fixing.is_active:
        print_fix_counts(fixed.fix_count, diagnostics)
    elif format_ == "text":
        print_fixable(diagnostics)
    fails = any(_fails(diagnostic, options.lint_options) for diagnostic in diagnostics)
    return EXIT_USAGE_ERROR if has_usage_error else EXIT_INVALID_INPUT if fails else 0


def _print_validation(diagnostics: list[Diagnostic], format_: str, files: list[str]) -> None:
    if format_ == "text" and not files:
        print_result("none of the files is a spec")
    elif format_ == "text" and not diagnostics:
        print_result(f"{len(files)} {'file is' if len(files) == 1 else 'files are'} fine")
    else:
        print_diagnostics(diagnostics, format_, files)


@click.command()
@SPEC_ARGUMENT
@FORMAT_OPTION
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Show N levels of blocks; sum up deeper blocks.")
@click.option("--descriptions", is_flag=True, help="Show the descriptions in the spec.")
@click.option("--training", is_flag=True, help="Show the memory that training on the CPU will need.")
@click.option(
    "--batch-size", type=click.IntRange(1), metavar="N", help="Samples in a training step, if not as in the spec."
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    type=AssignedSize(),
    metavar="NAME=N",
    help="A symbolic size of the inputs in a training step. May be repeated.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Show the estimated size, multiply-adds by element type and memory of the model at this precision.",
)
@click.option(
    "--variant", metavar="NAME", help="Show this estimate for a variant of the spec's section `quantization`."
)
@budget_options(model=False)
@SCALE_OPTION
@SET_OPTION
@ALL_OPTION
@handles_errors
def summary(
    spec: str,
    format_: str,
    depth: int | None,
    descriptions: bool,
    training: bool,
    batch_size: int | None,
    sizes: tuple[tuple[str, int], ...],
    precision: Precision | None,
    variant: str | None,
    scale: str | None,
    changes: tuple[str, ...],
    limits: Mapping[str, Any],
) -> None:
    """Show layers, output shapes, parameters, multiply-adds and memory. The exit status is 1 if they exceed the budget
    of the spec or of the options."""
    import json

    from ..lowering.cost import cost_table
    from ..lowering.dropped_layers import dropped_layers
    from ..pipeline.compile.check_budget import check_budget, memory_peak
    from ..pipeline.compile.graphs import costed_graph
    from ..render.networks.tables import summary_json, summary_text
    from ..render.text.terminal import line_width, shows_color

    if not training and (batch_size or sizes):
        raise UsageError("bad-option", "--batch-size and --size are sizes of training steps", "add --training")
    if precision is not None and variant is not None:
        raise UsageError("bad-option", "--variant has a precision of its own", "leave out --precision")
    checked = checked_spec(spec, changes, scale)
    typed = checked.require()
    cost = _precision_cost(checked, precision, variant)
    estimate = _training_estimate(checked, batch_size, dict(sizes)) if training else None
    rows, peak, dropped = cost_table(typed, costed_graph(checked)), memory_peak(checked), dropped_layers(typed)
    if format_ == "json":
        print_result(json.dumps(summary_json(typed.network, rows, depth, peak, dropped, estimate, cost), indent=2))
    else:
        color, width = shows_color(sys.stdout), line_width(sys.stdout)
        print_result(
            summary_text(typed.network, rows, color, depth, width, descriptions, peak, dropped, estimate, cost)
        )
    over_budget = check_budget(checked, limits)
    if over_budget:
        print_diagnostics(over_budget, "text")
        sys.exit(EXIT_INVALID_INPUT)


def _precision_cost(checked: CheckedSpec, precision: Precision | None, variant: str | None) -> PrecisionCost | None:
    if precision is None and variant is None:
        return None
    from ..pipeline.quantize.estimate_precision import estimate_precision

    return estimate_precision(checked, precision, variant)


def _training_estimate(checked: CheckedSpec, batch_size: int | None, sizes: Mapping[str, int]) -> TrainingEstimate:
    from ..pipeline.train.estimate_memory import estimate_training

    return estimate_training(checked, batch_size, sizes)


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option("--check", is_flag=True, help="Write nothing; show the changes, and exit with status 1 if there are any.")
@click.option(
    "--drop-nulls",
    is_flag=True,
    help="Leave out keys whose value is null, as a language model's structured output writes them.",
)
@ONLY_SPECS_OPTION
@ALL_OPTION
@handles_errors
def fmt(specs: tuple[str, ...], check: bool, drop_nulls: bool, only_specs: bool) -> None:
    """Format specs canonically, in place. - reads standard input and writes to standard output."""
    from ..pipeline.edit.format_file import format_file
    from ..render.diagnostics.text_diff import unified_diff_text
    from ..render.text.terminal import shows_color

    diagnostics: list[Diagnostic] = []
    status = 0
    for spec in selected_specs(specs, only_specs):
        try:
            formatted = format_file(spec, drops_nulls=drop_nulls)
            if check and formatted.differs:
                color = shows_color(sys.stdout)
                print_result(unified_diff_text(formatted.file, formatted.before, formatted.after, color=color))
                print_status(f"would change {formatted.file}")
                status = max(status, EXIT_INVALID_INPUT)
            elif spec == "-" and not check:
                print_document(formatted.after.decode().rstrip("\n"))
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
@click.argument("specs", nargs=-1, required=True, metavar="OLD NEW | SPEC... --against git:REF")
@click.option(
    "--against",
    metavar="git:REF[:PATH]",
    help="Compare each SPEC with its file at a Git revision (git:main), or one with a file there (git:main:old.json).",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="Format of the output: for people, programs, or a comment on a pull request.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["signature", "breaking", "any", "never"]),
    default="signature",
    show_default=True,
    help="What gives exit status 1: programs that run an old model break; or its weights no longer load, too; any "
    "difference; nothing. A SPEC with errors always does.",
)
@ONLY_SPECS_OPTION
@ALL_OPTION
@handles_errors
def diff(specs: tuple[str, ...], against: str | None, format_: str, fail_on: str, only_specs: bool) -> None:
    """Compare the networks of two specs, models or RUN folders, or specs with their versions at a Git revision.

    OLD and NEW may also be files at a revision, git:REF:PATH. Nothing is checked out. The exit status is 1 if programs
    that run the old model must be changed.
    """
    import json

    from ..pipeline.compare.compare_revisions import compare_pair, compare_with_revision
    from ..render.networks.revision_diff import revision_json, revision_markdown, revision_text
    from ..render.networks.spec_diff import comparison_json, comparison_text
    from ..render.text.terminal import shows_color

    if against is None and len(specs) != 2:
        message = f"got {len(specs)} {'name' if len(specs) == 1 else 'names'}, and no --against"
        raise UsageError("bad-option", message, "name two versions, or a revision: --against git:main")
    files = selected_specs(specs, only_specs)
    compared = compare_pair(*specs) if against is None else compare_with_revision(files, against)
    errors = [item for change in compared.specs if change.state == "invalid" for item in change.diagnostics]
    pair = compared.specs[0].comparison if against is None else None
    color = shows_color(sys.stdout)
    if format_ == "json":
        print_result(json.dumps(revision_json(compared) if pair is None else comparison_json(pair), indent=2))
    elif format_ == "markdown":
        print_result(revision_markdown(compared))
    else:
        print_result(revision_text(compared, color) if pair is None else comparison_text(pair, color))
    if errors and format_ != "json":
        print_diagnostics(errors, "text")
    failed = EXIT_INVALID_INPUT if compared.fails(fail_on) else 0
    sys.exit(EXIT_USAGE_ERROR if compared.has_missing_specs else failed)
