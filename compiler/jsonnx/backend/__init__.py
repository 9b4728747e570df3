"""Graph to ONNX: names, initializers, metadata, checks, bytes.

Comes in: a `Graph` and its weights. Goes out: an ONNX model, the same bytes for the same input. Imports `graph`.
"""

from .emit import emit, serialize

__all__ = ["emit", "serialize"]
