"""Networks as Keras' files: a model's JSON, as Keras 3 writes it, and its weights.

Comes in: a network and its weights by name. Goes out: JSON values, and bytes that are the same for the same network.
"""

from __future__ import annotations

from .files import archive_bytes, weights_bytes
from .model import Exported, exported

__all__ = ["Exported", "archive_bytes", "exported", "weights_bytes"]
