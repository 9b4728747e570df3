"""A model as onnxruntime loads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

MAX_MODEL_BYTES = (2 << 30) - 1
"""Maximum size of a model without external data, in bytes: Protocol Buffers encode no larger message."""


class LoadableModel(NamedTuple):
    """The bytes of a model, and where its weights are if the bytes leave them out."""

    data: bytes
    weights: str | Mapping[str, np.ndarray] | None = None
    """The folder of the files with weights that the model names, or arrays by the name of their tensor."""
