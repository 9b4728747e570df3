"""Commands about what was written."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from .common import (
    FORMAT,
    INPUT_IS_WRONG,
    SCALE,
    SET,
    SPEC,
    USAGE_IS_WRONG,
    checked_spec,
    complain,
    reported,
    say,
    tell,
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
@SCALE
@SET
@reported
def validate(specs: tuple[str, ...], format_: str, scale: str | None, changes: tuple[str, ...]) -> None:
    """Show everything that is wrong with specs. Exit status 1 where there is an error, 2 where a file is missing."""
    from ..pipeline.check import STDIN
    from ..pipeline.check import validate as faults

    found: list[Diagnostic] = []
    missing = False
    for spec in dict.fromkeys(specs):
        try:
            found += faults(Path(spec) if spec != "-" else spec, scale, changes)
        except UsageError as error:
            found.append(replace(error.diagnostic, file=spec))
            missing = True
    files = [STDIN if spec == "-" else spec for spec in dict.fromkeys(specs)]
    failed = any(diagnostic.severity == "error" for diagnostic in found)
    if format_ == "text" and not found:
        say(f"{len(files)} {'file is' if len(files) == 1 else 'files are'} fine")
    else:
        complain(found, format_, files)
    sys.exit(USAGE_IS_WRONG if missing else INPUT_IS_WRONG if failed else 0)


@click.command()
@SPEC
@FORMAT
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Show what is in blocks N deep, of others the sum.")
@SCALE
@SET
@reported
def summary(spec: str, format_: str, depth: int | None, scale: str | None, changes: tuple[str, ...]) -> None:
    """Show a row a layer: name, type, output shape, parameters, multiply-adds; and totals."""
    import json

    from ..lowering.cost import cost_table
    from ..pipeline.graphs import inference_graph
    from ..render.tables import summary_json, summary_text

    checked = checked_spec(spec, changes, scale)
    typed = checked.sound
    rows = cost_table(typed, inference_graph(checked))
    if format_ == "json":
        say(json.dumps(summary_json(typed.network, rows, depth), indent=2))
    else:
        say(summary_text(typed.network, rows, color=sys.stdout.isatty(), depth=depth))


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option("--check", is_flag=True, help="Write nothing: show what would change, with exit status 1 if anything.")
@reported
def fmt(specs: tuple[str, ...], check: bool) -> None:
    """Bring specs to the canonical format, where they stand; - is standard input, to standard output."""
    from ..pipeline.format_file import formatting
    from ..render.text_diff import changes_text

    found: list[Diagnostic] = []
    status = 0
    for spec in dict.fromkeys(specs):
        try:
            made = formatting(spec)
            if check and made.differs:
                say(changes_text(made.file, made.before, made.after, color=sys.stdout.isatty()))
                tell(f"would change {made.file}")
                status = max(status, INPUT_IS_WRONG)
            elif spec == "-" and not check:
                say(made.after.decode().rstrip("\n"))
            elif made.differs:
                made.save()
                tell(f"wrote {made.file}")
        except CompileError as error:
            found += error.diagnostics
            status = max(status, INPUT_IS_WRONG)
        except UsageError as error:
            found.append(replace(error.diagnostic, file=spec))
            status = USAGE_IS_WRONG
    if found:
        complain(found, "text")
    sys.exit(status)


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@FORMAT
@reported
def diff(old: str, new: str, format_: str) -> None:
    """Show what changed in meaning between two specs, models or RUNs. Exit status 1 where the signature breaks."""
    import json

    from ..pipeline.compare_specs import compare
    from ..render.spec_diff import comparison_json, comparison_text

    found = compare(old, new)
    if format_ == "json":
        say(json.dumps(comparison_json(found), indent=2))
    else:
        say(comparison_text(found, color=sys.stdout.isatty()))
    sys.exit(INPUT_IS_WRONG if found.breaks else 0)
