"""Arrays of bfloat16, for which NumPy has no type: they have elements of two bytes without one."""

from __future__ import annotations

import numpy as np

BFLOAT16 = np.dtype("V2")


def widened(array: np.ndarray) -> np.ndarray:
    """The numbers of an array of bfloat16 as float32, of which they are the upper halves; other arrays unchanged."""
    if array.dtype != BFLOAT16:
        return array
    return (array.view("<u2").astype(np.uint32) << 16).view(np.float32)
