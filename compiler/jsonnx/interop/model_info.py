"""Information about a compiled model file: signature, origin, and the spec in its metadata."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from ..backend import QUANTIZATION, spec_hash, thresholds_from
from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.files.digests import records_digests
from ..core.files.file_kinds import ONNX, ORT_FORMAT, other_kind_error
from ..core.files.files import open_file
from ..core.signature.thresholds import Threshold
from ..frontend.json.json_reader import Source, read_text
from ..frontend.text.formatter import format_source
from .external_weights import require_own_weight_files, weights_folder
from .model_digests import model_digest_errors
from .onnx_reader import OnnxFile, read_onnx
from .ort_format import is_ort_format, read_ort_format
from .protobuf_reader import DecodeError

NO_SPEC_HELP = "only models compiled by jsonnx contain their spec"


@dataclass(frozen=True)
class ModelInfo:
    """The contents of a model file. The spec in its metadata may be missing or modified."""

    file: str
    onnx_file: OnnxFile
    digest_errors: tuple[Diagnostic, ...] = ()
    """Errors if the file differs from the digests that it records, or if its weights cannot be read to find out."""

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
    def weight_files(self) -> list[Path]:
        """The files with weights that the model names, which need not exist."""
        return [weights_folder(self.file) / location for location in self.onnx_file.external_files]

    @property
    def matches_digest(self) -> bool | None:
        """Whether the contents match the recorded digests; None if that is unknown."""
        codes = {error.code for error in self.digest_errors}
        return None if "unreadable-file" in codes or not records_digests(self.onnx_file.metadata) else not codes

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
        """Whether the spec matches the recorded hash."""
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
    def thresholds(self) -> dict[str, Threshold]:
        """The decision thresholds of outputs, if the metadata has them."""
        return thresholds_from(self.onnx_file.metadata)

    @property
    def quantization(self) -> Any:
        """What the metadata say of the quantization of the model; None if they say nothing, or no JSON."""
        try:
            return json.loads(self.onnx_file.metadata.get(QUANTIZATION, "null"))
        except (ValueError, RecursionError):
            return None

    @property
    def parameter_count(self) -> int:
        """The recorded number of parameters, or else the number of floating-point weights, also in Constants."""
        recorded = self.onnx_file.metadata.get("jsonnx.parameters", "")
        if recorded.isascii() and recorded.isdigit() and len(recorded) < 20:
            return int(recorded)
        tensors = (*self.onnx_file.initializers, *self.onnx_file.constants)
        return sum(tensor.element_count for tensor in tensors if "float" in tensor.dtype)

    def warnings(self) -> list[Diagnostic]:
        """Warnings if the spec or the contents were modified."""
        errors = [replace(error, severity="warning", help=None) for error in self.digest_errors]
        if not self.has_spec or self.is_unchanged:
            return errors
        message = "the spec in the model does not match its recorded hash: it was modified after compilation"
        return [*errors, Diagnostic("changed-spec", message, file=self.file, severity="warning")]


def inspect_model(path: str | os.PathLike[str], verify: bool = True) -> ModelInfo:
    """Reads a model file, and with `verify` compares it with the digests that it records.

    Opens other files that the model names only for that. Raises UsageError, CompileError.
    """
    name = os.fspath(path)
    with open_file(path) as file:
        try:
            if is_ort_format(file.read(8)):
                file.seek(0)
                return ModelInfo(name, read_ort_format(file.read()))
            onnx_file = read_onnx(file)
            require_own_weight_files(onnx_file.external_files, name)
            return ModelInfo(name, onnx_file, _digest_errors(file, name) if verify else ())
        except DecodeError as error:
            damage = CompileError([Diagnostic("damaged-file", f"not a readable model: {error}", file=name)])
            raise other_kind_error(file, name, "an ONNX model", (ONNX, ORT_FORMAT)) or damage from error


def _digest_errors(file: IO[bytes], name: str) -> tuple[Diagnostic, ...]:
    try:
        return tuple(model_digest_errors(file, name))
    except UsageError as error:  # a file with weights is missing, which the signature and the spec do not need
        message = f"{error.diagnostic.message}, so the contents are not compared with their recorded digest"
        return (replace(error.diagnostic, message=message, file=name),)
