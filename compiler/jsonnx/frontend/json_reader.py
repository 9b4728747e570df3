"""JSON text with positions: the first stage, and the only reader of specs.

Comes in: a file, a text, or a Python value. Goes out: `Source`, the plain value and where every key and value of it
stands. The reader is RFC 8259 to the letter, and refuses what the standard library's loses in silence: duplicate keys,
numbers that overflow or underflow, lone surrogates. It does not recurse. Imports `diagnostics` only.

What is decided here. A byte order mark is accepted: it says UTF-8, which we require, and it is no part of
`Source.text`, so columns do not count it. LF, CRLF and a lone CR end a line, as in editors; U+2028 does not. `-0` is
the integer 0, `1.0` stays a float, and integers are exact: ranges are the schema's business.
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

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


@dataclass(frozen=True)
class Limits:
    """What one document may cost; beyond it the codes are `too-large`, `too-deep` and `invalid-number`."""

    max_bytes: int = 64 * 2**20  # asked of the file system before anything is read
    max_depth: int = 64
    max_digits: int = 640  # characters of one number; not more than 640, which str() takes however Python is set
    max_values: int = 2_000_000  # 64 MiB of `0,0,0` would cost gigabytes of memory


DEFAULT_LIMITS = Limits()


class _ArrayPositions(NamedTuple):
    start: int
    value: list[Json]
    items: list[_Positions]


class _ObjectPositions(NamedTuple):
    start: int
    value: dict[str, Json]
    members: dict[str, _Positions]
    keys: dict[str, int]  # while the object is read, the last is the one that waits for a value


_Positions = int | _ArrayPositions | _ObjectPositions
"""Where a value stands. Of a scalar no more than its offset, and no line or column before one is asked for."""


@dataclass(frozen=True)
class _LineIndex:
    """Offsets of a text as lines and columns."""

    text: str

    @cached_property
    def line_starts(self) -> list[int]:
        return [0, *(found.end() for found in re.finditer(r"\r\n?|\n", self.text))]

    def position_at(self, offset: int) -> Position:
        line = bisect_right(self.line_starts, offset)
        return Position(line, offset - self.line_starts[line - 1] + 1)


@dataclass(frozen=True, eq=False)
class Source:
    """A JSON value and where its parts stand. `value` is to be read, not changed: the positions would be wrong."""

    file: str | None  # as shown to the user; None for a text or value given directly
    value: Json
    text: str = field(repr=False)
    _positions: _Positions | None = field(repr=False)
    _line_index: _LineIndex = field(repr=False)

    def locate(self, path: JsonPath, key: bool = False) -> Position | None:
        """Where the value at a path stands, or its key; for a path that does not exist, its nearest ancestor.

        What has no key, such as a list's item, stands where its value does. None where there was no text.
        """
        if self._positions is None:
            return None
        place, key_start = self._positions, None
        for step in path:
            inside, key_start = place, None
            if isinstance(inside, _ObjectPositions) and isinstance(step, str) and step in inside.members:
                place, key_start = inside.members[step], inside.keys[step]
            elif isinstance(inside, _ArrayPositions) and isinstance(step, int) and 0 <= step < len(inside.items):
                place = inside.items[step]
            else:
                break
        start = place if isinstance(place, int) else place.start
        return self._line_index.position_at(key_start if key and key_start is not None else start)


def read_file(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> Source:
    """Read a regular file, or standard input for `-`. UsageError `unreadable-file` where there is nothing to read."""
    name = os.fspath(path)
    return read_text(read_bytes(name, limits), "<stdin>" if name == "-" else name, limits)


def read_bytes(name: str, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The bytes that `read_file` reads as text."""
    try:
        return sys.stdin.buffer.read(limits.max_bytes + 1) if name == "-" else _read_regular_file(name, limits)
    except (OSError, ValueError, AttributeError) as why:  # a NUL in the name is a ValueError, no stdin the last
        raise UsageError("unreadable-file", f"cannot read {name!r}: {getattr(why, 'strerror', None) or why}") from None


