"""Commands about data: data."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..core.diagnostics import UsageError
from .common import (
    ALL_OPTION,
    DATA_ROOT_OPTION,
    EXIT_INVALID_INPUT,
    EXIT_USAGE_ERROR,
    FORMAT_OPTION,
    SCALE_OPTION,
    SET_OPTION,
    SPEC_ARGUMENT,
    handles_errors,
    print_diagnostics,
    print_result,
)


@click.command()
@SPEC_ARGUMENT
@click.option("--data", metavar="FILE", help="Describe FILE in place of the files that the spec names.")
@DATA_ROOT_OPTION
@FORMAT_OPTION
@SCALE_OPTION
@SET_OPTION
@ALL_OPTION
@handles_errors
def data(
    spec: str, data: str | None, data_roots: tuple[str, ...], format_: str, scale: str | None, changes: tuple[str, ...]
) -> None:
    """Show what the data of a spec look like before training: columns, classes, equal samples, leaks, a batch.

    The exit status is 1 if training would refuse the data, 2 if a file cannot be read.
    """
    import json

    from ..pipeline.describe_data import describe_data
    from ..render.data_description import data_description_json, data_description_text
    from ..render.terminal import line_width, shows_color

    if data == "":
        raise UsageError("bad-option", "--data= has no value", "name a file, or omit --data")
    description = describe_data(Path(spec) if spec != "-" else spec, data, changes, scale, data_roots)
    if format_ == "json":
        print_result(json.dumps(data_description_json(description), indent=2))
    else:
        text = data_description_text(description, shows_color(sys.stdout), line_width(sys.stdout))
        if text:
            print_result(text)
        if description.diagnostics:
            print_diagnostics(description.diagnostics, "text")
    has_error = any(item.severity == "error" for item in description.diagnostics)
    sys.exit(EXIT_USAGE_ERROR if description.has_unreadable_data else EXIT_INVALID_INPUT if has_error else 0)
