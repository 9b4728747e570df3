"""The files with weights that an ONNX model names: they lie in its folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files.files import UnsafePath, check_beneath


def weights_folder(name: str) -> Path:
    """The folder of the files with weights of a model: that of the model's file, behind symbolic links."""
    return Path(os.path.realpath(name)).parent


def require_own_weight_files(locations: Iterable[str], name: str) -> None:
    """Raises CompileError `unsafe-path` if a model names a file outside of its folder, or by a symbolic link, or
    none: onnxruntime takes names with `*` for memory. A missing file is left to its reader."""
    for location in locations:
        if "*" in location:
            message = f"its weights are in {location!r}, which is not the name of a file"
            raise CompileError([Diagnostic("unsafe-path", message, file=name)])
        for path in {location, location.replace("\\", "/")}:  # it separates folders on Windows
            try:
                check_beneath(weights_folder(name), path)
            except UnsafePath as error:
                message = f"its weights are in {location!r}, outside of its folder"
                raise CompileError([Diagnostic("unsafe-path", message, file=name)]) from error
            except UsageError:
                continue
