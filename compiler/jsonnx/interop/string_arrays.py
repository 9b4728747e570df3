"""Stores string arrays as bytes, for weight and checkpoint formats that hold only numbers.

The bytes are the UTF-8 encoding of a JSON list of the strings, as uint8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np


def with_strings_as_bytes(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays, with string arrays encoded as bytes."""
    return {name: strings_to_bytes(array) if array.dtype == object else array for name, array in arrays.items()}


def strings_to_bytes(strings: np.ndarray) -> np.ndarray:
    """Encodes a vector of strings as bytes."""
    text = json.dumps(strings.tolist(), ensure_ascii=False, separators=(",", ":"))
    return np.frombuffer(text.encode(), np.uint8)


def bytes_to_strings(array: np.ndarray) -> np.ndarray:
    """Decodes the result of `strings_to_bytes`. Raises ValueError, with the end of a sentence, for other bytes."""
    try:
        items = json.loads(array.tobytes())
    except (UnicodeDecodeError, ValueError, RecursionError):
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError("is not a list of strings")
    strings = np.empty(len(items), object)
    strings[:] = items
    return strings
