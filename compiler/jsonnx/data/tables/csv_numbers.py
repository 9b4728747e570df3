"""Parses columns of numbers of separated values with pyarrow: several times faster than Python's csv module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec

import numpy as np

from .csv_table import MISSING_MARKERS
from .data_table import ColumnRequest

MISSING_NUMBERS = [form(text) for text in sorted(MISSING_MARKERS) for form in (str, str.upper, str.capitalize)]
"""The usual ways to write the texts that stand for a missing number; pyarrow knows no others."""
MAX_EXACT_INTEGER = 1 << 53
"""Integers up to this one are exact as float64."""


def parse_numbers(
    data: bytes,
    all_names: Sequence[str],
    wanted: Mapping[str, ColumnRequest],
    separator: str,
    row_count: int,
    has_header: bool,
) -> dict[str, np.ndarray] | None:
    """The wanted columns of rows, which have columns of all names, as float64 numbers.

    None if pyarrow is not installed, or if the rows have anything but plain numbers there: then the caller parses them
    in another way, which gives faults their locations.
    """
    if not has_pyarrow():
        return None
    import pyarrow as pa
    from pyarrow import csv

    positions = {name: str(number) for number, name in enumerate(all_names)}
    columns = [positions[name] for name in wanted]
    read = csv.ReadOptions(
        use_threads=False,
        block_size=max(len(data), 1),
        column_names=list(positions.values()),
        skip_rows_after_names=int(has_header),
    )
    parse = csv.ParseOptions(delimiter=separator, newlines_in_values=b'"' in data)
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.float64()),
        include_columns=columns,
        null_values=MISSING_NUMBERS,
    )
    try:
        if not data.isascii():
            data.decode()  # pyarrow does not look at texts of other columns
        table = csv.read_csv(pa.BufferReader(data), read, parse, convert)
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    if table.num_rows != row_count:
        return None
    arrays: dict[str, np.ndarray] = {}
    for name, request in wanted.items():
        column = table.column(positions[name])
        if column.null_count and not request.accepts_missing:
            return None
        array = arrays[name] = column.to_numpy()
        if "int" in request.type.dtype and not (np.abs(array) < MAX_EXACT_INTEGER).all():
            return None
    return arrays


@cache
def has_pyarrow() -> bool:
    return find_spec("pyarrow") is not None
