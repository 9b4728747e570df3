"""The command `import`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ..core.diagnostics import Diagnostic, UsageError
from .common import ALL_OPTION, handles_errors, print_diagnostics, print_document, print_status


@click.command("import")
@click.argument("file", metavar="FILE")
@click.argument("weights_file", metavar="[WEIGHTS]", required=False)
@click.option("-o", "--output", metavar="SPEC.json", help="Spec to write; standard output if omitted.")
@click.option("--weights", metavar="OUT.safetensors", help="Also write the model's weights to this file.")
@click.option("--flat", is_flag=True, help="Write every layer separately, without blocks and repetitions.")
@click.option("--head", metavar="NAME=CLASSES", help="Of an ONNX or Hugging Face model: a new classifier at its end.")
@click.option("--text", metavar="NAME", help="Of a Hugging Face model: take texts, in an input of this name.")
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
    text: str | None,
    loss: str | None,
) -> None:
    """Convert a Keras, ONNX or Hugging Face model to a spec.

    FILE is a .keras, .h5 or .onnx file, the JSON of to_json(), or a folder with config.json and model.safetensors.
    WEIGHTS is a .weights.h5 file with the weights of a JSON model. The spec of an ONNX model has it as one layer.
    """
    from ..core.files.files import refuse_overwrite

    inputs = [Path(name) for name in (file, weights_file) if name]
    refuse_overwrite(inputs, [Path(name) for name in (output, weights) if name])
    if output and weights and os.path.realpath(output) == os.path.realpath(weights):
        raise UsageError("bad-option", f"-o and --weights both name {output!r}", "choose two files")
    is_folder = _is_hugging_face_folder(file)
    if text is not None and not is_folder:
        raise UsageError("bad-option", "--text is for folders of Hugging Face models, whose tokenizer reads it")
    if file.lower().endswith(ONNX_SUFFIX):
        if weights_file is not None or flat:
            raise UsageError("bad-option", "an ONNX model is imported without WEIGHTS and --flat", "leave them out")
        _import_onnx(file, output, weights, head, loss)
    elif loss is not None:
        raise UsageError("bad-option", "--loss is for ONNX models", "leave it out, and change the spec")
    elif is_folder:
        if weights_file is not None or flat:
            raise UsageError("bad-option", "a folder is imported without WEIGHTS and --flat", "leave them out")
        _import_folder(file, output, weights, head, text)
    elif head is not None:
        help = "leave it out, and change the spec's last layer"
        raise UsageError("bad-option", "--head is for ONNX and Hugging Face models", help)
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
    if imported.loss is not None and loss is None:
        print_status(f"the scalar output {imported.loss!r} is trained as the loss")
    _write_spec(imported.text(name), output, "its own spec" if imported.file is None else "an ONNX model")


def _is_hugging_face_folder(name: str) -> bool:
    """Whether a path is a folder that is neither an unpacked `.keras` archive nor a SavedModel."""
    from ..core.files.file_kinds import is_saved_model

    folder = Path(name)
    keras_files = ("metadata.json", "model.weights.h5", "model.weights.json")
    return folder.is_dir() and not is_saved_model(name) and not any((folder / file).exists() for file in keras_files)


def _import_folder(folder: str, output: str | None, weights: str | None, head: str | None, text: str | None) -> None:
    from ..core.files.files import refuse_overwrite, write_atomically
    from ..interop.safetensors_file import weights_parts
    from ..pipeline.compile.hugging_face_import import import_folder

    spec_folder = os.path.dirname(output or "")
    imported = import_folder(folder, None if head is None else _head(head), text, spec_folder)
    refuse_overwrite(imported.files, [Path(name) for name in (output, weights) if name])
    if imported.notices:
        print_diagnostics(imported.notices, "text")
    if weights:
        arrays = imported.weights()
        write_atomically(weights, weights_parts(arrays))
        print_status(f"wrote {weights}: {len(arrays)} arrays")
    name = None if weights is None else os.path.relpath(weights, spec_folder or ".")
    if head is not None and (name is None or name.startswith(os.pardir)):
        message = "the spec trains the head alone, and names no file with the weights of the other layers"
        help = "import with --weights beneath the folder of the spec, or train with --weights FILE --partial"
        print_diagnostics([Diagnostic("frozen-random-weights", message, severity="warning", help=help)], "text")
    _write_spec(imported.text(name), output, f"a Hugging Face model of type {imported.model.model_type}")


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
