"""Networks as Keras' files: a model's JSON, as Keras 3 writes it, and its weights.

Comes in: a network and its weights by name. Goes out: JSON values, and bytes that are the same for the same network.
"""

from __future__ import annotations

from .files import Named, archive_bytes, groups_of, weights_bytes
from .model import Exported, exported

__all__ = ["Exported", "Named", "archive_bytes", "exported", "groups_of", "weights_bytes"]
