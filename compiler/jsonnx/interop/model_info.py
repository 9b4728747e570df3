"""Information about a compiled model file: signature, origin, and the spec in its metadata."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..backend import spec_hash
from ..core.diagnostics import CompileError, Diagnostic
from ..core.files import open_file
from ..frontend.formatter import format_source
from ..frontend.json_reader import Source, read_text
from .onnx_reader import OnnxFile, read_onnx
from .protobuf_reader import DecodeError

NO_SPEC_HELP = "only models compiled by jsonnx contain their spec"


@dataclass(frozen=True)
class ModelInfo:
    """The contents of a model file. The spec in its metadata may be missing or modified."""

    file: str
    onnx_file: OnnxFile

    @property
    def has_spec(self) -> bool:
        return "jsonnx.spec" in self.onnx_file.metadata

    @cached_property
    def spec(self) -> Source:
        """The spec in the metadata. Raises CompileError `no-spec` or `damaged-file`."""
        if not self.has_spec:
            message = f"{self.file!r} does not contain the spec it was compiled from"
            raise CompileError([Diagnostic("no-spec", message, help=NO_SPEC_HELP)])
        try:
            source = read_text(self.onnx_file.metadata["jsonnx.spec"])
        except CompileError as error:
            message = f"the spec in its metadata is not valid JSON: {error.diagnostics[0].message}"
            raise CompileError([Diagnostic("damaged-file", message, file=self.file)]) from error
        if not isinstance(source.value, dict):
            message = "the spec in its metadata is not an object"
            raise CompileError([Diagnostic("damaged-file", message, file=self.file)])
        return source

    @property
    def spec_text(self) -> str:
        """The spec in the canonical format. Raises CompileError."""
        return format_source(self.spec)

    @property
    def recorded_hash(self) -> str:
        """The hash of the spec that was recorded when the model was compiled."""
        return self.onnx_file.metadata.get("jsonnx.spec_sha256", "")

    @cached_property
    def is_unchanged(self) -> bool:
        """Tells whether the spec matches the recorded hash."""
        return self.recorded_hash == spec_hash(self.spec.value)

    @cached_property
    def labels(self) -> dict[str, list[str]]:
        """The class names of each output, if the metadata has them."""
        try:
            labels = json.loads(self.onnx_file.metadata.get("jsonnx.labels", "{}"))
        except (ValueError, RecursionError):
            return {}
        items = labels.items() if isinstance(labels, dict) else ()
        return {name: [str(label) for label in names] for name, names in items if isinstance(names, list)}

    @property
    def parameter_count(self) -> int:
        """The number of parameters: the recorded one, or else the number of floating-point weights."""
        recorded = self.onnx_file.metadata.get("jsonnx.parameters", "")
        if recorded.isascii() and recorded.isdigit() and len(recorded) < 20:
            return int(recorded)
        return sum(tensor.element_count for tensor in self.onnx_file.initializers if "float" in tensor.dtype)

    def warnings(self) -> list[Diagnostic]:
        """Returns a warning if the spec was modified."""
        if not self.has_spec or self.is_unchanged:
            return []
        message = "the spec in the model does not match its recorded hash: it was modified after compilation"
        return [Diagnostic("changed-spec", message, file=self.file, severity="warning")]


def inspect_model(path: str | os.PathLike[str]) -> ModelInfo:
    """Reads a model file; opens no other file. Raises UsageError, CompileError."""
    name = os.fspath(path)
    try:
        with open_file(path) as file:
            onnx_file = read_onnx(file)
    except DecodeError as error:
        raise CompileError([Diagnostic("damaged-file", f"not a readable model: {error}", file=name)]) from error
    for location in onnx_file.external_files:
        if Path(location).is_absolute() or ".." in location.replace("\\", "/").split("/") or location[:1] in "/\\":
            message = f"its weights are in {location!r}, outside of its folder"
            raise CompileError([Diagnostic("unsafe-path", message, file=name)])
    return ModelInfo(name, onnx_file)
