"""A strict JSON reader that keeps positions: the first stage, and the only reader of specs.

Reads a file, a text, or a Python value, and returns a `Source`: the value and the position of every key and value. The
reader follows RFC 8259 and rejects what the standard library accepts silently: duplicate keys, numbers that overflow or
underflow, lone surrogates. It uses no recursion.

Where the RFC leaves a choice: a byte order mark is accepted, but is not part of `Source.text`, so columns do not count
it. LF, CRLF and a lone CR end a line, as in editors; U+2028 does not. `-0` is the integer 0, `1.0` remains a float, and
integers are exact: the schema checks ranges.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import Any, NamedTuple, NoReturn

from ..core.diagnostics import CompileError, Diagnostic, JsonPath, Note, Position, UsageError, path_text
from .schema.phrases import short_name

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


@dataclass(frozen=True)
class Limits:
    """Limits of one document; the codes of violations are `too-large`, `too-deep` and `invalid-number`."""

    max_bytes: int = 64 * 2**20  # checked against the file's size before it is read
    max_depth: int = 64
    max_digits: int = 640  # characters of one number; the smallest limit that sys.set_int_max_str_digits accepts
    max_values: int = 2_000_000  # 64 MiB of `0,0,0` would take gigabytes of memory


DEFAULT_LIMITS = Limits()

STDIN_NAME = "<stdin>"
"""The name of standard input in diagnostics."""


class _ArrayPositions(NamedTuple):
    start: int
    value: list[Json]
    items: list[_Positions]


class _ObjectPositions(NamedTuple):
    start: int
    value: dict[str, Json]
    members: dict[str, _Positions]
    keys: dict[str, int]  # while the object is being read, the last key has no value yet


_Positions = int | _ArrayPositions | _ObjectPositions
"""The offset of a value, and the positions of the values in it. Lines and columns are computed on demand."""


@dataclass(frozen=True)
class _LineIndex:
    """Converts offsets of a text to lines and columns."""

    text: str

    @cached_property
    def line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer(r"\r\n?|\n", self.text))]

    def position_at(self, offset: int) -> Position:
        line = bisect_right(self.line_starts, offset)
        return Position(line, offset - self.line_starts[line - 1] + 1)


@dataclass(frozen=True, eq=False)
class Source:
    """A JSON value and the positions of its parts. `value` must not be changed, since the positions would be wrong."""

    file: str | None  # as shown to the user; None for a text or a value
    value: Json
    text: str = field(repr=False)
    _positions: _Positions | None = field(repr=False)
    _line_index: _LineIndex = field(repr=False)

    def locate(self, path: JsonPath, key: bool = False) -> Position | None:
        """Returns the position of the value at a path, or with `key` that of its key.

        For a path that does not exist, this is the position of the nearest ancestor. List items have no key: their
        value counts. Returns None if the source is a value without a text.
        """
        if self._positions is None:
            return None
        positions, key_start = self._positions, None
        for step in path:
            container, key_start = positions, None
            if isinstance(container, _ObjectPositions) and isinstance(step, str) and step in container.members:
                positions, key_start = container.members[step], container.keys[step]
            elif isinstance(container, _ArrayPositions) and isinstance(step, int) and 0 <= step < len(container.items):
                positions = container.items[step]
            else:
                break
        start = positions if isinstance(positions, int) else positions.start
        return self._line_index.position_at(key_start if key and key_start is not None else start)


def read_file(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> Source:
    """Reads a document from a regular file, or from standard input for `-`.

    Raises UsageError `unreadable-file`, and CompileError with the first error in the document.
    """
    name = os.fspath(path)
    return read_text(read_bytes(name, limits), STDIN_NAME if name == "-" else name, limits)


def read_bytes(name: str, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Returns the bytes of a regular file, or of standard input for `-`. Raises UsageError `unreadable-file`."""
    try:
        return sys.stdin.buffer.read(limits.max_bytes + 1) if name == "-" else _read_regular_file(name, limits)
    except (OSError, ValueError, AttributeError) as error:  # ValueError: NUL in the name; AttributeError: no stdin
        reason = getattr(error, "strerror", None) or error
        raise UsageError("unreadable-file", f"cannot read {name!r}: {reason}") from None


