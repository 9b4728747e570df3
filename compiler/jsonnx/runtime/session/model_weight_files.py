"""The files with weights that a model names, checked before onnxruntime opens them, which not every version does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...core.diagnostics import CompileError, Diagnostic
from ...core.files.files import open_file
from ...interop.external_weights import require_own_weight_files, weights_folder

_LOCATION_KEY = "location"
"""The key of a file's name in a tensor's `external_data`."""


def own_weight_files(model: Path) -> list[Path]:
    """The files with weights that a model's file names, as `own_weight_files_in`."""
    with open_file(model) as file:
        return own_weight_files_in(file.read(), str(model))


def own_weight_files_in(data: bytes, name: str) -> list[Path]:
    """The files with weights that the bytes of a model name, after the check by `require_own_weight_files`.

    The names are those that protobuf decodes, as in onnxruntime: `onnx_reader` refuses more models, and tells less.
    """
    if _LOCATION_KEY.encode() not in data:
        return []
    locations = sorted({*_locations(_decoded(data, name))})
    require_own_weight_files(locations, name)
    return [weights_folder(name) / location for location in locations]


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
