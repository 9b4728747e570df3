"""Commands that speak with Keras."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..diagnostics import UsageError
from .common import complain, reported, say, tell


@click.command("import")
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", metavar="SPEC.json", help="Spec to write; standard output where omitted.")
@click.option("--weights", metavar="OUT.safetensors", help="Where to write the weights of the file.")
@reported
def import_(file: str, output: str | None, weights: str | None) -> None:
    """Make a spec of a Keras model: the text of to_json(), a .keras or an .h5 file."""
    from ..imports import imported
    from ..runtime.files import spare, write_atomically

    found = imported(Path(file))
    spare([Path(file)], [Path(name) for name in (output, weights) if name])
    if weights and found.weights is None:
        raise UsageError("keras-no-weights", f"there are no weights in {file!r}", "leave out --weights")
    if found.notices:
        complain(found.notices, "text")
    text = json.dumps(found.spec, indent=2)
    if output is None:
        say(text)
        return
    write_atomically(output, f"{text}\n".encode())
    tell(f"wrote {output}: {len(found.spec['layers'])} layers, from {found.origin}")
