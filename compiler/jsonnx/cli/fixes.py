"""The options that apply fixes: `--fix`, `--diff` and `--unsafe-fixes`, of all commands that report diagnostics of
specs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.diagnostics import Diagnostic, UsageError
from .common import (
    EXIT_INVALID_INPUT,
    EXIT_USAGE_ERROR,
    Command,
    print_diagnostics,
    print_document,
    print_result,
    print_status,
)

if TYPE_CHECKING:
    from ..pipeline.edit.fix_file import Checker, FixedFile


@dataclass(frozen=True)
class FixOptions:
    """Which fixes a command applies, and whether it writes the files."""

    applies: bool = False
    shows_diff: bool = False
    unsafe: bool = False

    @property
    def is_active(self) -> bool:
        return self.applies or self.shows_diff


def fix_options(command: Command) -> Command:
    """Adds the options of fixes to a command, which gets them as `fixing`."""

    @click.option("--fix", "applies_fixes", is_flag=True, help="Apply safe fixes to the files, and show what remains.")
    @click.option(
        "--diff",
        "shows_fixes",
        is_flag=True,
        help="Do not write the files, but show what --fix would change, as a unified diff. The exit status is 1 if "
        "there is any.",
    )
    @click.option(
        "--unsafe-fixes", is_flag=True, help="Also apply fixes that may not be what is meant, or that lose comments."
    )
    @wraps(command)
    def run(*args: Any, applies_fixes: bool, shows_fixes: bool, unsafe_fixes: bool, **kwargs: Any) -> Any:
        return command(*args, fixing=FixOptions(applies_fixes, shows_fixes, unsafe_fixes), **kwargs)

    return run  # type: ignore[return-value]


@dataclass
class FixOutcome:
    """The results of `--fix` for the files of a command."""

    fix_count: int = 0
    of_standard_input: list[Diagnostic] = field(default_factory=list)
    """Those that remain in the text from standard input, which cannot be read again."""


def apply_fixes(specs: Sequence[str], fixing: FixOptions, check: Checker, format_: str) -> FixOutcome:
    """Applies the fixes of what `check` reports of files, and writes them. The text from standard input is printed.

    With `--diff`, prints the differences, and exits with status 1 if there are any. A file that cannot be read is left
    to the command, which reads it again.
    """
    from ..pipeline.edit.fix_file import fix_file

    if "-" in specs and format_ != "text":
        message = f"--fix prints the text from standard input to standard output, where --format {format_} writes, too"
        raise UsageError("bad-option", message, "leave out --format")
    outcome, remaining, unreadable, differs = FixOutcome(), list[Diagnostic](), list[Diagnostic](), False
    for spec in specs:
        try:
            fixed = fix_file(spec if spec == "-" else Path(spec), check, unsafe=fixing.unsafe)
        except UsageError as error:
            unreadable.append(replace(error.diagnostic, file=spec))
            continue
        differs |= fixed.differs
        _output(fixed, fixing)
        remaining += fixed.diagnostics
        outcome.fix_count += fixed.fix_count
        outcome.of_standard_input += fixed.diagnostics if spec == "-" else ()
    if fixing.shows_diff:
        if unreadable:
            print_diagnostics(unreadable, "text")
        print_fix_counts(outcome.fix_count, remaining, "would fix")
        sys.exit(EXIT_USAGE_ERROR if unreadable else EXIT_INVALID_INPUT if differs else 0)
    return outcome


def _output(fixed: FixedFile, fixing: FixOptions) -> None:
    from ..render.diagnostics.text_diff import patch_text
    from ..render.text.terminal import shows_color

    if fixing.shows_diff:
        if fixed.differs:
            print_result(patch_text(fixed.file, fixed.before, fixed.after, color=shows_color(sys.stdout)))
    elif fixed.path == "-":
        print_document(fixed.after.decode(errors="replace").removesuffix("\n"))
    else:
        fixed.save()


def print_fix_counts(fix_count: int, remaining: Sequence[Diagnostic], verb: str = "fixed") -> None:
    """Prints how many diagnostics were fixed, how many remain, and how many of these have a fix that is not safe."""
    count = sum(item.severity != "note" for item in remaining)
    unsafe = sum(item.fix is not None and not item.fix.is_safe for item in remaining)
    hint = f" ({unsafe:,} with a fix for --unsafe-fixes)" if unsafe else ""
    print_status(f"{verb} {fix_count:,}, {count:,} remain{hint}")


def print_fixable(diagnostics: Sequence[Diagnostic]) -> None:
    """Prints how many diagnostics `--fix` corrects."""
    safe = sum(item.fix is not None and item.fix.is_safe for item in diagnostics)
    unsafe = sum(item.fix is not None and not item.fix.is_safe for item in diagnostics)
    if safe:
        more = f", {unsafe:,} more with --unsafe-fixes" if unsafe else ""
        print_status(f"{safe:,} can be fixed with --fix{more}")
    elif unsafe:
        print_status(f"{unsafe:,} can be fixed with --fix --unsafe-fixes")
