"""Arrays of strings as arrays of bytes: the formats of weights and checkpoints know numbers alone.

A vector of strings is the UTF-8 of a JSON list of them, as uint8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np


def packed(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays, those of strings as bytes."""
    return {name: as_bytes(array) if array.dtype == object else array for name, array in arrays.items()}


def as_bytes(strings: np.ndarray) -> np.ndarray:
    """A vector of strings as bytes."""
    text = json.dumps(strings.tolist(), ensure_ascii=False, separators=(",", ":"))
    return np.frombuffer(text.encode(), np.uint8)


def as_strings(array: np.ndarray) -> np.ndarray:
    """The vector of strings that `as_bytes` made these bytes of. ValueError where it made them of none."""
    try:
        found = json.loads(array.tobytes())
    except (UnicodeDecodeError, ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ValueError("is no list of strings")
    strings = np.empty(len(found), object)
    strings[:] = found
    return strings
