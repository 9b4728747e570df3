"""The rows in the body of a request: JSON, csv, a picture, a recording or a text, by the columns of a spec."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from ...core.files.data_formats import AUDIO_SUFFIXES, IMAGE_SUFFIXES
from ...core.files.memory_folder import MemoryFolder
from ...data.files.data_locations import DataItem, item_of_bytes
from ...data.samples.data_errors import REQUEST_NAME
from ..protocol.errors import RequestError, bad_request
from ..protocol.http_bodies import parse_json

TABLE_FORMATS = {
    "application/json": "json",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
}
"""The format of each media type of tables."""
FILE_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/tiff": ".tif",
    "image/webp": ".webp",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/vnd.wave": ".wav",
    "text/plain": ".txt",
}
"""The suffix of a file of each media type that is one sample."""
UNSPECIFIC_TYPES = ("", "application/x-www-form-urlencoded", "application/octet-stream")
"""What clients say that do not know what they send."""

_SIGNATURES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "audio/wav"),
)
_DATA_URL = "data:"


class RowRequest(NamedTuple):
    """The rows of a request."""

    item: DataItem
    format: str | None
    """The format of a table; None for a file that is one sample."""
    is_single: bool
    """Whether the request has a row by itself, not a list."""


def read_rows(body: bytes, media_type: str) -> RowRequest:
    """The rows in the body of a request. Raises RequestError for a media type that is not taken."""
    type = media_type.partition(";")[0].strip().lower()
    if type in UNSPECIFIC_TYPES:
        type = _guessed_type(body, type)
    if type in FILE_SUFFIXES:
        return _file_request(body, FILE_SUFFIXES[type])
    if type not in TABLE_FORMATS:
        help = f"types are {', '.join([*TABLE_FORMATS, *FILE_SUFFIXES])}"
        raise RequestError(415, "unsupported-media-type", f"the request is of the type {type!r}", help)
    format = TABLE_FORMATS[type]
    if format == "json":
        return _json_request(body)
    # The names of files in a table are not those of the server's folders.
    return RowRequest(replace(item_of_bytes(body, REQUEST_NAME), folder=MemoryFolder.of({})), format, False)


def _guessed_type(body: bytes, type: str) -> str:
    """The media type of a body by its first bytes."""
    if body.lstrip()[:1] in (b"{", b"["):
        return "application/json"
    return next((known for signature, known in _SIGNATURES if body.startswith(signature)), type)


def _file_request(body: bytes, suffix: str) -> RowRequest:
    name = f"{REQUEST_NAME}{suffix}"
    item = DataItem(REQUEST_NAME, MemoryFolder.of({name: body}), None, files=(name,))
    return RowRequest(item, None, True)


def _json_request(body: bytes) -> RowRequest:
    document = parse_json(body)
    is_single = isinstance(document, dict)
    if not is_single and not (isinstance(document, list) and all(isinstance(row, dict) for row in document)):
        raise bad_request(
            "the request is neither a row nor a list of rows", 'a row is an object: {"COLUMN": VALUE, ...}'
        )
    if not document:
        raise bad_request("the request has no rows" if not is_single else "the row has no columns")
    rows = [document] if is_single else document
    files = dict(_take_files(rows))
    if files or is_single:
        body = orjson.dumps(rows)
    item = replace(item_of_bytes(body, REQUEST_NAME), folder=MemoryFolder.of(files))
    return RowRequest(item, "json", is_single)


def _take_files(rows: list[dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """The contents of data URLs, by the names that take their places in the rows. Raises RequestError."""
    for number, row in enumerate(rows, 1):
        for column, value in row.items():
            if isinstance(value, str) and value.startswith(_DATA_URL) and ";base64," in value[:80]:
                type, _, text = value[len(_DATA_URL) :].partition(";base64,")
                suffix = FILE_SUFFIXES.get(type.lower())
                if suffix not in (*IMAGE_SUFFIXES, *AUDIO_SUFFIXES):
                    continue
                try:
                    content = base64.b64decode(text, validate=True)
                except binascii.Error as error:
                    raise bad_request(f"row {number}, column {column!r} is not base64: {error}") from error
                row[column] = f"row {number}, {column.replace('/', '_')}{suffix}"
                yield row[column], content
