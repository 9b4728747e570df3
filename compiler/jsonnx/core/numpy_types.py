"""Element types between their names in specs and graphs, and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np


def numpy_dtype(name: str) -> np.dtype[Any]:
    """NumPy's element type for a name; strings are Python objects."""
    return np.dtype(object if name == "string" else name)
