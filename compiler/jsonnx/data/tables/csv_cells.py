"""Cells of a table of separated values as numbers, and errors of the cells that are none."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..samples.data_errors import ErrorCollector
from ..samples.missing_markers import is_missing_marker
from ..samples.validate_arrays import MISSING_NUMBER_HELP, LocateElement
from .data_table import ColumnRequest
from .text_tables import add_missing_values

FRAME_HELP = (
    "pandas.to_numeric makes numbers of texts, and `na_values` of pandas.read_csv names marks of missing values; an "
    "input of the type string takes texts"
)
NUMBER_HELP = "write a number without a unit, such as 0.5; an input of the type string takes texts"
BOOLEANS = {"true": "1", "false": "0", "yes": "1", "no": "0", "nan": "nan"}
"""Texts, in lower case, that a column of booleans has in place of numbers; `nan` stands for a missing one."""
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")


class CsvDialect(NamedTuple):
    """How a table of separated values is written."""

    separator: str = ","
    decimal: str = "."
    """The decimal mark of numbers."""
    format: str = "csv"
    """The suffix of the file; empty for texts of a table in memory, which the options of files do not concern."""
    thousands: str | None = None
    """The mark between groups of three digits; None for none."""

    def plain_cells(self, cells: Sequence[str], accepts_missing: bool) -> list[str]:
        """The numbers in cells without marks of thousands and with a decimal point; a text that is written otherwise
        stays no number. With `accepts_missing`, `nan` in place of a missing number."""
        texts = [self._plain_number(cell) for cell in cells]
        return ["nan" if is_missing_marker(text) else text for text in texts] if accepts_missing else texts

    def _plain_number(self, text: str) -> str:
        if self.thousands is not None and self.thousands in text:
            whole, mark, fraction = text.strip().partition(self.decimal)
            is_grouped = re.fullmatch(rf"[+-]?\d{{1,3}}({re.escape(self.thousands)}\d{{3}})+", whole)
            text = whole.replace(self.thousands, "" if is_grouped else "_") + mark + fraction
        return text if self.decimal == "." else text.replace(".", "_").replace(",", ".")


def parse_numbers(texts: Sequence[str], is_integer: bool) -> np.ndarray | None:
    """The numbers or booleans that texts contain, whole ones as int64 if all are; None if there are others."""
    numbers = _parse_numbers(texts, is_integer)
    booleans = [BOOLEANS.get(text.strip().lower(), "") for text in texts] if numbers is None else []
    return _parse_numbers(booleans, is_integer) if booleans else numbers


def _parse_numbers(texts: Sequence[str], is_integer: bool) -> np.ndarray | None:
    if any("_" in text for text in texts):  # Python would read 1_000 as a number
        return None
    parsers: Sequence[Callable[[str], float]] = (int, float) if is_integer else (float,)
    for parse in parsers:
        try:
            return np.array([parse(text) for text in texts], np.int64 if parse is int else np.float64)
        except (ValueError, OverflowError):
            continue
    return None


def is_number(text: str) -> bool:
    """Whether a text is a number with a decimal point."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def add_cell_errors(
    name: str,
    cells: Sequence[str],
    wanted: ColumnRequest,
    dialect: CsvDialect,
    locate: LocateElement,
    errors: ErrorCollector,
) -> None:
    """Adds one error for all cells of a column that are missing, and one for all others that are not numbers."""
    texts = dialect.plain_cells(cells, wanted.accepts_missing)
    missing = [row for row, text in enumerate(texts) if is_missing_marker(text)]
    if len(missing) > 1:
        add_missing_values(name, "number", missing, len(texts), locate, errors)
    elif missing:
        message = _error(name, cells[missing[0]], dialect)
        errors.add("bad-value", message, locate((missing[0],)), help=MISSING_NUMBER_HELP)
    bad = [row for row, text in enumerate(texts) if not is_number(text) and not is_missing_marker(text)]
    is_text = wanted.text_help is not None and not any(map(is_number, texts))
    help = wanted.text_help(cells[row].strip() for row in bad) if wanted.text_help and is_text else None
    help = help or (NUMBER_HELP if dialect.format else FRAME_HELP)
    errors.add_each("bad-value", bad, lambda row: (_error(name, cells[row], dialect), locate((row,))), help=help)


def _error(name: str, cell: str, dialect: CsvDialect) -> str:
    if not cell.strip():
        return f"{name!r} is empty"
    hint = ""
    if not dialect.format:
        return f"{name!r} holds {cell[:80]!r}, not a number"
    if dialect.decimal == ",":
        hint = ": decimals are written with a comma, as `decimal` says" if "." in cell else ""
    elif _THOUSANDS.fullmatch(cell.strip()):
        hint = ': marks of thousands need "thousands" in `training.data`, and decimals are written with a point'
    elif cell.count(",") == 1 and is_number(cell.replace(",", ".")):
        hint = ': decimals are written with a point, unless `training.data` has "decimal": ","'
    return f"{name!r} holds {cell[:80]!r}, not a number{hint}"
