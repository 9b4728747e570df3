"""The command `client`, which writes clients of a model."""

from __future__ import annotations

import click

from ..common import UNVERIFIED_OPTION, handles_errors, print_status


@click.command(short_help="Write a typed client of a model, in Python or TypeScript.")
@click.argument("model", metavar="RUN_OR_MODEL")
@click.option("-o", "--output", required=True, metavar="FILE", help="File to write: .py or .ts.")
@UNVERIFIED_OPTION
@handles_errors
def client(model: str, output: str, unverified: bool) -> None:
    """Write a client with the model's names and types, for a server that `jsonnx serve` has started.

    It is one file without dependencies: Python that passes `mypy --strict`, or TypeScript for browsers and Node.
    Categories and classes are types, so that an editor completes them, and a misspelt one is an error.
    """
    from ...pipeline.serving.generate_client import generate_client

    generate_client(model, output, not unverified)
    print_status(f"wrote {output}")
