"""The spec in the metadata of a compiled model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import IO, Any

from ...backend import thresholds_from
from ...core.diagnostics import CompileError, Diagnostic
from ...core.files.files import MissingFile, open_beneath
from ...frontend.json.json_reader import read_text
from ...runtime.session.session import Session
from ..check.check import CheckedSpec, check_spec
from .decision import with_thresholds

NO_SPEC_HELP = "`jsonnx.Session` in Python runs any ONNX model, and `jsonnx inspect` shows its inputs and outputs"

SPEC_KEY = "jsonnx.spec"
"""The key of a spec in the metadata of a model."""


def spec_from_metadata(text: str) -> dict[str, Any]:
    """The document in a model's metadata. Raises CompileError."""
    value = read_text(text).value  # never the path of a file
    return value if isinstance(value, dict) else {}


def require_spec(checked: CheckedSpec | None, model: str) -> CheckedSpec:
    """The spec in a model. Raises CompileError `no-spec` if it has none."""
    if checked is None:
        message = "the model does not contain a spec, as models do that jsonnx compiled"
        raise CompileError([Diagnostic("no-spec", message, file=model, help=NO_SPEC_HELP)])
    return checked


def check_spec_of_model(text: str, folder: Path | None = None) -> CheckedSpec:
    """The spec in a model's metadata, checked. Its tokenizers are read if they lie in a folder. Raises CompileError."""
    # Checked as a value, without positions: they would refer to the metadata, which is not a file of the user.
    return check_spec(
        spec_from_metadata(text),
        open_named=_no_file if folder is None else partial(open_beneath, folder),
        accepts_missing_functions=True,
        accepts_missing_tokenizers=True,
    )


def _no_file(name: str) -> IO[bytes]:
    raise MissingFile("unreadable-file", f"{name!r} is not part of the model")


def checked_spec_of(session: Session, model: str, folder: Path | None = None) -> CheckedSpec | None:
    """The spec in a model, checked; None if it has none. Its tokenizers are read if they lie in `folder`, that of the
    model's file. Raises CompileError if the spec does not belong to the model."""
    if SPEC_KEY not in session.metadata:
        return None
    checked = check_spec_of_model(session.metadata[SPEC_KEY], folder)
    typed = checked.require()
    inputs = typed.network.inference_inputs
    if inputs.keys() != session.inputs.keys() or typed.inference_outputs.keys() != session.outputs.keys():
        raise CompileError([Diagnostic("damaged-file", f"{model!r} contains the spec of another model")])
    return with_thresholds(checked, thresholds_from(session.metadata))
