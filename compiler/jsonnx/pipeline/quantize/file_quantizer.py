"""Quantizes the file of a model without the weights of its spec, such as one of another program, by onnxruntime's
tools."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

import onnx

from ...backend import QUANTIZATION, ModelWriter, needs_metadata, to_loadable, write_model, writer_of_proto
from ...backend.metadata import NEEDS
from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.digests import DIGEST_KEYS
from ...core.files.loadable_model import MAX_MODEL_BYTES, LoadableModel
from ...ir.cost import MICROSOFT_DOMAIN
from ...runtime.quantization.integer_weights import MIN_OPSETS, with_integer_weights, with_opset
from ...runtime.quantization.onnxruntime_tools import (
    CalibrationCaches,
    StaticOptions,
    converted_to_float16,
    preprocessed,
    quantizable_nodes,
    quantize_dynamic,
    quantize_static,
    with_constant_weights,
    with_node_names,
)
from ...sections.quantization_section import STATIC_PRECISION, QuantizationVariant
from .calibration_samples import CalibrationSamples
from .network_quantizer import NO_CALIBRATION_HELP
from .quantizer import INTEGER_OPS, quantization_metadata


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model that is written as it is."""

    writer: ModelWriter
    labels: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """The number of bytes of the file."""
        return self.writer.size_bytes

    def to_bytes(self) -> bytes:
        """The bytes of the file."""
        return self.writer.to_bytes()

    def to_loadable(self) -> LoadableModel:
        """The model as onnxruntime loads it."""
        return to_loadable(self.writer)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file and its labels. Raises UsageError."""
        write_model(self.writer, path, self.labels)


class FileQuantizer:
    """Quantizes a model file. `records_digests`: whether its variants record digests of their contents."""

    def __init__(
        self,
        proto: onnx.ModelProto,
        calibration: CalibrationSamples | None,
        caches: CalibrationCaches,
        records_digests: bool,
        labels: bytes | None = None,
    ) -> None:
        self._original, self._calibration, self._caches = proto, calibration, caches
        self._records_digests, self._labels = records_digests, labels
        self._metadata = {
            entry.key: entry.value for entry in proto.metadata_props if entry.key not in (NEEDS, *DIGEST_KEYS)
        }

    @property
    def float_model(self) -> ModelFile:
        """The file itself."""
        return ModelFile(writer_of_proto(self._original, self._metadata), self._labels)

    @cached_property
    def _proto(self) -> onnx.ModelProto:
        """The model in the form that the tools quantize; one of jsonnx has it already."""
        return with_node_names(self._original if self._records_digests else preprocessed(self._original))

    def layers(self, variant: QuantizationVariant) -> list[str]:
        """The names of nodes that the variant quantizes."""
        in_float = self._float_nodes(variant)
        return [name for name in quantizable_nodes(self._proto) if name not in in_float]

    def quantized(self, variant: QuantizationVariant) -> ModelFile:
        """The model as a variant. Raises CompileError `not-quantizable`, UsageError `no-data`."""
        proto = self._converted(variant)
        proto.producer_name, proto.producer_version = self._original.producer_name, self._original.producer_version
        ops = sorted({node.op_type for node in proto.graph.node if node.domain == MICROSOFT_DOMAIN})
        needs = needs_metadata(ops) if self._records_digests else {}
        writer = writer_of_proto(proto, {**self._metadata, **needs, **quantization_metadata(variant)})
        return ModelFile(writer.with_digests() if self._records_digests else writer, self._labels)

    def _converted(self, variant: QuantizationVariant) -> onnx.ModelProto:
        excluded = self._float_nodes(variant)
        if variant.precision == "int8-dynamic":
            return quantize_dynamic(self._proto, variant.per_channel, excluded)
        if variant.precision == "float16":
            return converted_to_float16(self._proto, excluded)
        if variant.precision != STATIC_PRECISION:
            return with_integer_weights(self._proto, 4 if variant.precision == "int4-weights" else 8, excluded)
        if self._calibration is None:
            message = "int8 needs samples to measure the ranges of activations, and there are none"
            raise UsageError("no-data", message, NO_CALIBRATION_HELP)
        method, percentile = variant.calibration.method, variant.calibration.percentile
        options = StaticOptions(variant.activations, variant.per_channel, method, percentile, excluded)
        proto = with_opset(self._proto, MIN_OPSETS[8])
        return quantize_static(proto, self._calibration.batches(), options, self._caches.file(method, percentile))

    def _float_nodes(self, variant: QuantizationVariant) -> list[str]:
        """The nodes that stay in floating point: those that the variant names, and those of layers that it names."""
        names = {name for name, section in variant.layers.items() if section is None}
        return [
            node.name
            for node in self._proto.graph.node
            if node.name in names or node.name.removeprefix("/").rpartition("/")[0] in names
        ]


def read_proto(path: str) -> onnx.ModelProto:
    """The model in a file, with its weights. Raises CompileError `not-quantizable`."""
    try:
        proto = onnx.load(path)
    except Exception as error:  # onnxruntime has read the file, but it is not in ONNX' format, or beyond its limits
        raise not_quantizable(path, f"onnx cannot read it: {error!s:.200}") from error
    if proto.ByteSize() > MAX_MODEL_BYTES:
        raise not_quantizable(path, "with its weights it has more than 2 GiB")
    is_variant = any(entry.key == QUANTIZATION for entry in proto.metadata_props)
    if is_variant or any(node.op_type in INTEGER_OPS for node in proto.graph.node):
        raise not_quantizable(path, "it is quantized already", "quantize the float model or its RUN folder")
    return with_constant_weights(proto)


def not_quantizable(path: str, reason: str, help: str | None = None) -> CompileError:
    """The error of a model that cannot be quantized."""
    return CompileError(
        [Diagnostic("not-quantizable", f"the model cannot be quantized: {reason}", file=path, help=help)]
    )
