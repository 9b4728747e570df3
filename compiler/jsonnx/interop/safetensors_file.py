"""Weights as a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .string_arrays import with_strings_as_bytes


def safetensors_bytes(weights: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytes:
    """Weights as a safetensors file, in their order's own layout: the same bytes for the same weights.

    Strings are kept as bytes, see `strings`.
    """
    from safetensors.numpy import save

    weights = with_strings_as_bytes(weights)
    arrays = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in weights.items()}
    return save(arrays, metadata=dict(metadata or {}))
