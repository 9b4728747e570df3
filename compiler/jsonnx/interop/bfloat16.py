"""Arrays of bfloat16, for which NumPy has no type: those of files have elements of two bytes without one, those of
training the type of the package ml_dtypes."""

from __future__ import annotations

import numpy as np

from ..core.numpy_types import BFLOAT16_NAME, numpy_dtype

BFLOAT16 = np.dtype("V2")


def widened(array: np.ndarray) -> np.ndarray:
    """The numbers of an array of bfloat16 as float32, of which they are the upper halves; other arrays unchanged."""
    if array.dtype != BFLOAT16:
        return array
    return (array.view("<u2").astype(np.uint32) << 16).view(np.float32)


def typed(array: np.ndarray) -> np.ndarray:
    """The same memory as an array of the type of ml_dtypes, if it is of bfloat16."""
    return array.view(numpy_dtype(BFLOAT16_NAME)) if array.dtype == BFLOAT16 else array
