"""A model of float32 tensors in float64, where the CPU has kernels for all of its operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..providers.model_graphs import all_graphs

if TYPE_CHECKING:
    import onnx


def float64_model(model: bytes) -> bytes:
    """The model with float64 in place of float32, its inputs included. The CPU may lack kernels for it."""
    import onnx
    from onnx import TensorProto

    proto = onnx.load_model_from_string(model)
    for graph in all_graphs(proto.graph):
        del graph.value_info[:]
        for value in (*graph.input, *graph.output):
            tensor = value.type.tensor_type
            if tensor.elem_type == TensorProto.FLOAT:
                tensor.elem_type = TensorProto.DOUBLE
        for initializer in graph.initializer:
            _widen(initializer)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    _widen(attribute.t)
                elif attribute.name in ("to", "dtype", "stash_type") and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.DOUBLE
                elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
                    _widen_constant(attribute)
    return bytes(proto.SerializeToString())


def _widen(tensor: onnx.TensorProto) -> None:
    from onnx import TensorProto, numpy_helper

    if tensor.data_type == TensorProto.FLOAT:
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), name))


def _widen_constant(attribute: onnx.AttributeProto) -> None:
    from onnx import helper, numpy_helper

    value = helper.get_attribute_value(attribute)
    attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(np.asarray(value, np.float64))))
