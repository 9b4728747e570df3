"""Commands that exchange models with Keras: import, export."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.diagnostics import UsageError
from .common import (
    ALL_OPTION,
    PARTIAL_OPTION,
    SEED_TYPE,
    UNVERIFIED_OPTION,
    handles_errors,
    print_diagnostics,
    print_document,
    print_status,
    print_weights_report,
)


@click.command("import")
@click.argument("file", metavar="FILE")
@click.argument("weights_file", metavar="[WEIGHTS]", required=False)
@click.option("-o", "--output", metavar="SPEC.json", help="Spec to write; standard output if omitted.")
@click.option("--weights", metavar="OUT.safetensors", help="Also write the model's weights to this file.")
@click.option("--flat", is_flag=True, help="Write every layer separately, without blocks and repetitions.")
@ALL_OPTION
@handles_errors
def import_(file: str, weights_file: str | None, output: str | None, weights: str | None, flat: bool) -> None:
    """Convert a Keras model to a spec. FILE is a .keras or .h5 file, or the JSON of to_json().

    WEIGHTS is a .weights.h5 file with the weights of a JSON model.
    """
    from ..core.files.files import refuse_overwrite, write_atomically
    from ..interop.safetensors_file import weights_parts
    from ..pipeline.compile.keras_import import import_keras

    model = import_keras(Path(file), weights_file, fold=not flat)
    inputs = [Path(name) for name in (file, weights_file) if name]
    refuse_overwrite(inputs, [Path(name) for name in (output, weights) if name])
    if weights and model.weights is None:
        raise UsageError("keras-no-weights", f"there are no weights in {file!r}", "omit --weights")
    if model.notices:
        print_diagnostics(model.notices, "text")
    if weights and model.weights is not None:
        write_atomically(weights, weights_parts(model.weights))
        print_status(f"wrote {weights}: {len(model.weights)} arrays")
    if output is None:
        print_document(model.text.rstrip("\n"))
        return
    write_atomically(output, model.text.encode())
    print_status(f"wrote {output}, from {model.keras_version}")


@click.command()
@click.argument("source", metavar="SPEC_OR_RUN_OR_MODEL")
@click.option("--keras", is_flag=True, help="Write a Keras 3 model.")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="MODEL.keras, or a folder, which gets model.json and model.weights.h5.",
)
@click.option("--weights", metavar="FILE", help="Use these weights instead of the trained or the initial weights.")
@PARTIAL_OPTION
@UNVERIFIED_OPTION
@click.option("--seed", type=SEED_TYPE, help="Seed of the initial weights; the spec's seed if omitted.")
@ALL_OPTION
@handles_errors
def export(
    source: str, keras: bool, output: str, weights: str | None, partial: bool, unverified: bool, seed: int | None
) -> None:
    """Convert a network and its weights for another framework."""
    from ..core.files.files import refuse_overwrite
    from ..pipeline.compile.initial_weights import possible_weight_files
    from ..pipeline.keras_export import export_keras_model

    if not keras:
        raise UsageError("bad-option", "the target framework is missing", "add --keras, the only supported framework")
    model = export_keras_model(source, weights, seed, partial, not unverified)
    refuse_overwrite([Path(source), *possible_weight_files(weights)], model.files(output))
    if model.weights_report is not None:
        print_weights_report(model.weights_report)
    for path in model.save(output):
        print_status(f"wrote {path}")