def _read_regular_file(name: str, limits: Limits) -> bytes:
    """Through one descriptor, so that what is checked is what is read; a FIFO or device is opened without waiting."""
    extra = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    with open(name, "rb", opener=lambda name, flags: os.open(name, flags | extra)) as stream:
        before = os.fstat(stream.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise ValueError("not a regular file (a pipe is read as -)")
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
    """Read a document; bytes are UTF-8. CompileError with the first fault, at its line and column.

    With `non_finite`, NaN, Infinity and -Infinity are numbers, as Python's json writes them.
    """
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(data) > limits.max_bytes:
        _reject("too-large", (), f"the text has more than {limits.max_bytes:,} bytes", file)
    reader = _JsonReader(_decode(data, file), file, limits, non_finite)
    value, place = reader.read_document()
    return Source(file, value, reader.text, place, reader.line_index)


def from_value(value: dict[str, Any], limits: Limits = DEFAULT_LIMITS) -> Source:
    """Take a value made by a program, as a copy in plain types, by the rules a text must keep."""
    return Source(None, _copy_as_json(value, limits, iter(range(limits.max_values)), (), ()), "", None, _LineIndex(""))


_ENCODINGS = [  # by mark, or because a document begins with ASCII, by zero bytes (RFC 4627, section 3)
    ("UTF-32", re.compile(rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff|[^\x00]\x00\x00\x00|\x00\x00\x00[^\x00]")),
    ("UTF-16", re.compile(rb"\xff\xfe|\xfe\xff|[^\x00]\x00|\x00[^\x00]")),
]


def _decode(data: bytes, file: str | None) -> str:
    try:
        if unlike := [name for name, pattern in _ENCODINGS if pattern.match(data)]:
            raise UnicodeDecodeError("utf-8", data, 0, 1, f"it is {unlike[0]}")
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = _LineIndex(data[: error.start].decode().removeprefix("\ufeff"))
        message = f"not UTF-8 at byte offset {error.start:,} (0x{data[error.start]:02x}): {error.reason}"
        where, help = before.position_at(len(before.text)), "save the file as UTF-8"
        raise CompileError([Diagnostic("invalid-encoding", message, "$", file, *where, help)]) from None


# All linear: what repeats is possessive. A token takes the space after it along, so the reader is always at a token.
_SPACE = r"[ \t\n\r]*+"
_VALUE = re.compile(
    r'(?:"([^"\\\x00-\x1f]*+)"'
    r"|(-?(?:0|[1-9][0-9]*+)((?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+))(?![\w.+-])"
    rf"|(true|false|null)(?!\w)|([\[{{])){_SPACE}"
)
_NON_FINITE = re.compile(rf"(NaN|-?Infinity)(?!\w){_SPACE}")
_KEY = re.compile(rf'"([^"\\\x00-\x1f]*+)"{_SPACE}:{_SPACE}')
_SEPARATOR = re.compile(rf"([,:\]}}]){_SPACE}")
_STRING_PART = re.compile(  # of a string: its end, an escape, one for a character, a surrogate pair
    rf'([^"\\\x00-\x1f]*+)(?:("){_SPACE}|\\(["\\/bfnrt])'
    r"|\\u((?![dD][89a-fA-F])[0-9a-fA-F]{4})|\\u([dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))?"
)
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONSTANTS = {"true": True, "false": False, "null": None}

_Mistakes = list[tuple[re.Pattern[str], str, str | None]]


def _mistakes(*rows: tuple[str, str, str | None]) -> _Mistakes:
    """What people write where JSON wants something else: pattern, message, help. The first that matches is meant."""
    return [(re.compile(pattern), message, help) for pattern, message, help in rows]


_MISTAKES_ANYWHERE = _mistakes(
    (r"//|/\*|#", "a comment", "JSON has no comments: take it out"),
    (r"'", "a single quote", "strings and keys stand in double quotes"),
    (r"[`\u00ab\u00bb\u2018-\u201f]", "a typographic quotation mark", 'use the plain double quote "'),
    (r"=", "an equals sign", "a colon stands between a key and its value"),
    (r"[^\S \t\n\r]|[\ufeff\u200b-\u200f\u2060\0-\x1f]", "{} between tokens", "only space, tab and line ends may be"),
)
_MISTAKES_FOR_VALUE = _MISTAKES_ANYWHERE + _mistakes(
    (r"[+-]?(?i:nan|inf(?:inity)?)\b", "{} is not a JSON number", "write a finite number, or leave it out"),
    (r"(?i:true|false|null|none|nil|undefined)\b", "{} is not a JSON value", "JSON has true, false and null"),
    (r"[+-]?0[xX]\w*", "{} is a hexadecimal number", "write it in decimal"),
    (r"[+-]?0[0-9]+", "the number {} has a leading zero", "drop the zero"),
    (r"\+[0-9.]+", "the number {} has a plus sign", "drop the plus sign"),
    (r"-?(?:\.[0-9]+|[0-9]+\.(?![0-9]))", "the number {} lacks digits on one side of its point", "write at least one"),
    (r"[0-9-][\w.+-]*", "{} is not written as JSON writes numbers", None),
    (r"[^\W\d]\w*", "{} is not a JSON value", "text stands in double quotes"),
)
_MISTAKES_FOR_KEY = _MISTAKES_ANYWHERE + _mistakes(
    (r"[\w$][\w$-]*", "the key {} is not in double quotes", "put it in double quotes")
)
_MISTAKES_FOR_SEPARATOR = _MISTAKES_ANYWHERE + _mistakes(
    (r'["\w{\[-]', "a comma is missing before {}", "put a comma between the two")
)
_MISTAKES_IN_STRING = _mistakes(
    (r"[\n\r]", "a line ends inside a string", "close the string, or write the line end as \\n"),
    (r"[\0-\x1f]", "a control character {} inside a string", "write a tab as \\t, others as \\u and four digits"),
    (r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", "{} is a lone surrogate", "write both halves, or the character itself"),
    (r"\\u", "\\u is not followed by four hexadecimal digits", None),
    (r"\\[\s\S]", "{} is not an escape of JSON", "a backslash itself is written \\\\"),
)
_CODE_BY_MESSAGE = {"{} is not a JSON number": "invalid-number", "{} is a lone surrogate": "invalid-encoding"}


class _JsonReader:
    """One pass over one text, with a stack of its own in place of recursion."""

    def __init__(self, text: str, file: str | None, limits: Limits, non_finite: bool) -> None:
        self.text, self.file, self.limits, self.non_finite = text, file, limits, non_finite
        self.line_index = _LineIndex(text)
        self.open_containers: list[_ArrayPositions | _ObjectPositions] = []

    def read_document(self) -> tuple[Json, _Positions]:
        """The value and its places; each turn of the loop reads one value."""
        text = self.text
        at = len(text) - len(text.lstrip(" \t\n\r"))
        if at == len(text):
            self.fail("empty-document", 0, "the document is empty")
        value: Json
        place: _Positions
        budget = iter(range(self.limits.max_values))
        while True:
            if next(budget, None) is None:
                self.fail(
                    "too-large", at, f"more than {self.limits.max_values:,} values", "keep data in a file of its own"
                )
            place, match = at, _VALUE.match(text, at)
            if match is None and self.non_finite and (found := _NON_FINITE.match(text, at)):
                value, at = float(found[1]), found.end()
            elif match is None:
                if not text.startswith('"', at):
                    self.fail_expected(at, "a value", _MISTAKES_FOR_VALUE)
                value, at = self.read_string(at)
            else:
                at = match.end()
                word, number, rest, constant, bracket = match.groups()
                if word is not None:
                    value = word
                elif number:
                    value = self.parse_number(place, number, rest)
                elif constant:
                    value = _CONSTANTS[constant]
                else:
                    if len(self.open_containers) == self.limits.max_depth:
                        self.fail(
                            "too-deep", place, f"objects and lists nest deeper than {self.limits.max_depth} levels"
                        )
                    place = _ObjectPositions(place, {}, {}, {}) if bracket == "{" else _ArrayPositions(place, [], [])
                    closing = _SEPARATOR.match(text, at)
                    if closing is None or bracket + closing[1] not in ("[]", "{}"):
                        self.open_containers.append(place)
                        at = self.read_key(place, at) if isinstance(place, _ObjectPositions) else at
                        continue
                    value, at = place.value, closing.end()
            value, place, at = self.close_containers(value, place, at)
            if not self.open_containers:
                return value, place

    def close_containers(self, value: Json, place: _Positions, offset: int) -> tuple[Json, _Positions, int]:
        """Hand a whole value to its container, that to its own where it ends, until another value has to follow."""
        while self.open_containers:
            inside = self.open_containers[-1]
            if isinstance(inside, _ObjectPositions):
                key = next(reversed(inside.keys))
                inside.value[key], inside.members[key], closer = value, place, "}"
            else:
                inside.value.append(value)
                inside.items.append(place)
                closer = "]"
            match = _SEPARATOR.match(self.text, offset)
            if match is None or match[1] not in ("," + closer):
                self.fail_expected(offset, f"',' or '{closer}'", _MISTAKES_FOR_SEPARATOR)
            offset = match.end()
            if match[1] == ",":
                return value, place, self.read_key(inside, offset) if isinstance(inside, _ObjectPositions) else offset
            value, place = inside.value, self.open_containers.pop()
        if offset < len(self.text):
            self.fail_expected(offset, "the end of the document", _MISTAKES_ANYWHERE)
        return value, place, offset

    def read_key(self, container: _ObjectPositions, offset: int) -> int:
        """Read a key and its colon; the answer is where the value starts."""
        if match := _KEY.match(self.text, offset):
            key, end = match[1], match.end()
        elif self.text.startswith('"', offset):
            key, end = self.read_string(offset)
            colon = _SEPARATOR.match(self.text, end)
            if colon is None or colon[1] != ":":
                self.fail_expected(end, f"':' after the key {_short_repr(key)}", _MISTAKES_ANYWHERE)
            end = colon.end()
        else:
            self.fail_expected(offset, "a key in double quotes", _MISTAKES_FOR_KEY)
        if key in container.keys:
            steps = (
                next(reversed(at.keys)) if isinstance(at, _ObjectPositions) else len(at.items)
                for at in self.open_containers[:-1]
            )
            first = self.note("it is first here", container.keys[key], path_text((*steps, key)))
            self.fail("duplicate-key", offset, f"the key {_short_repr(key)} stands twice in one object", None, first)
        container.keys[key] = offset
        return end

    def parse_number(self, offset: int, text: str, rest: str) -> int | float:
        """An integer if there is no fraction and no exponent, the `rest`."""
        if len(text) > min(self.limits.max_digits, 640):
            self.fail("invalid-number", offset, f"a number of {len(text):,} characters, which is too long")
        if not rest:
            return int(text)
        value = float(text)
        if not isfinite(value) or (value == 0 and text.lower().partition("e")[0].strip("-0.")):
            self.fail("invalid-number", offset, f"{_short_repr(text)} is out of range, which is 4.9e-324 to 1.8e308")
        return value

    def read_string(self, offset: int) -> tuple[str, int]:
        """A string with escapes, and the offset after it."""
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
                self.fail_expected(end, "the string's end", _MISTAKES_IN_STRING, offset)
        return "".join(parts), end

    def fail_expected(self, offset: int, expected: str, mistakes: _Mistakes, start: int | None = None) -> NoReturn:
        """Say what stands where something else is expected, and the habit behind it; `start` is of what is open."""
        if start is None and self.open_containers:
            start = self.open_containers[-1].start
        notes = () if start is None else (self.note(f"this {self.text[start]} is not closed", start),)
        if offset == len(self.text):
            self.fail("invalid-json", offset, f"the text ends, expected {expected}", None, *notes)
        before = self.text[:offset].rstrip(" \t\n\r")
        if self.text[offset] in "]}" and before.endswith(","):
            self.fail("invalid-json", len(before) - 1, "a trailing comma", "take it out")
        for pattern, message, help in mistakes:
            if match := pattern.match(self.text, offset):
                self.fail(
                    _CODE_BY_MESSAGE.get(message, "invalid-json"), offset, message.format(_short_repr(match[0])), help
                )
        self.fail("invalid-json", offset, f"expected {expected}, found {_short_repr(self.text[offset])}", None, *notes)

    def note(self, message: str, offset: int, path: str = "$") -> Note:
        return Note(message, path, self.file, *self.line_index.position_at(offset))

    def fail(self, code: str, offset: int, message: str, help: str | None = None, *notes: Note) -> NoReturn:
        path = notes[0].path if notes else "$"
        raise CompileError(
            [Diagnostic(code, message, path, self.file, *self.line_index.position_at(offset), help, notes=notes)]
        )


def _short_repr(text: str) -> str:
    """For a message: short, and escaped where it would not show or would reorder the line."""
    if len(text) == 1 and (text.isspace() or not text.isprintable()):
        return f"U+{ord(text):04X}"
    return repr(text if len(text) <= 40 else text[:40] + "...")


def _copy_as_json(
    value: object, limits: Limits, budget: Iterator[int], path: JsonPath, ancestors: tuple[int, ...]
) -> Json:
    """The plain type of a subclass, such as an enumeration's member or a NumPy float64. Recursion ends at `max_depth`."""
    if next(budget, None) is None:  # one list that stands in many places is many lists
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
        _reject("invalid-json", path, f"a value of type {type(value).__name__}, which JSON does not have")
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
        _reject("invalid-encoding", path, f"{_short_repr(text)} holds a lone surrogate")
    return str.__str__(text)


def _reject(code: str, path: JsonPath, message: str, file: str | None = None) -> NoReturn:
    raise CompileError([Diagnostic(code, message, path_text(path), file)])
