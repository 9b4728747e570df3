"""What a model file says: its signature, where it came from, and the spec that is in it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..backend import spec_hash
from ..core.diagnostics import CompileError, Diagnostic
from ..core.files import open_file
from ..frontend.formatter import format_source
from ..frontend.json_reader import Source, read_text
from .onnx_reader import OnnxFile, read_onnx
from .protobuf_reader import DecodeError

NO_SPEC_HELP = "only models that jsonnx compiled know their spec"


@dataclass(frozen=True)
class ModelInfo:
    """A model file read, and the spec in its metadata, which may be none, or changed since."""

    file: str
    onnx_file: OnnxFile

    @property
    def has_spec(self) -> bool:
        return "jsonnx.spec" in self.onnx_file.metadata

    @cached_property
    def spec(self) -> Source:
        """The spec. Raises CompileError `no-spec`, `damaged-file`."""
        if not self.has_spec:
            message = f"{self.file!r} does not say what spec it came from"
            raise CompileError([Diagnostic("no-spec", message, help=NO_SPEC_HELP)])
        try:
            found = read_text(self.onnx_file.metadata["jsonnx.spec"])
        except CompileError as error:
            message = f"the spec in its metadata is no JSON: {error.diagnostics[0].message}"
            raise CompileError([Diagnostic("damaged-file", message, file=self.file)]) from error
        if not isinstance(found.value, dict):
            raise CompileError([Diagnostic("damaged-file", "the spec in its metadata is no object", file=self.file)])
        return found

    @property
    def spec_text(self) -> str:
        """The spec in the canonical format. Raises CompileError."""
        return format_source(self.spec)

    @property
    def recorded_hash(self) -> str:
        """What the metadata says that the spec's hash is."""
        return self.onnx_file.metadata.get("jsonnx.spec_sha256", "")

    @cached_property
    def is_unchanged(self) -> bool:
        """Whether the spec is the one that the hash was made of."""
        return self.recorded_hash == spec_hash(self.spec.value)

    @cached_property
    def labels(self) -> dict[str, list[str]]:
        """The names of the classes by output, where the metadata has them."""
        try:
            found = json.loads(self.onnx_file.metadata.get("jsonnx.labels", "{}"))
        except (ValueError, RecursionError):
            return {}
        return {
            name: [str(label) for label in labels] for name, labels in _dict_items(found) if isinstance(labels, list)
        }

    @property
    def parameter_count(self) -> int:
        """Numbers that are weights; where the metadata does not say how many, those that are no integers."""
        told = self.onnx_file.metadata.get("jsonnx.parameters", "")
        if told.isascii() and told.isdigit() and len(told) < 20:
            return int(told)
        return sum(tensor.element_count for tensor in self.onnx_file.initializers if "float" in tensor.dtype)

    def warnings(self) -> list[Diagnostic]:
        """What is doubtful about the file, without being wrong with it."""
        if not self.has_spec or self.is_unchanged:
            return []
        message = "the spec in the model is not the one that its hash was made of: it was changed after compiling"
        return [Diagnostic("changed-spec", message, file=self.file, severity="warning")]


def _dict_items(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def inspect_model(path: str | os.PathLike[str]) -> ModelInfo:
    """Read a model file; no file but this one is opened. Raises UsageError, CompileError."""
    name = os.fspath(path)
    try:
        with open_file(path) as file:
            facts = read_onnx(file)
    except DecodeError as error:
        raise CompileError([Diagnostic("damaged-file", f"cannot be read as a model: {error}", file=name)]) from error
    for location in facts.external_files:
        if Path(location).is_absolute() or ".." in location.replace("\\", "/").split("/") or location[:1] in "/\\":
            message = f"it keeps weights in {location!r}, which is outside of its folder"
            raise CompileError([Diagnostic("unsafe-path", message, file=name)])
    return ModelInfo(name, facts)
