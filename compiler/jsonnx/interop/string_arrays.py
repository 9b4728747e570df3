"""Arrays of strings as arrays of bytes: the formats of weights and checkpoints know numbers alone.

A vector of strings is the UTF-8 of a JSON list of them, as uint8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np


def with_strings_as_bytes(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays, those of strings as bytes."""
    return {name: strings_to_bytes(array) if array.dtype == object else array for name, array in arrays.items()}


def strings_to_bytes(strings: np.ndarray) -> np.ndarray:
    """A vector of strings as bytes."""
    text = json.dumps(strings.tolist(), ensure_ascii=False, separators=(",", ":"))
    return np.frombuffer(text.encode(), np.uint8)


def bytes_to_strings(array: np.ndarray) -> np.ndarray:
    """The vector of strings that `strings_to_bytes` made these bytes of. ValueError where it made them of none."""
    try:
        found = json.loads(array.tobytes())
    except (UnicodeDecodeError, ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ValueError("is no list of strings")
    strings = np.empty(len(found), object)
    strings[:] = found
    return strings
