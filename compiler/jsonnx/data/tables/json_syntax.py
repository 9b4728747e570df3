"""The JSON text of a table, value by value, with their offsets."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from json.decoder import JSONDecodeError
from typing import Any

_WHITE_SPACE = re.compile(r"[ \t\n\r]*")


class MalformedTable(ValueError):
    """A text that is not a table; `offset` is the position in the text, counted from 0."""

    def __init__(self, message: str, offset: int, help: str | None = None) -> None:
        super().__init__(message)
        self.offset, self.help = offset, help


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys)


def decode(text: str, offset: int) -> tuple[Any, int]:
    """The JSON value at an offset, and the offset behind it and the white space after it. Raises MalformedTable."""
    try:
        value, end = _DECODER.raw_decode(text, offset)
    except JSONDecodeError as error:
        raise MalformedTable(f"not valid JSON: {_lower_first(error.msg)}", error.pos) from error
    except ValueError as error:
        is_long = "int_max_str_digits" in str(error)  # Python names its limit and the function that sets it
        message = f"an integer has more than {sys.get_int_max_str_digits():,} digits" if is_long else str(error)
        raise MalformedTable(message, offset) from error
    return value, skip(text, end)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def skip(text: str, offset: int) -> int:
    match = _WHITE_SPACE.match(text, offset)
    return match.end() if match else offset


def _expect(text: str, offset: int, marks: str) -> int:
    """The offset of the next token behind one of these marks. Raises MalformedTable."""
    if text[offset : offset + 1] not in marks or offset >= len(text):
        raise MalformedTable(f"not valid JSON: expected {' or '.join(map(repr, marks))}", offset)
    return skip(text, offset + 1)


def list_items(text: str, offset: int) -> Iterable[tuple[int, Any]]:
    """The offset and the value of each item of the list at an offset; at last the offset behind it and None."""
    offset = _expect(text, offset, "[")
    has_more = text[offset : offset + 1] != "]"
    while has_more:
        value, end = decode(text, offset)
        yield offset, value
        has_more = text[end : end + 1] != "]"
        offset = _expect(text, end, ",]") if has_more else end
    yield skip(text, offset + 1), None


def object_entries(text: str, offset: int) -> Iterable[tuple[int, str, Any]]:
    """The offset of the value, the key and the value of each entry of the object at an offset; at last the offset
    behind it, without a key."""
    offset = _expect(text, offset, "{")
    has_more = text[offset : offset + 1] != "}"
    while has_more:
        if text[offset : offset + 1] != '"':
            raise MalformedTable("not valid JSON: expected a key in quotation marks", offset)
        key, end = decode(text, offset)
        offset = _expect(text, end, ":")
        value, end = decode(text, offset)
        yield offset, key, value
        has_more = text[end : end + 1] != "}"
        offset = _expect(text, end, ",}") if has_more else end
    yield skip(text, offset + 1), "", None


def line_values(text: str) -> Iterator[tuple[int, Any]]:
    """The offset and the value of each line that is not empty. Raises MalformedTable."""
    start = 0
    while start < len(text):
        stop = text.find("\n", start) + 1 or len(text) + 1
        line = text[start : stop - 1]
        if line.strip():
            offset = skip(text, start)
            try:
                value, end = decode(line, offset - start)
            except MalformedTable as error:
                raise MalformedTable(str(error), start + error.offset, error.help) from error
            if end < len(line):
                raise MalformedTable("there is more text behind the line's first value", start + end)
            yield offset, value
        start = stop


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """The line and the column, from 1, of an offset."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1
