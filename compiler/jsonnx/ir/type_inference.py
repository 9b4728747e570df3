"""Asks ONNX for the types of a node's outputs. We restate no operator's shape rule."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import onnx
from onnx import defs, helper, shape_inference

from ..core.types import Dim, Size, TensorType
from .dtypes import dtype_name, onnx_dtype, tensor_proto
from .graph import Constant, Value

OPSET = 20
"""The lowest operator set that has all we emit: Gelu is the newest. Older runtimes and other providers lag behind."""

IR_VERSION = 9
"""The file format that belongs to opset 20."""


@cache
def schema_of(op: str, domain: str = "") -> defs.OpSchema:
    """The operator's definition in the opset we emit; onnx.defs.SchemaError where there is none."""
    return defs.get_schema(op, OPSET, domain)


class TypeInference:
    """Types by ONNX, remembered: the same node over the same types is asked once."""

    def __init__(self) -> None:
        self._sizes: dict[str, Size] = {}
        self._cache: dict[Any, list[TensorType]] = {}
        self._unknown_count = 0

    def __call__(
        self, op: str, domain: str, inputs: tuple[Value | None, ...], attributes: Mapping[str, Any], outputs: int
    ) -> list[TensorType]:
        """The types of the first `outputs` outputs; onnx.shape_inference.InferenceError where the node is wrong."""
        key = (
            op,
            domain,
            tuple(map(_input_key, inputs)),
            tuple(sorted((k, _hashable(v)) for k, v in attributes.items())),
            outputs,
        )
        if key not in self._cache:
            types = self._infer(op, domain, inputs, attributes, outputs)
            if any(is_unknown_size(size) for t in types for size in t.shape):
                return types  # what is unknown here differs from what is unknown elsewhere
            self._cache[key] = types
        return self._cache[key]

    def _infer(self, op: str, domain: str, inputs: Any, attributes: Any, outputs: int) -> list[TensorType]:
        names = ["" if value is None else f"i{index}" for index, value in enumerate(inputs)]
        results = [f"o{index}" for index in range(outputs)]
        node = helper.make_node(op, names, results, domain=domain, **attributes)
        given = {n: self._proto(v.type) for n, v in zip(names, inputs, strict=True) if v is not None}
        known = {
            n: tensor_proto(v.array)
            for n, v in zip(names, inputs, strict=True)
            if isinstance(v, Constant) and v.array.size <= 1024
        }
        found = shape_inference.infer_node_outputs(
            schema_of(op, domain), node, given, known, None, [helper.make_opsetid("", OPSET)], IR_VERSION
        )
        return [self._type(found[name]) for name in results]

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
    """Whether nobody knows more of a size than that there is one."""
    return isinstance(size, Size) and str(size).startswith("unk__")


def _input_key(value: Value | None) -> Any:
    if isinstance(value, Constant) and value.array.size <= 1024:
        return value.type, value.array.tobytes()
    return None if value is None else value.type


def _hashable(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return value.SerializeToString()
    return tuple(value) if isinstance(value, list) else value
