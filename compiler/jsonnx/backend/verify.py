"""Runs the checks of the onnx package on a finished model."""

from __future__ import annotations

import re

import onnx

WRONG_DATA_PROPAGATION = re.compile(r"Invalid rank for \w+ broadcasting")
"""Error of onnx 1.23 in valid models: Unsqueeze propagates the elements of a constant Range or shape as if they
were still a vector, so that the sum of a column and a row counts as a sum of vectors of different lengths."""


def verify_model(model: onnx.ModelProto) -> None:
    """Raises onnx.checker.ValidationError or onnx.shape_inference.InferenceError, both of which are faults of
    jsonnx."""
    onnx.checker.check_model(model)
    try:
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        if not WRONG_DATA_PROPAGATION.search(str(error)):
            raise
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=False)
