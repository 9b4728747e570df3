"""Element types between their names in specs and graphs, and NumPy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np


@cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """NumPy's element type for a name; strings are Python objects."""
    if name == "bfloat16":
        import ml_dtypes  # with onnx 1.19 and later

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(object if name == "string" else name)
