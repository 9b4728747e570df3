"""Reads the model that a session is given, and verifies it."""

from __future__ import annotations

import io
import os
from typing import Any

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.files import error_reason, open_file
from ...core.files.loadable_model import MAX_MODEL_BYTES, LoadableModel
from ...core.files.run_layout import MODEL_FILE
from ...core.system.memory import require_memory
from ...interop.external_weights import weights_folder
from ...interop.model_digests import model_digest_errors
from ...interop.ort_format import is_ort_format
from .model_weight_files import own_weight_files_in

_UNNAMED_MODEL = "the model"
"""The name of a model that is no file; files with its weights lie in the current folder."""


def model_file(path: str | os.PathLike[str]) -> str:
    """The path of a model: the path itself, or the path of the model in a RUN folder."""
    file = os.path.join(path, MODEL_FILE)
    return file if os.path.isfile(file) else os.fspath(path)


def loadable_model(model: Any, verify: bool = True) -> LoadableModel:
    """The model that a `Session` is given. With `verify`, a file must match the digests that it records.

    A file in ORT format has no digests. Raises TypeError for anything else, UsageError for a file that cannot be read,
    CompileError for an invalid model, and for weights that exceed the memory.
    """
    if isinstance(model, LoadableModel):
        return model
    if isinstance(model, bytes | bytearray | memoryview):
        data = bytes(model)
        return _with_weight_files(data, _UNNAMED_MODEL)
    if hasattr(model, "to_loadable") and not isinstance(model, type):
        loadable: LoadableModel = model.to_loadable()
        return loadable
    if hasattr(model, "SerializeToString"):
        _require_model_size(model.ByteSize(), None)
        return LoadableModel(bytes(model.SerializeToString()))
    if not isinstance(model, str | os.PathLike):
        raise TypeError(f"a model is a path, the bytes of a file or a Model, got {type(model).__name__}")
    path = model_file(model)
    data = _read_model(path)
    loadable = _with_weight_files(data, path)
    if verify and not is_ort_format(data) and (errors := model_digest_errors(io.BytesIO(data), path)):
        raise CompileError(errors)
    return loadable


def _with_weight_files(data: bytes, name: str) -> LoadableModel:
    """The bytes of a model, with the folder of the files with weights that they name."""
    files = () if is_ort_format(data) else own_weight_files_in(data, name)
    require_memory("the model", {"weights": sum(os.path.getsize(file) for file in files if os.path.isfile(file))}, name)
    has_weight_files = bool(files) or is_ort_format(data)
    return LoadableModel(data, str(weights_folder(name)) if has_weight_files else None)


def _read_model(path: str) -> bytes:
    with open_file(path) as file:
        try:
            _require_model_size(os.fstat(file.fileno()).st_size, path)
            return file.read()
        except OSError as error:
            raise UsageError("unreadable-file", f"cannot read {path!r}: {error_reason(error)}") from error


def _require_model_size(size: int, name: str | None) -> None:
    """Raises CompileError `too-large` if a model has more bytes than a model can have."""
    if size > MAX_MODEL_BYTES:
        message = f"the model has {size:,} bytes, and an ONNX file holds {MAX_MODEL_BYTES:,}"
        help = "save it with its weights as external data, in a file beside it"
        raise CompileError([Diagnostic("too-large", message, file=name, help=help)])
