"""What a request for predictions sends: rows as JSON, tables as csv, and the files of pictures as they are."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..core.diagnostics import UsageError
from ..core.files.files import error_reason, open_file

JSON_TYPE, CSV_TYPE, JSON_LINES_TYPE = "application/json", "text/csv", "application/x-ndjson"
TABLE_TYPES = {".json": JSON_TYPE, ".csv": CSV_TYPE, ".jsonl": JSON_LINES_TYPE}
"""The media types of files with rows, by their suffixes."""
_IMAGE_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)
ROWS_HELP = (
    "give a dict, a list of dicts, a table such as a pandas.DataFrame, csv as text, or the path or the bytes of a "
    "picture"
)


class RowBody(NamedTuple):
    """The body of a request, and its media type."""

    content: bytes
    media_type: str


def row_body(rows: Any) -> RowBody:
    """The body for rows, as `Client.predict` takes them. Raises UsageError for anything else."""
    if isinstance(rows, bytes | bytearray | memoryview):
        content = bytes(rows)
        return RowBody(content, image_type(content) or CSV_TYPE)
    if isinstance(rows, os.PathLike):
        return _file_body(Path(rows))
    if isinstance(rows, str):
        return RowBody(rows.encode(), CSV_TYPE) if "\n" in rows else _file_body(Path(rows))
    if not isinstance(rows, Mapping):
        rows = _records(rows)
    try:
        return RowBody(json.dumps(_json_value(rows), allow_nan=False).encode(), JSON_TYPE)
    except (TypeError, ValueError) as error:
        raise UsageError("bad-feed", f"the rows cannot be written as JSON: {error}", ROWS_HELP) from error


def image_type(content: bytes) -> str | None:
    """The media type of a picture, by its first bytes; None for anything else."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for start, media_type in _IMAGE_SIGNATURES if content.startswith(start)), None)


def _file_body(path: Path) -> RowBody:
    try:
        with open_file(path) as file:
            content = file.read()
    except OSError as error:
        raise UsageError("unreadable-file", f"cannot read {str(path)!r}: {error_reason(error)}") from error
    media_type = TABLE_TYPES.get(path.suffix.lower()) or image_type(content)
    if media_type is None:
        help = "give a picture, or a file .csv, .json or .jsonl"
        raise UsageError("bad-feed", f"{str(path)!r} is neither a picture nor a file of rows", help)
    return RowBody(content, media_type)


def _records(rows: Any) -> list[Any]:
    """The rows of a table, or of anything that yields them."""
    if hasattr(rows, "to_dicts"):  # polars
        return list(rows.to_dicts())
    if hasattr(rows, "to_dict"):  # pandas
        return list(rows.to_dict("records"))
    if hasattr(rows, "to_pylist"):  # pyarrow
        return list(rows.to_pylist())
    if isinstance(rows, Iterable):
        return list(rows)
    raise UsageError("bad-feed", f"rows of type {type(rows).__name__} cannot be sent", ROWS_HELP)


def _json_value(value: Any) -> Any:
    """A value as JSON has it: arrays as lists, dates as texts, NaN as null, which stands for a missing value."""
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if hasattr(value, "isoformat"):  # pandas.NaT has it, too
        text = value.isoformat()
        return None if text == "NaT" else text
    if hasattr(value, "tolist"):
        return _json_value(value.tolist())
    return None if type(value).__name__ == "NAType" else value
