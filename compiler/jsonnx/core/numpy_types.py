"""Element types between their names in specs and graphs, and NumPy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

BFLOAT16_NAME = "bfloat16"
INT4_NAME = "int4"


@cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """NumPy's element type for a name; strings are Python objects."""
    if name in (BFLOAT16_NAME, INT4_NAME):
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(object if name == "string" else name)


def network_dtype(stored: np.dtype[Any]) -> np.dtype[Any]:
    """The element type of a weight in the network, by the type in which training stores it."""
    return np.dtype(np.float32) if stored.name in ("float16", BFLOAT16_NAME) else stored


def as_network_weight(stored: np.ndarray) -> np.ndarray:
    """A stored weight in the element type that it has in the network; the array itself if that is the same."""
    return stored.astype(network_dtype(stored.dtype), copy=False)
