"""Execution providers of onnxruntime: one record for each, with all that jsonnx knows of it."""
