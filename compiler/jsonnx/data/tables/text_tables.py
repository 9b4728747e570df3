"""Functions that the readers of tables of text share: decoding, and errors of missing values."""

from __future__ import annotations

from collections.abc import Sequence

from ..samples.data_errors import MAX_LISTED_LOCATIONS, DataLocation, ErrorCollector, locations_text
from ..samples.validate_arrays import MISSING_NUMBER_HELP, LocateElement


def decode_utf8(data: bytes, errors: ErrorCollector, first_line: int = 1, first_byte: int = 0) -> str | None:
    """The text of a file in UTF-8, without a byte order mark; None, and an error, if it is in another encoding.

    Of a part of a file, `first_line` is the number of its first line, and `first_byte` the offset of its first byte.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        location = DataLocation("", data.count(b"\n", 0, error.start) + first_line)
        message, help = f"byte {first_byte + error.start} is not UTF-8", "save the file in the encoding UTF-8"
        errors.add("bad-data-file", message, location, help=help)
        return None


def add_missing_values(
    name: str,
    noun: str,
    missing: Sequence[int],
    row_count: int,
    locate: LocateElement,
    errors: ErrorCollector,
    help: str = MISSING_NUMBER_HELP,
) -> None:
    """Adds one error for all rows of a column without a value, which the message calls `noun`."""
    if not missing:
        return
    locations = [locate((row,)) for row in missing[:MAX_LISTED_LOCATIONS]]
    where = locations_text(locations, len(missing))
    message = f"column {name!r} has no {noun} in {len(missing):,} of {row_count:,} rows, {where}"
    location = DataLocation("", locations[0].line, locations[0].column)
    errors.add("bad-value", message, location, help=help)
