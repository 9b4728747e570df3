"""Graph to ONNX: names, initializers, metadata, checks, bytes.

Comes in: a `Graph` and its weights. Goes out: an ONNX model, the same bytes for the same input. Imports `graph`.
"""

from .metadata import canonical_json, model_metadata, package_version, spec_hash
from .model_writer import ModelWriter
from .to_onnx import serialize, to_model_proto, to_model_writer
from .verify import verify_model

__all__ = [
    "ModelWriter",
    "canonical_json",
    "model_metadata",
    "package_version",
    "serialize",
    "spec_hash",
    "to_model_proto",
    "to_model_writer",
    "verify_model",
]
