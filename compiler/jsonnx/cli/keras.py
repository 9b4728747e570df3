"""Commands that speak with Keras."""

from __future__ import annotations

from pathlib import Path

import click

from ..diagnostics import UsageError
from .common import complain, reported, say, tell


@click.command("import")
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", metavar="SPEC.json", help="Spec to write; standard output where omitted.")
@click.option("--weights", metavar="OUT.safetensors", help="Where to write the weights of the file.")
@click.option("--flat", is_flag=True, help="Write every layer by itself: no blocks and no repetitions.")
@reported
def import_(file: str, output: str | None, weights: str | None, flat: bool) -> None:
    """Make a spec of a Keras model: the text of to_json(), a .keras or an .h5 file."""
    from ..files import spare, write_atomically
    from ..imports import imported
    from ..interop.weights import weights_bytes

    found = imported(Path(file), fold=not flat)
    spare([Path(file)], [Path(name) for name in (output, weights) if name])
    if weights and found.weights is None:
        raise UsageError("keras-no-weights", f"there are no weights in {file!r}", "leave out --weights")
    if found.notices:
        complain(found.notices, "text")
    if weights and found.weights is not None:
        write_atomically(weights, weights_bytes(found.weights))
        tell(f"wrote {weights}: {len(found.weights)} arrays")
    if output is None:
        say(found.text.rstrip("\n"))
        return
    write_atomically(output, found.text.encode())
    tell(f"wrote {output}, from {found.origin}")