def _read_regular_file(name: str, limits: Limits) -> bytes:
    """Checks and reads a file through one descriptor, so that it cannot be replaced in between.

    A named pipe or device is opened without waiting, and rejected.
    """
    extra = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    with open(name, "rb", opener=lambda name, flags: os.open(name, flags | extra)) as stream:
        before = os.fstat(stream.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise ValueError("not a regular file (use - to read from a pipe)")
        if before.st_size > limits.max_bytes:
            _reject("too-large", (), f"the file has {before.st_size:,} bytes, more than {limits.max_bytes:,}", name)
        data = stream.read(before.st_size + 1)
        after = os.fstat(stream.fileno())
    if (len(data), before.st_mtime_ns) != (before.st_size, after.st_mtime_ns):
        raise ValueError("it changed while it was read")
    return data


def read_text(
    text: str | bytes, file: str | None = None, limits: Limits = DEFAULT_LIMITS, *, non_finite: bool = False
) -> Source:
    """Reads a document from a text, or from bytes in UTF-8. Raises CompileError with the first error.

    With `non_finite`, the numbers NaN, Infinity and -Infinity are accepted, as Python's json module writes them.
    """
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(data) > limits.max_bytes:
        _reject("too-large", (), f"the text has more than {limits.max_bytes:,} bytes", file)
    reader = _JsonReader(_decode(data, file), file, limits, non_finite)
    value, positions = reader.read_document()
    return Source(file, value, reader.text, positions, reader.line_index)


def from_value(value: dict[str, Any], limits: Limits = DEFAULT_LIMITS) -> Source:
    """Returns a copy of a Python value in plain JSON types. Raises CompileError if a JSON text could not express it."""
    return Source(None, _copy_as_json(value, limits, iter(range(limits.max_values)), (), ()), "", None, _LineIndex(""))


# Recognised by their byte order mark or, since a document begins with ASCII, by zero bytes (RFC 4627, section 3).
_ENCODINGS = [
    ("UTF-32", re.compile(rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff|[^\x00]\x00\x00\x00|\x00\x00\x00[^\x00]")),
    ("UTF-16", re.compile(rb"\xff\xfe|\xfe\xff|[^\x00]\x00|\x00[^\x00]")),
]


def _decode(data: bytes, file: str | None) -> str:
    try:
        if encodings := [name for name, pattern in _ENCODINGS if pattern.match(data)]:
            raise UnicodeDecodeError("utf-8", data, 0, 1, f"it is {encodings[0]}")
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = _LineIndex(data[: error.start].decode().removeprefix("\ufeff"))
        message = f"not UTF-8 at byte offset {error.start:,} (0x{data[error.start]:02x}): {error.reason}"
        position, help = before.position_at(len(before.text)), "save the file as UTF-8"
        raise CompileError([Diagnostic("invalid-encoding", message, "$", file, *position, help)]) from None


# Every pattern takes linear time: repetitions are possessive. A token includes the space after it, so that the reader
# is always at the start of a token.
_SPACE = r"[ \t\n\r]*+"
_VALUE = re.compile(
    r'(?:"([^"\\\x00-\x1f]*+)"'
    r"|(-?(?:0|[1-9][0-9]*+)((?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+))(?![\w.+-])"
    rf"|(true|false|null)(?!\w)|([\[{{])){_SPACE}"
)
_BRACKET_GROUP = 5
"""The last group of `_VALUE`: an opening bracket."""
_NON_FINITE = re.compile(rf"(NaN|-?Infinity)(?!\w){_SPACE}")
_KEY = re.compile(rf'"([^"\\\x00-\x1f]*+)"{_SPACE}:{_SPACE}')
_SEPARATOR = re.compile(rf"([,:\]}}]){_SPACE}")
_STRING_PART = re.compile(  # text, then the end of the string, an escape, a \u escape, or a surrogate pair of them
    rf'([^"\\\x00-\x1f]*+)(?:("){_SPACE}|\\(["\\/bfnrt])'
    r"|\\u((?![dD][89a-fA-F])[0-9a-fA-F]{4})|\\u([dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))?"
)
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONSTANTS = {"true": True, "false": False, "null": None}

_Mistakes = list[tuple[re.Pattern[str], str, str | None]]


def _mistakes(*rows: tuple[str, str, str | None]) -> _Mistakes:
    """Returns common mistakes as rows of pattern, message and help. The first pattern that matches is reported."""
    return [(re.compile(pattern), message, help) for pattern, message, help in rows]


_MISTAKES_ANYWHERE = _mistakes(
    (r"//|/\*|#", "a comment", "JSON has no comments: remove it"),
    (r"'", "a single quote", "write strings and keys in double quotes"),
    (r"[`\u00ab\u00bb\u2018-\u201f]", "a typographic quotation mark", 'use the plain double quote "'),
    (r"=", "an equals sign", "write a colon between a key and its value"),
    (
        r"[^\S \t\n\r]|[\ufeff\u200b-\u200f\u2060\0-\x1f]",
        "{} between tokens",
        "only spaces, tabs and line ends are allowed there",
    ),
)
_MISTAKES_FOR_VALUE = _MISTAKES_ANYWHERE + _mistakes(
    (r"[+-]?(?i:nan|inf(?:inity)?)\b", "{} is not a JSON number", "write a finite number, or omit the key"),
    (r"(?i:true|false|null|none|nil|undefined)\b", "{} is not a JSON value", "JSON has true, false and null"),
    (r"[+-]?0[xX]\w*", "{} is a hexadecimal number", "write it in decimal"),
    (r"[+-]?0[0-9]+", "the number {} has a leading zero", "remove the zero"),
    (r"\+[0-9.]+", "the number {} has a plus sign", "remove the plus sign"),
    (
        r"-?(?:\.[0-9]+|[0-9]+\.(?![0-9]))",
        "the number {} has no digit on one side of its decimal point",
        "write at least one digit on each side",
    ),
    (r"[0-9-][\w.+-]*", "{} is not a valid JSON number", None),
    (r"[^\W\d]\w*", "{} is not a JSON value", "write text in double quotes"),
)
_MISTAKES_FOR_KEY = _MISTAKES_ANYWHERE + _mistakes(
    (r"[\w$][\w$-]*", "the key {} is not in double quotes", "write it in double quotes")
)
_MISTAKES_FOR_SEPARATOR = _MISTAKES_ANYWHERE + _mistakes(
    (r'["\w{\[-]', "a comma is missing before {}", "write a comma between the two values")
)
_MISTAKES_IN_STRING = _mistakes(
    (r"[\n\r]", "a line ends inside a string", "close the string, or write the line end as \\n"),
    (
        r"[\0-\x1f]",
        "a control character {} inside a string",
        "write a tab as \\t, other control characters as \\u and four hexadecimal digits",
    ),
    (r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", "{} is a lone surrogate", "write both surrogates, or the character itself"),
    (r"\\u", "\\u is not followed by four hexadecimal digits", None),
    (r"\\[\s\S]", "{} is not a JSON escape", "write a backslash as \\\\"),
)
_CODE_BY_MESSAGE = {"{} is not a JSON number": "invalid-number", "{} is a lone surrogate": "invalid-encoding"}


class _JsonReader:
    """Reads one text in one pass, with an explicit stack in place of recursion."""

    def __init__(self, text: str, file: str | None, limits: Limits, non_finite: bool) -> None:
        self.text, self.file, self.limits, self.non_finite = text, file, limits, non_finite
        self.line_index = _LineIndex(text)
        self.open_containers: list[_ArrayPositions | _ObjectPositions] = []

    def read_document(self) -> tuple[Json, _Positions]:
        """Returns the value and the positions of its parts. Each turn of the loop reads a scalar or a bracket."""
        text = self.text
        at = len(text) - len(text.lstrip(" \t\n\r"))
        if at == len(text):
            self.fail("empty-document", 0, "the document is empty")
        value: Json
        positions: _Positions
        value_counter = iter(range(self.limits.max_values))
        while True:
            if next(value_counter, None) is None:
                message = f"more than {self.limits.max_values:,} values"
                self.fail("too-large", at, message, "keep data in a separate file")
            match = _VALUE.match(text, at)
            if match is None or match.lastindex != _BRACKET_GROUP:
                positions, (value, at) = at, self.read_scalar(at, match)
            else:
                container, at = self.new_container(at, match[_BRACKET_GROUP]), match.end()
                closing = _SEPARATOR.match(text, at)
                if closing is None or match[_BRACKET_GROUP] + closing[1] not in ("[]", "{}"):
                    self.open_containers.append(container)
                    at = self.read_key(container, at) if isinstance(container, _ObjectPositions) else at
                    continue
                value, positions, at = container.value, container, closing.end()
            value, positions, at = self.close_containers(value, positions, at)
            if not self.open_containers:
                return value, positions

    def read_scalar(self, offset: int, match: re.Match[str] | None) -> tuple[Json, int]:
        """Returns a scalar and the offset after it; `match` is that of `_VALUE` at the offset."""
        if match is None:
            if self.non_finite and (non_finite := _NON_FINITE.match(self.text, offset)):
                return float(non_finite[1]), non_finite.end()
            if not self.text.startswith('"', offset):
                self.fail_expected(offset, "a value", _MISTAKES_FOR_VALUE)
            return self.read_string(offset)
        string, number, fraction_and_exponent, constant, _ = match.groups()
        if string is not None:
            return string, match.end()
        if number:
            return self.parse_number(offset, number, fraction_and_exponent), match.end()
        return _CONSTANTS[constant], match.end()

    def new_container(self, offset: int, bracket: str) -> _ArrayPositions | _ObjectPositions:
        """Returns an empty object or list that begins at an offset, unless it is nested too deep."""
        if len(self.open_containers) == self.limits.max_depth:
            self.fail("too-deep", offset, f"objects and lists nest deeper than {self.limits.max_depth} levels")
        return _ObjectPositions(offset, {}, {}, {}) if bracket == "{" else _ArrayPositions(offset, [], [])

    def close_containers(self, value: Json, positions: _Positions, offset: int) -> tuple[Json, _Positions, int]:
        """Adds a complete value to its container, and closes every container that ends there.

        Returns the last complete value, its positions, and the offset of the next value (or of the document's end).
        """
        while self.open_containers:
            container = self.open_containers[-1]
            if isinstance(container, _ObjectPositions):
                key = next(reversed(container.keys))
                container.value[key], container.members[key], closer = value, positions, "}"
            else:
                container.value.append(value)
                container.items.append(positions)
                closer = "]"
            match = _SEPARATOR.match(self.text, offset)
            if match is None or match[1] not in ("," + closer):
                self.fail_expected(offset, f"',' or '{closer}'", _MISTAKES_FOR_SEPARATOR)
            offset = match.end()
            if match[1] == ",":
                offset = self.read_key(container, offset) if isinstance(container, _ObjectPositions) else offset
                return value, positions, offset
            value, positions = container.value, self.open_containers.pop()
        if offset < len(self.text):
            self.fail_expected(offset, "the end of the document", _MISTAKES_ANYWHERE)
        return value, positions, offset

    def read_key(self, container: _ObjectPositions, offset: int) -> int:
        """Reads a key and its colon, and returns the offset of the value."""
        if match := _KEY.match(self.text, offset):
            key, end = match[1], match.end()
        elif self.text.startswith('"', offset):
            key, end = self.read_string(offset)
            colon = _SEPARATOR.match(self.text, end)
            if colon is None or colon[1] != ":":
                self.fail_expected(end, f"':' after the key {_quoted_token(key)}", _MISTAKES_ANYWHERE)
            end = colon.end()
        else:
            self.fail_expected(offset, "a key in double quotes", _MISTAKES_FOR_KEY)
        if key in container.keys:
            steps = (
                next(reversed(at.keys)) if isinstance(at, _ObjectPositions) else len(at.items)
                for at in self.open_containers[:-1]
            )
            first = self.note("first used here", container.keys[key], path_text((*steps, key)))
            self.fail("duplicate-key", offset, f"the key {_quoted_token(key)} is used twice in one object", None, first)
        container.keys[key] = offset
        return end

    def parse_number(self, offset: int, text: str, fraction_and_exponent: str) -> int | float:
        """Returns an integer if there is neither a fraction nor an exponent, else a float."""
        if len(text) > min(self.limits.max_digits, 640):
            self.fail("invalid-number", offset, f"a number of {len(text):,} characters, which is too long")
        if not fraction_and_exponent:
            return int(text)
        value = float(text)
        if not isfinite(value) or (value == 0 and text.lower().partition("e")[0].strip("-0.")):
            message = f"{_quoted_token(text)} is out of range: floats reach from 4.9e-324 to 1.8e308"
            self.fail("invalid-number", offset, message)
        return value

    def read_string(self, offset: int) -> tuple[str, int]:
        """Returns a string that contains escapes, and the offset after it."""
        parts, end = [], offset + 1
        for part in _STRING_PART.finditer(self.text, end):
            text, closed, escape, character, pair = part.groups()
            parts.append(text)
            end = part.end()
            if closed:
                break
            if escape:
                parts.append(_ESCAPES[escape])
            elif units := character or pair:
                parts.append(bytes.fromhex(units.replace("\\u", "")).decode("utf-16-be"))
            else:
                self.fail_expected(end, "the end of the string", _MISTAKES_IN_STRING, offset)
        return "".join(parts), end

    def fail_expected(self, offset: int, expected: str, mistakes: _Mistakes, start: int | None = None) -> NoReturn:
        """Reports an unexpected character, by its mistake if that is a common one.

        `start` is the offset of the string or container that is not closed; the innermost container if omitted.
        """
        if start is None and self.open_containers:
            start = self.open_containers[-1].start
        notes = () if start is None else (self.note(f"this {self.text[start]} is not closed", start),)
        if offset == len(self.text):
            self.fail("invalid-json", offset, f"expected {expected}, but the text ends", None, *notes)
        before = self.text[:offset].rstrip(" \t\n\r")
        if self.text[offset] in "]}" and before.endswith(","):
            self.fail("invalid-json", len(before) - 1, "a trailing comma", "remove it")
        for pattern, message, help in mistakes:
            if match := pattern.match(self.text, offset):
                code = _CODE_BY_MESSAGE.get(message, "invalid-json")
                self.fail(code, offset, message.format(_quoted_token(match[0])), help)
        message = f"expected {expected}, found {_quoted_token(self.text[offset])}"
        self.fail("invalid-json", offset, message, None, *notes)

    def note(self, message: str, offset: int, path: str = "$") -> Note:
        return Note(message, path, self.file, *self.line_index.position_at(offset))

    def fail(self, code: str, offset: int, message: str, help: str | None = None, *notes: Note) -> NoReturn:
        path = notes[0].path if notes else "$"
        raise CompileError(
            [Diagnostic(code, message, path, self.file, *self.line_index.position_at(offset), help, notes=notes)]
        )


def _quoted_token(text: str) -> str:
    """Returns a token for a message: quoted, shortened, or the code point of a single invisible character."""
    if len(text) == 1 and (text.isspace() or not text.isprintable()):
        return f"U+{ord(text):04X}"
    return short_name(text, max_length=40)


def _copy_as_json(
    value: object, limits: Limits, budget: Iterator[int], path: JsonPath, ancestors: tuple[int, ...]
) -> Json:
    """Returns a copy in plain JSON types: a NumPy float64 or an enumeration's member becomes an instance of its base.

    Recursion ends at `max_depth`. `budget` counts the values: a list object that occurs several times counts each time.
    """
    if next(budget, None) is None:
        _reject("too-large", path, f"more than {limits.max_values:,} values")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _checked_string(value, path)
    if isinstance(value, int) and abs(value) < 10 ** min(limits.max_digits, 640):
        return int.__int__(value)
    if isinstance(value, float) and isfinite(value):
        return float.__float__(value)
    if isinstance(value, (int, float)):
        _reject("invalid-number", path, f"expected a finite number of at most {limits.max_digits} digits")
    if not isinstance(value, (dict, list)):
        _reject("invalid-json", path, f"a value of type {type(value).__name__}, which is not a JSON type")
    if id(value) in ancestors:
        _reject("invalid-json", path, "the value contains itself")
    if len(ancestors) == limits.max_depth:
        _reject("too-deep", path, f"objects and lists nest deeper than {limits.max_depth} levels")
    ancestors = (*ancestors, id(value))
    if isinstance(value, list):
        return [_copy_as_json(item, limits, budget, (*path, index), ancestors) for index, item in enumerate(value)]
    return {
        _checked_string(key, path): _copy_as_json(item, limits, budget, (*path, key), ancestors)
        for key, item in value.items()
    }


def _checked_string(text: object, path: JsonPath) -> str:
    if not isinstance(text, str):
        _reject("invalid-json", path, f"a key of type {type(text).__name__}, which is not a string")
    if re.search(r"[\ud800-\udfff]", text):
        _reject("invalid-encoding", path, f"{_quoted_token(text)} contains a lone surrogate")
    return str.__str__(text)


def _reject(code: str, path: JsonPath, message: str, file: str | None = None) -> NoReturn:
    raise CompileError([Diagnostic(code, message, path_text(path), file)])
