"""Converts what a program passes as data to NumPy arrays, and explains why something else is not taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

ITERABLES_HELP = (
    "pass arrays of all samples, or dicts of arrays by name. "
    "`Trainer.fit`, `evaluate` and `predict` also take an iterable of batches, alone: `fit(batches)`"
)
_ARRAY_PROTOCOLS = ("__array__", "__array_interface__", "__array_struct__", "__buffer__")


class Table(Protocol):
    """A frame of pandas or polars, a table of Arrow, or another object with Arrow's protocol for tables."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


DataArgument = np.ndarray | Mapping[str, Any] | list[Any] | Table | None


class RaggedArray(ValueError):
    """Nested lists whose parts have different lengths."""


def to_array(value: Any) -> np.ndarray:
    """The value as an array. Raises ValueError with the end of a sentence for a value that is not one.

    A masked array is taken only if nothing in it is masked: what a masked value stands for is the user's decision.
    """
    array = value if type(value) is np.ndarray else _convert(value)
    return _without_number_objects(array) if array.dtype.hasobject else array


def _convert(value: Any) -> np.ndarray:
    _refuse_masked(value)
    if (reason := not_an_array(value)) is not None:
        raise ValueError(reason)
    try:
        return np.asarray(value)
    except ValueError:
        raise RaggedArray("is ragged: its parts have different lengths") from None
    except Exception as error:  # other libraries raise what they like in `__array__`
        raise ValueError(f"cannot be converted to an array: {' '.join(str(error).split())[:300]}") from error


def _without_number_objects(array: np.ndarray) -> np.ndarray:
    """The array with numbers for Python objects that are all numbers, as in a pandas frame with several types."""
    if array.dtype != object or array.size == 0 or isinstance(array.flat[0], (str, bytes)):
        return array
    try:
        numbers = np.array(array.tolist())
    except Exception:  # parts of different lengths, or what `__array__` of another library raises
        return array
    return numbers if numbers.dtype.kind in "biuf" else array


def not_an_array(value: Any) -> str | None:
    """The end of a sentence that says why a value is not taken as an array; None if it may be one."""
    kind = type(value).__name__
    if is_query(value):
        return f"is a query that has not run ({kind}): pass x.collect()"
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        return f"is a sparse matrix ({kind}), which is not taken: pass x.toarray()"
    if getattr(value, "requires_grad", False) is True:
        return "is a tensor that requires a gradient: pass x.detach()"
    if str(getattr(value, "device", "cpu")).startswith(("cuda", "mps")) and hasattr(value, "cpu"):
        return f"is a tensor on the device {str(value.device)!r}: pass x.cpu()"
    if is_batch_iterable(value):
        return f"is an iterable ({kind}): {ITERABLES_HELP}"
    return None


def is_table(value: Any) -> bool:
    """Whether a value is a table with named columns: a frame of pandas or polars, a table of Arrow, or rows as dicts.

    Frames are told by Arrow's protocols, which series have, too, but no columns.
    """
    if isinstance(value, (list, tuple)):
        return bool(value) and isinstance(value[0], Mapping) and not any(map(_is_array_of_values, value[0].values()))
    is_arrow = hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")
    is_frame = is_arrow and any(hasattr(value, name) for name in ("columns", "column_names", "read_all"))
    return is_frame or is_pandas_frame(value)


def is_pandas_frame(value: Any) -> bool:
    return _is_of_pandas(value, "DataFrame")


def is_pandas_series(value: Any) -> bool:
    return _is_of_pandas(value, "Series")


def _is_of_pandas(value: Any, name: str) -> bool:
    return any(kind.__name__ == name and kind.__module__.partition(".")[0] == "pandas" for kind in type(value).__mro__)


def is_query(value: Any) -> bool:
    return type(value).__name__ == "LazyFrame" and hasattr(value, "collect")


def _is_array_of_values(value: Any) -> bool:
    """Whether a value of a dict makes it a batch of arrays, not a row."""
    return _is_array_like(value) and np.ndim(value) > 0


def is_batch_iterable(value: Any) -> bool:
    """Whether a value yields batches or samples: a generator, a data loader, or a list of tuples or dicts of arrays."""
    if is_table(value) or is_query(value):
        return False
    if isinstance(value, (list, tuple)):
        first = value[0] if value else None
        parts = first.values() if isinstance(first, Mapping) else first if isinstance(first, tuple) else ()
        return isinstance(first, Mapping) or any(np.ndim(part) > 0 for part in parts if _is_array_like(part))
    is_iterable = any(hasattr(value, name) for name in ("__iter__", "__next__", "__getitem__"))
    return is_iterable and not isinstance(value, (Sequence, Mapping)) and not _is_array_like(value)


def is_pair_of_arrays(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_array_like, value))


def _is_array_like(value: Any) -> bool:
    if isinstance(value, (memoryview, bytearray)):
        return True
    return any(hasattr(value, name) for name in _ARRAY_PROTOCOLS) or type(value).__module__ == "array"


def _refuse_masked(value: Any) -> None:
    parts = value if isinstance(value, (list, tuple)) else (value,)
    for part in parts:
        if isinstance(part, np.ma.MaskedArray) and (count := int(np.ma.getmaskarray(part).sum())):
            raise ValueError(
                f"is a masked array, {count:,} of its {part.size:,} values masked: replace them, x.filled(...), or "
                "remove their samples"
            )
