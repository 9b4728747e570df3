"""Values in the state of a callback, as JSON and arrays, from which they are restored exactly.

JSON has numbers, strings, booleans, null and lists. Anything else is an object with one key that names its type:
`{"dict": [[key, value], ...]}`, `{"tuple": [...]}`, `{"strings": [...]}` for a vector of strings, and `{"array": 3}` or
`{"scalar": 3}` for an array or a NumPy number, which is stored as the array of this number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

Encoded: TypeAlias = Any
MAX_DEPTH = 64
_PLAIN = (type(None), bool, int, float, str)
_KEYS = (bool, int, float, str)
_INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_DTYPES = ("bool", *_INTEGERS, "float16", "float32", "float64")
EXPECTED = "numbers, strings, booleans, None, NumPy arrays, and dicts, lists and tuples of them"


def encode(value: Any, arrays: list[np.ndarray], place: str, depth: int = 0) -> Encoded:
    """A value as JSON; arrays are appended to the list. Raises TypeError, which names the place of what has no form."""
    if depth > MAX_DEPTH:
        raise TypeError(f"{place} lies more than {MAX_DEPTH} deep")
    if type(value) in _PLAIN:
        return value
    if type(value) in (list, tuple):
        items = [encode(item, arrays, f"{place}[{number}]", depth + 1) for number, item in enumerate(value)]
        return items if type(value) is list else {"tuple": items}
    if type(value) is dict:
        return {"dict": [_encode_item(key, value[key], arrays, place, depth) for key in value]}
    if type(value) is np.ndarray or isinstance(value, np.generic):
        return _encode_array(value, arrays, place)
    raise TypeError(f"{place} is {_type_text(value)}, expected {EXPECTED}")


def _encode_item(key: Any, value: Any, arrays: list[np.ndarray], place: str, depth: int) -> list[Encoded]:
    if type(key) not in _KEYS:
        raise TypeError(f"a key of {place} is {_type_text(key)}, expected a string or a number")
    return [key, encode(value, arrays, f"{place}[{key!r}]", depth + 1)]


def _encode_array(value: np.ndarray | np.generic, arrays: list[np.ndarray], place: str) -> Encoded:
    array = np.asarray(value)
    if array.dtype == object and array.ndim == 1 and all(type(item) is str for item in array):
        return {"strings": array.tolist()}
    if array.dtype.name not in _DTYPES or not array.dtype.isnative:
        raise TypeError(f"{place} is a NumPy array of {array.dtype}, expected {', '.join(_DTYPES)}")
    arrays.append(np.ascontiguousarray(array).reshape(array.shape))
    return {"scalar" if isinstance(value, np.generic) else "array": len(arrays) - 1}


def decode(value: Encoded, arrays: Mapping[int, np.ndarray], depth: int = 0) -> Any:
    """The value of its JSON, which may come from an untrusted file. Raises ValueError."""
    if depth > MAX_DEPTH:
        raise ValueError("a state is nested too deep")
    if isinstance(value, list):
        return [decode(item, arrays, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError("a state is malformed")
    ((kind, content),) = value.items()
    if kind in ("array", "scalar"):
        return _decode_array(kind, content, arrays)
    if not isinstance(content, list):
        raise ValueError("a state is malformed")
    if kind == "dict":
        return dict(_decode_item(item, arrays, depth) for item in content)
    if kind == "tuple":
        return tuple(decode(item, arrays, depth + 1) for item in content)
    if kind == "strings" and all(isinstance(item, str) for item in content):
        strings = np.empty(len(content), object)
        strings[:] = content
        return strings
    raise ValueError("a state is malformed")


def _decode_item(item: Any, arrays: Mapping[int, np.ndarray], depth: int) -> tuple[Any, Any]:
    if not isinstance(item, list) or len(item) != 2 or type(item[0]) not in _KEYS:
        raise ValueError("a state is malformed")
    return item[0], decode(item[1], arrays, depth + 1)


def _decode_array(kind: str, number: Any, arrays: Mapping[int, np.ndarray]) -> Any:
    array = arrays.get(number) if type(number) is int else None
    if array is None or (kind == "scalar" and array.ndim):
        raise ValueError("a state lacks an array")
    return array[()] if kind == "scalar" else array.copy()


def _type_text(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
