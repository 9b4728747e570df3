"""Holds a finished model against ONNX' own checks."""

from __future__ import annotations

import onnx


def verify_model(model: onnx.ModelProto) -> None:
    """Raises onnx.checker.ValidationError or onnx.shape_inference.InferenceError: our fault, not the user's."""
    onnx.checker.check_model(model)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
