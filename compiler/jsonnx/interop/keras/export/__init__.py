"""Networks as Keras' files: a model's JSON, as Keras 3 writes it, and its weights.

Comes in: a network and its weights by name. Goes out: JSON values, and bytes that are the same for the same network.
"""

from __future__ import annotations

from .files import NamedLayer, archive_bytes, layer_groups, weights_h5_bytes
from .model import ExportedModel, export_model

__all__ = ["ExportedModel", "NamedLayer", "archive_bytes", "export_model", "layer_groups", "weights_h5_bytes"]
