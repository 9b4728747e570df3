"""The files with weights that an ONNX model names: they lie in its folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files.files import UnsafePath, check_beneath

_LOCATION_KEY = "location"
"""The key of a file's name in a tensor's `external_data`."""


def require_own_weight_files(locations: Iterable[str], name: str) -> None:
    """Raises CompileError `unsafe-path` if a model names a file outside of its folder, or by a symbolic link, or
    none: onnxruntime takes names with `*` for memory. A missing file is left to its reader."""
    for location in locations:
        if "*" in location:
            message = f"its weights are in {location!r}, which is not the name of a file"
            raise CompileError([Diagnostic("unsafe-path", message, file=name)])
        for path in {location, location.replace("\\", "/")}:  # it separates folders on Windows
            try:
                check_beneath(Path(name).parent, path)
            except UnsafePath as error:
                message = f"its weights are in {location!r}, outside of its folder"
                raise CompileError([Diagnostic("unsafe-path", message, file=name)]) from error
            except UsageError:
                continue


def require_own_weight_files_in(data: bytes, name: str) -> None:
    """The same for the bytes of a model, before onnxruntime opens the files, which not every version checks.

    The names are those that protobuf decodes, as in onnxruntime: `onnx_reader` refuses more models, and tells less.
    """
    if _LOCATION_KEY.encode() not in data:
        return
    require_own_weight_files({*_locations(_decoded(data, name))}, name)


def _decoded(data: bytes, name: str) -> Any:
    """The model as a protobuf message. Raises CompileError `bad-model`."""
    import onnx  # takes long, and few models have files with weights

    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf has no type hints
        raise CompileError([Diagnostic("bad-model", f"it cannot be decoded: {error}", file=name)]) from error


def _locations(message: Any) -> Iterator[str]:
    """The names of files in all tensors of a message: in graphs, functions, attributes and sparse tensors."""
    for field, value in message.ListFields():
        if field.name == "external_data":
            yield from (entry.value for entry in value if entry.key == _LOCATION_KEY)
        elif field.message_type is not None:
            for part in (value,) if hasattr(value, "ListFields") else value:
                yield from _locations(part)
