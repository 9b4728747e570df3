"""Writes a graph as an ONNX model: names, initializers, metadata, checks, bytes.

In: a `Graph`. Out: an ONNX model, with the same bytes for the same graph.
"""

from .external_data import require_one_message, to_loadable
from .metadata import (
    QUANTIZATION,
    TARGET_STATISTICS,
    THRESHOLDS,
    canonical_json,
    model_metadata,
    needs_metadata,
    package_version,
    precision_from,
    spec_hash,
    target_statistics_from,
    thresholds_from,
)
from .model_files import model_data_files, write_model
from .model_writer import ModelWriter, writer_of_proto
from .to_onnx import serialize, to_model_proto, to_model_writer
from .verify import verify_model

__all__ = [
    "QUANTIZATION",
    "TARGET_STATISTICS",
    "THRESHOLDS",
    "ModelWriter",
    "canonical_json",
    "model_data_files",
    "model_metadata",
    "needs_metadata",
    "package_version",
    "precision_from",
    "require_one_message",
    "serialize",
    "spec_hash",
    "target_statistics_from",
    "thresholds_from",
    "to_loadable",
    "to_model_proto",
    "to_model_writer",
    "verify_model",
    "write_model",
    "writer_of_proto",
]
