"""What all commands share: options, where they write, and how errors become an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..runtime.data_errors import FeedError

if TYPE_CHECKING:
    from ..pipeline.check import CheckedSpec
    from ..runtime.weight_files import WeightsReport

Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_INVALID_INPUT, EXIT_USAGE_ERROR, EXIT_INTERNAL_ERROR, EXIT_INTERRUPTED = 1, 2, 70, 130

SEED_TYPE = click.IntRange(0, (1 << 63) - 1)
SPEC_ARGUMENT = click.argument("spec", metavar="SPEC")
FORMAT_OPTION = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or for programs.",
)
PROVIDER_OPTION = click.option(
    "--provider",
    default="cpu",
    show_default=True,
    metavar="NAME",
    help="Where to run: cpu, cuda, webgpu, ... or auto; `jsonnx providers` lists them.",
)
PARTIAL_OPTION = click.option(
    "--partial", is_flag=True, help="Take what fits of the weights and draw the rest from the seed; a table says which."
)
SET_OPTION = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the spec: a parameter or a dotted path, and a JSON value, such as width=128 or training.epochs=3. "
    "May be repeated.",
)


SCALE_OPTION = click.option(
    "--scale", metavar="NAME", help="One of the spec's scales: its values in the place of the parameters'."
)


def print_result(text: str) -> None:
    """A result, on standard output. A reader that has gone, as in `| head`, is not our concern."""
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise UsageError("unwritable-file", f"cannot write to standard output: {error.strerror or error}") from error


def print_status(text: str) -> None:
    """Progress and diagnostics, on standard error. Where that fails there is nobody to tell."""
    with suppress(OSError):
        click.echo(text, err=True)


def handles_errors(command: Command) -> Command:
    """Turns the errors of the pipeline into diagnostics and the promised exit status."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (CompileError, FeedError) as error:
            exit_with_diagnostics(error.diagnostics, kwargs, EXIT_INVALID_INPUT)
        except UsageError as error:
            exit_with_diagnostics([error.diagnostic], kwargs, EXIT_USAGE_ERROR)
        except KeyboardInterrupt:
            print_status("interrupted")
            sys.exit(EXIT_INTERRUPTED)
        except MemoryError:
            exit_with_diagnostics(
                [Diagnostic("out-of-memory", "this machine has too little memory for it")], kwargs, EXIT_USAGE_ERROR
            )
        except OSError as error:
            exit_with_diagnostics(
                [Diagnostic("system-failure", f"the system refuses: {error}")], kwargs, EXIT_USAGE_ERROR
            )
        except Exception as error:
            if os.environ.get("JSONNX_DEBUG"):
                raise
            print_status(
                f"internal error: {type(error).__name__}: {error}\nThis is a bug of jsonnx; JSONNX_DEBUG=1 shows where."
            )
            sys.exit(EXIT_INTERNAL_ERROR)

    return run  # type: ignore[return-value]


def exit_with_diagnostics(diagnostics: Sequence[Diagnostic], options: Mapping[str, Any], status: int) -> NoReturn:
    with suppress(UsageError):  # standard output may be what is at fault
        print_diagnostics(diagnostics, options.get("format_", "text"))
    sys.exit(status)


def print_diagnostics(diagnostics: Sequence[Diagnostic], format_: str, files: Sequence[str] = ()) -> None:
    """Diagnostics to standard error; to standard output in a format for programs, as the one document that is there."""
    from ..render.diagnostics import render

    sources = {d.file: _read_source(d.file) for d in diagnostics if d.file} if format_ == "text" else {}
    color = format_ == "text" and sys.stderr.isatty()
    (print_status if format_ == "text" else print_result)(
        render(diagnostics, format_, sources=sources, files=files, color=color)
    )


def _read_source(file: str) -> str:
    try:
        return Path(file).read_text("utf-8", errors="replace") if Path(file).is_file() else ""
    except OSError:
        return ""


def print_warnings(checked: CheckedSpec) -> None:
    """Shows what is doubtful in a spec that is sound."""
    if checked.diagnostics:
        print_diagnostics(checked.diagnostics, "text")


def print_weights_report(report: WeightsReport) -> None:
    """What is to know of given weights, and what became of them, where that is not all of them."""
    from ..render.tables import weights_text

    if report.notices:
        print_diagnostics(report.notices, "text")
    if not report.complete:
        print_status(weights_text(report))


def checked_spec(spec: str, changes: Sequence[str] = (), scale: str | None = None) -> CheckedSpec:
    """A sound spec at a scale and with changes; warnings are shown. Raises CompileError."""
    from ..pipeline.check import check_spec

    checked = check_spec(spec, changes=changes, scale=scale)
    checked.require()
    print_warnings(checked)
    return checked
