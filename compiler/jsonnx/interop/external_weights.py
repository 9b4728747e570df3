"""The files with weights that an ONNX model names: they lie in its folder."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files.files import UnsafePath, check_beneath
from .onnx_reader import OnnxFile, read_onnx
from .protobuf_reader import DecodeError

_LOCATION_KEY = b"location"
"""The key of a file's name in a tensor's `external_data`."""


def require_own_weight_files(onnx_file: OnnxFile, name: str) -> None:
    """Raises CompileError `unsafe-path` if a model names a file outside of its folder, or by a symbolic link. A missing
    file is left to its reader."""
    for location in onnx_file.external_files:
        for path in {location, location.replace("\\", "/")}:  # it separates folders on Windows
            try:
                check_beneath(Path(name).parent, path)
            except UnsafePath as error:
                message = f"its weights are in {location!r}, outside of its folder"
                raise CompileError([Diagnostic("unsafe-path", message, file=name)]) from error
            except UsageError:
                continue


def require_own_weight_files_in(data: bytes, name: str) -> None:
    """The same for the bytes of a model, before onnxruntime opens the files, which not every version checks."""
    if _LOCATION_KEY not in data:
        return
    try:
        onnx_file = read_onnx(BytesIO(data))
    except DecodeError:  # left to onnxruntime
        return
    require_own_weight_files(onnx_file, name)
