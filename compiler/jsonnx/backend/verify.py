"""Runs the checks of the onnx package on a finished model."""

from __future__ import annotations

import re
from math import prod

import onnx
from onnx import numpy_helper

WRONG_DATA_PROPAGATION = re.compile(r"Invalid rank for \w+ broadcasting")
"""Error of onnx 1.23 in valid models: Unsqueeze propagates the elements of a constant Range or shape as if they
were still a vector, so that the sum of a column and a row counts as a sum of vectors of different lengths."""
MAX_PROPAGATED_ELEMENTS = 1 << 20
"""onnx propagates the elements of an expanded constant one by one: 2^31 of them take 20 s, or all memory."""


def verify_model(model: onnx.ModelProto) -> None:
    """Raises onnx.checker.ValidationError or onnx.shape_inference.InferenceError, both of which are bugs of jsonnx."""
    onnx.checker.check_model(model)
    try:
        _infer_shapes(model, propagates_data=_largest_expansion(model.graph) <= MAX_PROPAGATED_ELEMENTS)
    except onnx.shape_inference.InferenceError as error:
        if not WRONG_DATA_PROPAGATION.search(str(error)):
            raise
        _infer_shapes(model, propagates_data=False)


def _infer_shapes(model: onnx.ModelProto, propagates_data: bool) -> None:
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=propagates_data)


def _largest_expansion(graph: onnx.GraphProto) -> int:
    """Maximum number of elements of the result of an Expand node with a constant shape."""
    constants = {constant.name: constant for constant in graph.initializer}
    names = {node.input[1] for node in graph.node if node.op_type == "Expand"}
    shapes = (numpy_helper.to_array(constants[name]).tolist() for name in names & constants.keys())
    return max((prod(shape) for shape in shapes), default=0)
