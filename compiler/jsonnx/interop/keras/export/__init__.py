"""Exports networks as Keras 3 models: the model's JSON, and files with its weights.

The bytes depend only on the network and its weights.
"""

from __future__ import annotations

from .files import NamedLayer, archive_bytes, layer_groups, weights_h5_bytes
from .model import ExportedModel, export_model

__all__ = ["ExportedModel", "NamedLayer", "archive_bytes", "export_model", "layer_groups", "weights_h5_bytes"]
