"""Shared by all commands: options, output streams, and errors as diagnostics and exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

import click

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files.files import open_file
from ..core.invisible_characters import escape_output
from ..core.system.documentation import site_address
from ..core.training_options import TRAINING_OPTIONS
from ..data.samples.data_errors import FeedError
from .options import training_option, value_type

if TYPE_CHECKING:
    from ..pipeline.check.check import CheckedSpec
    from ..render.diagnostics.diagnostics import ShownDiagnostics, SourceExcerpts
    from ..runtime.session.weight_files import WeightsReport

Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_INVALID_INPUT, EXIT_USAGE_ERROR, EXIT_INTERNAL_ERROR, EXIT_INTERRUPTED = 1, 2, 70, 130

SEED_TYPE = value_type(TRAINING_OPTIONS["seed"])
SPEC_ARGUMENT = click.argument("spec", metavar="SPEC")
FORMAT_OPTION = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of the output: text for people, json for programs.",
)
PROVIDER_OPTION = training_option("provider")
PROVIDER_OPTIONS_OPTION = training_option("provider_options")
PARTIAL_OPTION = training_option("partial")
UNVERIFIED_OPTION = training_option("verify")
REPORT_FORMAT_OPTION = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "github", "sarif", "junit", "gitlab"]),
    default="text",
    show_default=True,
    help="Format of the output: for people, programs, GitHub annotations, code scanning, test reports or GitLab's "
    "code quality.",
)
"""For commands whose output are diagnostics."""
ONLY_SPECS_OPTION = click.option(
    "--only-specs",
    is_flag=True,
    help="Skip JSON files that are no specs: those without `layers` and a further key of a spec, such as `inputs`.",
)
SET_OPTION = training_option("changes")
ALL_KEY = "jsonnx.all"
"""The key of the option `--all` in the context of a command that has it."""


def _remember_all(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[ALL_KEY] = value


ALL_OPTION = click.option(
    "--all",
    is_flag=True,
    expose_value=False,
    callback=_remember_all,
    help="Show all errors and warnings; by default the first 20 of a file.",
)
DATA_ROOT_OPTION = training_option("data_roots")
SCALE_OPTION = training_option("scale")


def print_result(text: str) -> None:
    """Prints a result to standard output, with invisible characters escaped."""
    _print_output(escape_output(text, _shows_color(sys.stdout)))


def print_document(text: str) -> None:
    """Prints the text of a file to standard output: for a program as it is, for a terminal as a result."""
    if sys.stdout.isatty():
        print_result(text)
    else:
        _print_output(text)


def _print_output(text: str) -> None:
    """Prints to standard output. A closed pipe, as with `| head`, is not an error."""
    try:
        click.echo(text, color=True)  # `render.terminal` has decided on colors
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise UsageError("unwritable-file", f"cannot write to standard output: {error.strerror or error}") from error


def print_status(text: str) -> None:
    """Prints progress or diagnostics to standard error, with invisible characters escaped. Errors are ignored, since
    they could not be printed."""
    with suppress(OSError):
        click.echo(escape_output(text, _shows_color(sys.stderr)), err=True, color=True)


def _shows_color(stream: TextIO) -> bool:
    from ..render.text.terminal import shows_color

    return shows_color(stream)


def handles_errors(command: Command) -> Command:
    """Decorates a command: prints its exceptions as diagnostics, and exits with the documented status."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            site_address()  # a wrong one is an error of every command, not a link that leads nowhere
            return command(*args, **kwargs)
        except (CompileError, FeedError) as error:
            exit_with_diagnostics(error.diagnostics, kwargs, EXIT_INVALID_INPUT)
        except UsageError as error:
            exit_with_diagnostics([error.diagnostic], kwargs, EXIT_USAGE_ERROR)
        except KeyboardInterrupt:
            print_status("interrupted")
            sys.exit(EXIT_INTERRUPTED)
        except MemoryError:
            diagnostic = Diagnostic("out-of-memory", "this machine has too little memory for the command")
            exit_with_diagnostics([diagnostic], kwargs, EXIT_USAGE_ERROR)
        except OSError as error:
            diagnostic = Diagnostic("system-failure", f"the operating system reports an error: {error}")
            exit_with_diagnostics([diagnostic], kwargs, EXIT_USAGE_ERROR)
        except Exception as error:
            if os.environ.get("JSONNX_DEBUG"):
                raise
            print_status(f"internal error: {type(error).__name__}: {error}")
            print_status("This is a bug in jsonnx; set JSONNX_DEBUG=1 to see a traceback.")
            sys.exit(EXIT_INTERNAL_ERROR)

    return run  # type: ignore[return-value]


