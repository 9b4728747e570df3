"""Interface of the quantizers of a model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import onnx

from ...backend import QUANTIZATION, ModelWriter
from ...core.files.loadable_model import LoadableModel
from ...sections.quantization_section import QuantizationVariant

INTEGER_OPS = frozenset(
    [
        *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeLSTM"),
        *("MatMulInteger", "ConvInteger", "QLinearConv"),
    ]
)
"""Operators that only quantized models have."""
SMALL_INTEGERS = frozenset(
    [onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT4, onnx.TensorProto.UINT4]
)

FLOAT_LAYER: None = None
"""The entry of a layer that stays in floating point, among the layers of a variant."""


class QuantizedFile(Protocol):
    """A quantized model, which can be run and written."""

    @property
    def writer(self) -> ModelWriter: ...
    @property
    def size_bytes(self) -> int: ...
    def to_bytes(self) -> bytes: ...
    def to_loadable(self) -> LoadableModel: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...


class Quantizer(Protocol):
    """Quantizes one model in several variants, and measures what these share once."""

    @property
    def float_model(self) -> QuantizedFile: ...
    def layers(self, variant: QuantizationVariant) -> Sequence[str]:
        """The layers, or of a file the nodes, that the variant quantizes."""

    def quantized(self, variant: QuantizationVariant) -> QuantizedFile:
        """The model as a variant. Raises CompileError."""


def has_integer_weights(file: QuantizedFile) -> bool:
    """Whether a model has weights of 8 or 4 bits, or operators that make integers of its values."""
    graph = file.writer.model.graph
    if any(node.op_type in INTEGER_OPS for node in graph.node):
        return True
    return any(tensor.data_type in SMALL_INTEGERS and tensor.dims for tensor in graph.initializer)


def with_float_layers(variant: QuantizationVariant, layers: Iterable[str]) -> QuantizationVariant:
    """The variant in which further layers stay in floating point."""
    return variant.replaced(layers={**variant.layers, **dict.fromkeys(layers, FLOAT_LAYER)})


def bits_by_layer(variant: QuantizationVariant) -> dict[str, int | None]:
    """The bits of the weights of each layer that the variant names, None for one that stays in floating point."""
    return {name: None if section is None else section.bits for name, section in variant.layers.items()}


def variant_json(variant: QuantizationVariant) -> dict[str, Any]:
    """The variant as a spec describes it, without its tolerance, which says nothing about the model."""
    document = variant.to_json()
    return {"precision": variant.precision, **{key: value for key, value in document.items() if key != "tolerance"}}


def quantization_metadata(variant: QuantizationVariant) -> Mapping[str, str]:
    """The metadata of a quantized model."""
    return {QUANTIZATION: json.dumps(variant_json(variant))}
