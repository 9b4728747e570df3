"""Commands that speak with Keras."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.diagnostics import UsageError
from .common import (
    PARTIAL_OPTION,
    SEED_TYPE,
    handles_errors,
    print_diagnostics,
    print_result,
    print_status,
    print_weights_report,
)


@click.command("import")
@click.argument("file", metavar="FILE")
@click.argument("beside", metavar="[WEIGHTS]", required=False)
@click.option("-o", "--output", metavar="SPEC.json", help="Spec to write; standard output where omitted.")
@click.option("--weights", metavar="OUT.safetensors", help="Where to write the weights of the file.")
@click.option("--flat", is_flag=True, help="Write every layer by itself: no blocks and no repetitions.")
@handles_errors
def import_(file: str, beside: str | None, output: str | None, weights: str | None, flat: bool) -> None:
    """Make a spec of a Keras model: the text of to_json(), a .keras or an .h5 file.

    WEIGHTS is a .weights.h5 file that goes with the text.
    """
    from ..core.files import refuse_overwrite, write_atomically
    from ..interop.safetensors_file import safetensors_bytes
    from ..pipeline.keras_import import import_keras

    found = import_keras(Path(file), beside, fold=not flat)
    refuse_overwrite(
        [Path(name) for name in (file, beside) if name], [Path(name) for name in (output, weights) if name]
    )
    if weights and found.weights is None:
        raise UsageError("keras-no-weights", f"there are no weights in {file!r}", "leave out --weights")
    if found.notices:
        print_diagnostics(found.notices, "text")
    if weights and found.weights is not None:
        write_atomically(weights, safetensors_bytes(found.weights))
        print_status(f"wrote {weights}: {len(found.weights)} arrays")
    if output is None:
        print_result(found.text.rstrip("\n"))
        return
    write_atomically(output, found.text.encode())
    print_status(f"wrote {output}, from {found.keras_version}")


@click.command()
@click.argument("source", metavar="SPEC_OR_RUN_OR_MODEL")
@click.option("--keras", is_flag=True, help="As Keras 3 writes models.")
@click.option(
    "-o", "--output", required=True, metavar="OUT", help="MODEL.keras, or a folder for model.json and model.weights.h5."
)
@click.option("--weights", metavar="FILE", help="Weights in place of those of the run, or of initial ones.")
@PARTIAL_OPTION
@click.option("--seed", type=SEED_TYPE, help="Decides initial weights; the spec's seed where omitted.")
@handles_errors
def export(source: str, keras: bool, output: str, weights: str | None, partial: bool, seed: int | None) -> None:
    """Write a network with its weights for another framework."""
    from ..core.files import refuse_overwrite
    from ..pipeline.keras_export import export_keras_model

    if not keras:
        raise UsageError("bad-option", "which framework is it for?", "Keras is the only one: --keras")
    model = export_keras_model(source, weights, seed, partial)
    refuse_overwrite([Path(name) for name in (source, weights) if name], model.files(output))
    if model.weights_report is not None:
        print_weights_report(model.weights_report)
    for path in model.save(output):
        print_status(f"wrote {path}")
