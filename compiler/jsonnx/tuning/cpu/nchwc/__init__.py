"""Convolutions and their gradients in onnxruntime's blocked NCHWc layout."""