def exit_with_diagnostics(diagnostics: Sequence[Diagnostic], options: Mapping[str, Any], status: int) -> NoReturn:
    """Prints diagnostics in the format that the command's options select, and exits."""
    try:
        print_diagnostics(diagnostics, options.get("format_", "text"))
    except UsageError:  # the error may be that standard output cannot be written, or that SARIF has nowhere to link to
        print_diagnostics(diagnostics, "text")
    sys.exit(status)


def print_diagnostics(diagnostics: Sequence[Diagnostic], format_: str, files: Sequence[str] = ()) -> None:
    """Prints diagnostics: text to standard error, formats for programs to standard output."""
    from ..render.diagnostics.diagnostics import ShownDiagnostics, render
    from ..render.text.terminal import shows_color

    context = click.get_current_context(silent=True)
    shows_all = context.meta.get(ALL_KEY) if context is not None else None
    shown = (
        ShownDiagnostics(limit=None) if shows_all else ShownDiagnostics(option=None if shows_all is None else "--all")
    )
    excerpts = _read_excerpts(diagnostics, shown) if format_ == "text" else {}
    color = format_ == "text" and shows_color(sys.stderr)
    (print_status if format_ == "text" else print_result)(
        render(diagnostics, format_, excerpts=excerpts, files=files, color=color, shown=shown)
    )


def _read_excerpts(diagnostics: Sequence[Diagnostic], shown: ShownDiagnostics) -> SourceExcerpts:
    """The lines that diagnostics show. Files without a position in them are not opened."""
    from ..render.diagnostics.diagnostics import by_file, position_of
    from ..render.diagnostics.source_excerpts import read_excerpts

    excerpts = {}
    for file, file_diagnostics in by_file(diagnostics, ()).items():
        positions = [position for item in shown.first(file_diagnostics) if (position := position_of(item)) is not None]
        if file and positions:
            with suppress(UsageError, OSError):
                excerpts[file] = read_excerpts(open_file(file), positions)
    return excerpts


def selected_specs(specs: Sequence[str], only_specs: bool) -> list[str]:
    """The distinct files that a command was given; with `only_specs`, without files that are not specs."""
    files = [*dict.fromkeys(specs)]
    if not only_specs:
        return files
    from ..frontend.text.spec_detection import is_spec_file

    return [spec for spec in files if spec == "-" or is_spec_file(spec)]


def print_warnings(checked: CheckedSpec) -> None:
    """Prints the warnings of a valid spec."""
    if checked.diagnostics:
        print_diagnostics(checked.diagnostics, "text")


def print_provider_choice(provider: str) -> None:
    """For `auto`, prints which provider it takes, and why."""
    if provider != "auto":
        return
    from ..runtime.providers.provider_choice import choice_text
    from ..runtime.providers.providers import resolve_provider

    print_status(choice_text(resolve_provider(provider)))


def print_weights_report(report: WeightsReport) -> None:
    """Prints the notices of a weight file, and a table of loaded and missing weights if not all were loaded."""
    from ..render.networks.tables import weights_text
    from ..render.text.terminal import line_width, shows_color

    if report.notices:
        print_diagnostics(report.notices, "text")
    if not report.complete:
        print_status(weights_text(report, shows_color(sys.stderr), line_width(sys.stderr)))


NEEDS_VALIDATION_CODES = ("unknown-figure", "no-validation-data")


def checked_spec(
    spec: str, changes: Sequence[str] = (), scale: str | None = None, *, has_validation_data: bool = False
) -> CheckedSpec:
    """Returns a checked spec with overrides applied, and prints its warnings. Raises CompileError if it is invalid.

    With validation data that are given apart from the spec, their absence in the spec is not an error.
    """
    from ..pipeline.check.check import check_spec

    checked = check_spec(spec, changes=changes, scale=scale)
    checked.require()
    if has_validation_data:
        warnings = [diagnostic for diagnostic in checked.diagnostics if diagnostic.code not in NEEDS_VALIDATION_CODES]
        checked = checked._replace(diagnostics=warnings)
    print_warnings(checked)
    return checked
