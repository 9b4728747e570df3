"""The command `import`."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.diagnostics import UsageError
from .common import ALL_OPTION, handles_errors, print_diagnostics, print_document, print_status


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
