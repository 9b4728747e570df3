"""Writes weights as a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .string_arrays import with_strings_as_bytes


def safetensors_bytes(weights: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytes:
    """Returns the bytes of a safetensors file, which depend only on the arguments.

    String arrays are stored as bytes (`string_arrays`).
    """
    from safetensors.numpy import save

    weights = with_strings_as_bytes(weights)
    arrays = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in weights.items()}
    return save(arrays, metadata=dict(metadata or {}))
