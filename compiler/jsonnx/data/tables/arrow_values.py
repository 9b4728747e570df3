"""Values of Arrow arrays as NumPy's arrays, their types and their sizes in memory.

pyarrow has no type hints, so its objects are of type Any: `pa.Array` and `pa.DataType` are named in comments.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..samples.data_errors import DataLocation, ErrorCollector
from ..samples.validate_arrays import MISSING_NUMBER_HELP, MISSING_TEXT_HELP, LocateElement
from .text_tables import add_missing_values

DATE_HELP = 'an input of dates has "dtype": "string", and a DateFeatures layer after it'
REFERENCE_BYTES = 8
_ENCODED_MEDIA_FIELD = "bytes"
"""The field of a struct that holds an encoded image or recording, as in data sets of Hugging Face."""

# -- types -------------------------------------------------------------------------------------------------------------


class Kind:
    """The kind of values of an Arrow type; `error` says why a type is not read. Times are read as texts only."""

    def __init__(
        self,
        is_text: bool = False,
        is_binary: bool = False,
        is_time: bool = False,
        error: str | None = None,
        help: str = "",
    ) -> None:
        self.is_text, self.is_binary, self.is_time = is_text, is_binary, is_time
        self.error, self.help = error, help or None

    @property
    def is_number(self) -> bool:
        """Whether values are numbers, booleans or lists of these."""
        return self.error is None and not self.is_text and not self.is_binary

    @staticmethod
    def of(type: Any) -> Kind:
        """The kind of a `pa.DataType`."""
        import pyarrow as pa

        types = pa.types
        type = getattr(type, "storage_type", type)
        if types.is_dictionary(type):
            return Kind.of(type.value_type)
        if types.is_struct(type) and _ENCODED_MEDIA_FIELD in [field.name for field in type]:
            return Kind.of(type.field(_ENCODED_MEDIA_FIELD).type)
        if types.is_string(type) or types.is_large_string(type) or types.is_string_view(type):
            return Kind(is_text=True)
        if types.is_binary(type) or types.is_large_binary(type) or types.is_binary_view(type):
            return Kind(is_binary=True)
        if types.is_temporal(type):
            return Kind(is_time=True, error=f"times ({type})", help=DATE_HELP)
        item = type
        while is_list(item):
            item = item.value_type
        is_number = types.is_integer(item) or types.is_floating(item) or types.is_boolean(item)
        if is_number or types.is_null(type) or types.is_decimal(type):
            return Kind()
        help = "columns are numbers, booleans, texts, categories, or lists of numbers of equal length"
        return Kind(error=f"values of the type {type}, which is not read", help=help)


def is_list(type: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type))


def plain(array: Any) -> Any:
    """An array without extension types, and without dictionaries of other values than texts; decimals as floats,
    structs as their encoded bytes."""
    import pyarrow as pa

    array = getattr(array, "storage", array)
    if pa.types.is_struct(array.type) and _ENCODED_MEDIA_FIELD in [field.name for field in array.type]:
        array = array.field(_ENCODED_MEDIA_FIELD)
    if pa.types.is_dictionary(array.type) and not _is_text_or_binary(array.type.value_type):
        array = array.dictionary_decode()
    return array.cast(pa.float64()) if pa.types.is_decimal(array.type) else array


def _is_text_or_binary(type: Any) -> bool:
    kind = Kind.of(type)
    return kind.is_text or kind.is_binary


def loaded_bytes(array: Any) -> int:
    """The bytes of an array that `plain` returned, with a reference to each text."""
    texts = len(array) if _is_text_or_binary(array.type) else 0
    return int(array.nbytes) + texts * REFERENCE_BYTES


def _to_numbers(values: Any) -> np.ndarray:
    """The numbers or booleans of an Arrow array without lists, with NaN for each that is missing."""
    import pyarrow as pa

    is_object = values.null_count and (pa.types.is_boolean(values.type) or pa.types.is_null(values.type))
    return np.asarray((values.cast(pa.float64()) if is_object else values).to_numpy(zero_copy_only=False))


def _is_null(array: Any) -> np.ndarray:
    """Whether a row has no value, or a list with a missing element."""
    nulls = np.asarray(array.is_null().to_numpy(zero_copy_only=False), bool)
    inner, repeats = array, list[np.ndarray]()
    while (lengths := _list_lengths(inner)) is not None:
        repeats.append(lengths)
        inner = inner.flatten()
        if inner.null_count:
            rows = np.arange(len(array))
            for repeat in repeats:
                rows = np.repeat(rows, repeat)
            nulls[rows[np.asarray(inner.is_null().to_numpy(zero_copy_only=False), bool)]] = True
    return nulls


def _list_lengths(array: Any) -> np.ndarray | None:
    """The lengths of the lists of an array, 0 for a missing one; None if its values are no lists."""
    if not is_list(array.type):
        return None
    from pyarrow import compute

    lengths = compute.list_value_length(array).fill_null(0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


# -- values -----------------------------------------------------------------------------------------------------------


def to_objects(array: Any) -> np.ndarray:
    """The texts or binary values of an array as objects, None for a missing one; dates as texts of ISO 8601. Those of a
    dictionary are shared by all rows that refer to them."""
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        entries = np.array([*array.dictionary.to_pylist(), None], object)
        return np.asarray(entries[array.indices.cast(pa.int64()).fill_null(len(entries) - 1).to_numpy()])
    array = array.cast(pa.string()) if pa.types.is_temporal(array.type) else array
    objects = np.empty(len(array), object)
    objects[:] = array.to_pylist()
    return objects


def check_missing(objects: np.ndarray, kind: Kind, name: str, errors: ErrorCollector, locate: LocateElement) -> bool:
    """Whether no text or binary value is missing; adds an error if one is."""
    missing = [row for row, value in enumerate(objects.tolist()) if value is None]
    if missing:
        help = MISSING_TEXT_HELP if kind.is_text else MISSING_NUMBER_HELP
        add_missing_values(name, "value", missing, len(objects), locate, errors, help)
    return not missing


def to_array(
    values: Any, name: str, errors: ErrorCollector, locate: LocateElement, accepts_missing: bool = False
) -> np.ndarray | None:
    """The numbers of a column, a `pa.Array`, as an array; None, and errors, if lists differ, or if some are missing.

    With `accepts_missing`, a missing number is NaN.
    """
    missing = np.flatnonzero(_is_null(values))
    if missing.size and not accepts_missing:
        add_missing_values(name, "value", missing.tolist(), len(values), locate, errors)
        return None
    shape: tuple[int, ...] = (len(values),)
    while (lengths := _list_lengths(values)) is not None:
        if lengths.size and (lengths != lengths[0]).any():
            _add_ragged(lengths, prod(shape[1:]), name, errors, locate)
            return None
        values = values.flatten()
        shape = (*shape, int(lengths[0]) if lengths.size else 0)
    return _to_numbers(values).reshape(shape)


def _add_ragged(
    lengths: np.ndarray, lists_per_row: int, name: str, errors: ErrorCollector, locate: LocateElement
) -> None:
    """Adds an error for the rows whose lists have another length than the first one."""
    rows = np.unique(np.flatnonzero(lengths != lengths[0]) // lists_per_row).tolist()

    def describe(row: int) -> tuple[str, DataLocation]:
        own = lengths[row * lists_per_row : (row + 1) * lists_per_row]
        return f"{name!r} has {own[own != lengths[0]][0]} elements, in row 1 it has {lengths[0]}", locate((row,))

    errors.add_each("data-shape", rows, describe)
