"""The types of a node's outputs, as ONNX infers them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import onnx
from onnx import defs, helper, shape_inference

from ..core.numpy_types import INT4_NAME
from ..core.types import Dim, Size, TensorType
from .dtypes import dtype_name, onnx_dtype, tensor_proto
from .graph import Constant, Value

OPSET = 20
"""The operator set of the graphs: the lowest one that has all emitted operators. A model is written in the lowest opset
that its own operators need."""

IR_VERSION = 9
"""The file format of opset 20."""

QUANTIZATION_OPSET = 21
"""The first operator set with integers of 4 bits, quantization to 16 bits, and scales of blocks. Only graphs that have
them are written in it."""

QUANTIZATION_OPS = ("DequantizeLinear", "QuantizeLinear")

MAX_CONSTANT_ELEMENTS = 1024
"""Maximum size of a constant whose values are passed to the inference, which may read a shape from them."""

MAX_CACHED_NODES = 1 << 14
"""Inferred nodes that are remembered."""

INFERRED_AS = {"GreaterOrEqual": "Greater", "LessOrEqual": "Less"}
"""Operators typed like another one, since onnx 1.18 cannot infer them: they are functions of others."""


@cache
def schema_of(op: str, domain: str = "", opset: int = OPSET) -> defs.OpSchema:
    """The definition of an operator in an opset. Raises onnx.defs.SchemaError if there is none."""
    return defs.get_schema(op, opset, domain)


@cache
def operand_type_names(op: str, domain: str = "") -> tuple[str, ...]:
    """The names of the types of an operator's inputs: inputs with one name have one type."""
    return tuple(formal.type_str for formal in schema_of(op, domain).inputs)


def needs_quantization_opset(op: str, attributes: Collection[str], dtypes: Collection[str]) -> bool:
    """Whether a node with these attributes and element types needs QUANTIZATION_OPSET."""
    if op not in QUANTIZATION_OPS:
        return INT4_NAME in dtypes
    return bool({"block_size", "output_dtype"} & {*attributes} or {INT4_NAME, "int16", "uint16"} & {*dtypes})


_inferred_types: dict[Any, list[TensorType]] = {}
"""The types of the outputs by operator, attributes and input types. A process that builds many graphs has many equal
nodes."""


class TypeInference:
    """Infers types by ONNX, with a cache: equal nodes over equal types are inferred once in a process."""

    def __init__(self) -> None:
        self._sizes: dict[str, Size] = {}
        self._unknown_count = 0

    def __call__(
        self, op: str, domain: str, inputs: tuple[Value | None, ...], attributes: Mapping[str, Any], outputs: int
    ) -> list[TensorType]:
        """The types of the first `outputs` outputs. Raises onnx.shape_inference.InferenceError for an invalid node."""
        attributes_key = tuple(sorted((k, _hashable(v)) for k, v in attributes.items())) if attributes else ()
        key = op, domain, outputs, attributes_key, *map(_input_key, inputs)
        types = _inferred_types.get(key)
        if types is None:
            types = self._infer(op, domain, inputs, attributes, outputs)
            if not any(is_unknown_size(size) for type in types for size in type.shape):  # each one is a new symbol
                if len(_inferred_types) >= MAX_CACHED_NODES:
                    _inferred_types.clear()
                _inferred_types[key] = types
        return types

    def _infer(self, op: str, domain: str, inputs: Any, attributes: Any, outputs: int) -> list[TensorType]:
        names = ["" if value is None else f"i{index}" for index, value in enumerate(inputs)]
        results = [f"o{index}" for index in range(outputs)]
        op = INFERRED_AS.get(op, op)
        node = helper.make_node(op, names, results, domain=domain, **attributes)
        input_types = {n: self._proto(v.type) for n, v in zip(names, inputs, strict=True) if v is not None}
        constants = {
            n: tensor_proto(v.array)
            for n, v in zip(names, inputs, strict=True)
            if isinstance(v, Constant) and v.array.size <= MAX_CONSTANT_ELEMENTS
        }
        dtypes = {value.dtype for value in inputs if value is not None}
        opset = QUANTIZATION_OPSET if needs_quantization_opset(op, attributes, dtypes) else OPSET
        opsets = [helper.make_opsetid("", opset)]
        output_types = shape_inference.infer_node_outputs(
            schema_of(op, domain, opset), node, input_types, constants, None, opsets, IR_VERSION
        )
        return [self._type(output_types[name]) for name in results]

    def _proto(self, type: TensorType) -> onnx.TypeProto:
        sizes: list[int | str] = []
        for size in type.shape:
            if isinstance(size, Size):
                self._sizes[str(size)] = size
            sizes.append(size if isinstance(size, int) else str(size))
        return helper.make_tensor_type_proto(onnx_dtype(type.dtype), sizes)

    def _type(self, proto: onnx.TypeProto) -> TensorType:
        tensor = proto.tensor_type
        return TensorType(dtype_name(tensor.elem_type), tuple(self._size(dim) for dim in tensor.shape.dim))

    def _size(self, dim: onnx.TensorShapeProto.Dimension) -> Dim:
        if dim.HasField("dim_value"):
            return int(dim.dim_value)
        if dim.HasField("dim_param"):
            return self._sizes.get(dim.dim_param) or Size.named(dim.dim_param)
        self._unknown_count += 1
        return Size.named(f"unk__{self._unknown_count}")


def is_unknown_size(size: Dim) -> bool:
    """Whether a size is a symbol that was made up because ONNX could not infer it."""
    return isinstance(size, Size) and str(size).startswith("unk__")


def _input_key(value: Value | None) -> Any:
    if value is None:
        return None
    if isinstance(value, Constant) and value.array.size <= MAX_CONSTANT_ELEMENTS:
        return value.type.dtype, value.type.shape, value.array.tobytes()
    return value.type.dtype, value.type.shape  # hashed faster than the type


def _hashable(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return value.SerializeToString()
    return tuple(value) if isinstance(value, list) else value
