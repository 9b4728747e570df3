"""Runs the checks of the onnx package on a finished model."""

from __future__ import annotations

import onnx


def verify_model(model: onnx.ModelProto) -> None:
    """Raises onnx.checker.ValidationError or onnx.shape_inference.InferenceError, both of which are faults of
    jsonnx."""
    onnx.checker.check_model(model)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
