"""Exports networks as Keras 3 models: the model's JSON, and files with its weights.

The bytes depend only on the network and its weights.
"""

from __future__ import annotations

from .files import NamedLayer, layer_groups, write_archive, write_weights_h5
from .model import ExportedModel, export_model

__all__ = ["ExportedModel", "NamedLayer", "export_model", "layer_groups", "write_archive", "write_weights_h5"]
