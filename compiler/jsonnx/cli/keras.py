"""Commands that speak with Keras."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.diagnostics import UsageError
from .common import A_SEED, PARTIAL, complain, reported, say, tell, tell_weights


@click.command("import")
@click.argument("file", metavar="FILE")
@click.argument("beside", metavar="[WEIGHTS]", required=False)
@click.option("-o", "--output", metavar="SPEC.json", help="Spec to write; standard output where omitted.")
@click.option("--weights", metavar="OUT.safetensors", help="Where to write the weights of the file.")
@click.option("--flat", is_flag=True, help="Write every layer by itself: no blocks and no repetitions.")
@reported
def import_(file: str, beside: str | None, output: str | None, weights: str | None, flat: bool) -> None:
    """Make a spec of a Keras model: the text of to_json(), a .keras or an .h5 file.

    WEIGHTS is a .weights.h5 file that goes with the text.
    """
    from ..core.files import spare, write_atomically
    from ..interop.safetensors_file import weights_bytes
    from ..pipeline.keras_import import imported

    found = imported(Path(file), beside, fold=not flat)
    spare([Path(name) for name in (file, beside) if name], [Path(name) for name in (output, weights) if name])
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


@click.command()
@click.argument("source", metavar="SPEC_OR_RUN_OR_MODEL")
@click.option("--keras", is_flag=True, help="As Keras 3 writes models.")
@click.option(
    "-o", "--output", required=True, metavar="OUT", help="MODEL.keras, or a folder for model.json and model.weights.h5."
)
@click.option("--weights", metavar="FILE", help="Weights in place of those of the run, or of initial ones.")
@PARTIAL
@click.option("--seed", type=A_SEED, help="Decides initial weights; the spec's seed where omitted.")
@reported
def export(source: str, keras: bool, output: str, weights: str | None, partial: bool, seed: int | None) -> None:
    """Write a network with its weights for another framework."""
    from ..core.files import spare
    from ..pipeline.keras_export import from_source

    if not keras:
        raise UsageError("bad-option", "which framework is it for?", "Keras is the only one: --keras")
    model = from_source(source, weights, seed, partial)
    spare([Path(name) for name in (source, weights) if name], model.files(output))
    if model.weights_report is not None:
        tell_weights(model.weights_report)
    for path in model.save(output):
        tell(f"wrote {path}")
