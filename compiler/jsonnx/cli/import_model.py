"""The command `import`."""

from __future__ import annotations

import os
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
@click.option("--head", metavar="NAME=CLASSES", help="Of an ONNX model: replace its last layer by a new classifier.")
@click.option("--loss", metavar="OUTPUT", help="Of an ONNX model: the value that training minimizes, from labels.")
@ALL_OPTION
@handles_errors
def import_(
    file: str,
    weights_file: str | None,
    output: str | None,
    weights: str | None,
    flat: bool,
    head: str | None,
    loss: str | None,
) -> None:
    """Convert a Keras or ONNX model to a spec. FILE is a .keras, .h5 or .onnx file, or the JSON of to_json().

    WEIGHTS is a .weights.h5 file with the weights of a JSON model. The spec of an ONNX model has it as one layer.
    """
    from ..core.files.files import refuse_overwrite

    inputs = [Path(name) for name in (file, weights_file) if name]
    refuse_overwrite(inputs, [Path(name) for name in (output, weights) if name])
    if file.lower().endswith(ONNX_SUFFIX):
        if weights_file is not None or flat:
            raise UsageError("bad-option", "an ONNX model is imported without WEIGHTS and --flat", "leave them out")
        _import_onnx(file, output, weights, head, loss)
    elif head is not None or loss is not None:
        option = "--head" if head is not None else "--loss"
        raise UsageError("bad-option", f"{option} is for ONNX models", "leave it out, and change the spec")
    else:
        _import_keras(file, weights_file, output, weights, flat)


ONNX_SUFFIX = ".onnx"


def _import_keras(file: str, weights_file: str | None, output: str | None, weights: str | None, flat: bool) -> None:
    from ..core.files.files import write_atomically
    from ..interop.safetensors_file import weights_parts
    from ..pipeline.compile.keras_import import import_keras

    model = import_keras(Path(file), weights_file, fold=not flat)
    if weights and model.weights is None:
        raise UsageError("keras-no-weights", f"there are no weights in {file!r}", "omit --weights")
    if model.notices:
        print_diagnostics(model.notices, "text")
    if weights and model.weights is not None:
        write_atomically(weights, weights_parts(model.weights))
        print_status(f"wrote {weights}: {len(model.weights)} arrays")
    _write_spec(model.text, output, model.keras_version)


def _import_onnx(file: str, output: str | None, weights: str | None, head: str | None, loss: str | None) -> None:
    from ..core.files.files import write_atomically
    from ..interop.safetensors_file import weights_parts
    from ..pipeline.compile.onnx_import import import_onnx

    imported = import_onnx(file, None if head is None else _head(head), loss)
    name = os.path.relpath(file, os.path.dirname(output or "") or ".")
    if imported.file is not None and name.startswith(os.pardir):
        help = "write the spec to the folder of the model, or to one above it"
        raise UsageError("bad-option", f"{file!r} does not lie beneath the folder of the spec, which names it", help)
    if imported.notices:
        print_diagnostics(imported.notices, "text")
    arrays = imported.weights() if weights else None
    if weights and arrays is None:
        help = "omit --weights: `--weights` of compile and train takes the weights of its RUN folder"
        raise UsageError("bad-option", f"the weights in {file!r} may be folded into others", help)
    if weights and arrays is not None:
        write_atomically(weights, weights_parts(arrays))
        print_status(f"wrote {weights}: {len(arrays)} arrays")
    _write_spec(imported.text(name), output, "its own spec" if imported.file is None else "an ONNX model")


def _head(text: str) -> dict[str, int]:
    """Name and number of classes of `NAME=CLASSES`. Raises UsageError."""
    name, _, classes = text.partition("=")
    if not name or not (classes.isascii() and classes.isdigit() and len(classes) < 8):
        raise UsageError("bad-option", f"--head {text!r} has no name and number of classes", "write --head kind=5")
    return {name: int(classes)}


def _write_spec(text: str, output: str | None, origin: str) -> None:
    from ..core.files.files import write_atomically

    if output is None:
        print_document(text.rstrip("\n"))
        return
    write_atomically(output, text.encode())
    print_status(f"wrote {output}, from {origin}")
