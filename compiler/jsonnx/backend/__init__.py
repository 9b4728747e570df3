"""Graph to ONNX: names, initializers, metadata, checks, bytes.

Comes in: a `Graph` and its weights. Goes out: an ONNX model, the same bytes for the same input. Imports `graph`.
"""

from .metadata import canonical, metadata, package_version, spec_hash
from .model_writer import Draft
from .to_onnx import draft, emit, serialize
from .verify import verify

__all__ = ["Draft", "canonical", "draft", "emit", "metadata", "package_version", "serialize", "spec_hash", "verify"]
