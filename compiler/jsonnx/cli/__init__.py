"""The command line: parses arguments, calls the pipeline, renders. No logic."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from . import info, keras, models, specs


class CommandGroup(click.Group):
    """The commands, on streams that take whatever is written to them."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        ensure_standard_streams()
        return super().main(*arguments, **options)


def ensure_standard_streams() -> None:
    """Standard streams that exist, and that escape what their encoding lacks.

    Where one was closed, the next file opened would get its number, and what is printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            opened = open(os.devnull, mode)  # noqa: SIM115 (open to the end)
            setattr(sys, name, opened)
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def show_version(context: click.Context, option: click.Parameter, is_set: bool) -> None:
    if is_set:
        from ..backend import package_version

        click.echo(f"jsonnx, version {package_version()}")
        context.exit()


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Write a neural network as a JSON file, get a trained ONNX model."""


for command in (
    specs.validate,
    specs.summary,
    specs.fmt,
    specs.diff,
    models.compile,
    models.train,
    models.evaluate,
    models.predict,
    models.inspect,
    keras.import_,
    keras.export,
    info.schema,
    info.layers,
    info.explain,
    info.providers,
):
    main.add_command(command)
