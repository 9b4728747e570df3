"""The values of tensors as JSON: lists, flat or nested."""

from __future__ import annotations

from itertools import chain
from math import prod
from struct import error as StructError
from struct import pack
from typing import Any

import numpy as np

from .datatypes import BYTES, RAW_ONLY_DATATYPES, dtype_of
from .errors import bad_request
from .tensor_shapes import MAX_RANK

_NUMBER_TYPES = {int, float}
_FLOAT_TYPES = _NUMBER_TYPES | {type(None)}
_BOOL_VALUES = {0, 1}
_TYPE_NAMES = {
    bool: "booleans",
    str: "strings",
    int: "integers",
    float: "numbers with a fraction",
    dict: "objects",
    list: "lists",
    type(None): "null",
}


def array_of_data(data: Any, shape: tuple[int, ...], datatype: Any, tensor: str) -> np.ndarray:
    """The array of a tensor's `data`, which is flat in row-major order or nested like the shape.

    Numbers must fit the datatype; null is NaN. Raises RequestError; `tensor` names the tensor in its message.
    """
    dtype = dtype_of(datatype, tensor)
    if datatype in RAW_ONLY_DATATYPES:
        raise bad_request(f"{tensor} is {datatype}, which JSON cannot have", "send its values as binary data")
    values = _flat_values(data, shape, tensor)
    if dtype.kind == "f" and (array := _packed(values)) is not None:
        return _in_range(array, dtype, datatype, tensor).reshape(shape)
    types = set(map(type, values))
    if datatype == BYTES:
        _require_types(types, {str}, "strings", datatype, tensor)
        array = np.empty(len(values), object)
        array[:] = values
    elif datatype == "BOOL":
        if not types <= {bool, int} or not set(values) <= _BOOL_VALUES:
            _require_types(types, {bool}, "true and false", datatype, tensor)
            raise bad_request(f"{tensor} is BOOL, and has numbers other than 0 and 1")
        array = np.array(values, bool)
    elif dtype.kind in "iu":
        _require_types(types, {int}, "integers", datatype, tensor)
        array = _integers(values, dtype, datatype, tensor)
    else:
        _require_types(types, _FLOAT_TYPES, "numbers", datatype, tensor)
        array = _floats(values, dtype, datatype, tensor)
    return array.reshape(shape)


def _flat_values(data: Any, shape: tuple[int, ...], tensor: str) -> list[Any]:
    """The values in row-major order. Raises RequestError unless their number or their nesting is that of the shape."""
    if not isinstance(data, list):
        raise bad_request(f"{tensor} has no list of `data`")
    sizes = [len(data)]
    values = data
    while values and isinstance(values[0], list):
        lengths = set(map(len, values)) if set(map(type, values)) == {list} else set()
        if len(lengths) != 1 or len(sizes) == MAX_RANK:
            raise bad_request(f"the lists in {tensor} have no common length", "nest them like the shape, or not at all")
        sizes.append(lengths.pop())
        values = list(chain.from_iterable(values))
    count = prod(shape)
    if len(values) != count:
        raise bad_request(f"{tensor} has the shape {list(shape)}, so {count:,} values, but {len(values):,} are given")
    if len(sizes) > 1 and values and sizes != list(shape):
        raise bad_request(f"{tensor} has the shape {list(shape)}, but its lists are nested like {sizes}")
    return values


def _require_types(types: set[type], allowed: set[type], expected: str, datatype: str, tensor: str) -> None:
    if not types <= allowed:
        found = ", ".join(sorted(_TYPE_NAMES[kind] for kind in types - allowed))
        raise bad_request(f"{tensor} is {datatype}, and has {found}", f"give {expected}")


def _integers(values: list[int], dtype: np.dtype[Any], datatype: str, tensor: str) -> np.ndarray:
    try:
        return np.array(values, dtype)
    except OverflowError:
        bounds = np.iinfo(dtype)
        outside = next(value for value in values if not bounds.min <= value <= bounds.max)
        raise bad_request(f"{tensor} is {datatype}, and has {outside}, which is beyond its range") from None


def _packed(values: list[Any]) -> np.ndarray | None:
    """The numbers as float64 in a third of the time that np.array takes; None if there is anything else among them."""
    try:
        array = np.frombuffer(pack(f"{len(values)}d", *values), np.float64)
    except (OverflowError, StructError):
        return None
    maybe_bools = np.flatnonzero((array == 0) | (array == 1)).tolist()
    return None if any(type(values[index]) is bool for index in maybe_bools) else array


def _floats(values: list[Any], dtype: np.dtype[Any], datatype: str, tensor: str) -> np.ndarray:
    try:
        array = np.array(values, np.float64)
    except OverflowError:  # an integer of hundreds of digits
        array = np.array([np.inf])
    return _in_range(array, dtype, datatype, tensor)


def _in_range(array: np.ndarray, dtype: np.dtype[Any], datatype: str, tensor: str) -> np.ndarray:
    """The numbers in the datatype. Raises RequestError for one beyond its range."""
    with np.errstate(over="ignore"):
        array = array.astype(dtype)
    if np.isinf(array).any():
        raise bad_request(f"{tensor} is {datatype}, and has a number beyond its range")
    return array


def data_of_array(array: np.ndarray) -> Any:
    """The values in row-major order, as orjson takes them: numbers with the fewest digits, null for NaN and the
    infinities, which JSON lacks."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.tolist() if flat.dtype.kind == "O" else flat
