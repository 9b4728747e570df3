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

    bytes: int = 64 * 2**20  # asked of the file system before anything is read
    depth: int = 64
    digits: int = 640  # characters of one number; not more than 640, which str() takes however Python is set
    values: int = 2_000_000  # 64 MiB of `0,0,0` would cost gigabytes of memory


STANDARD = Limits()


class _List(NamedTuple):
    start: int
    value: list[Json]
    places: list[_Place]


class _Object(NamedTuple):
    start: int
    value: dict[str, Json]
    places: dict[str, _Place]
    keys: dict[str, int]  # while the object is read, the last is the one that waits for a value


_Place = int | _List | _Object
"""Where a value stands. Of a scalar no more than its offset, and no line or column before one is asked for."""


@dataclass(frozen=True)
class _Lines:
    """Offsets of a text as lines and columns."""

    text: str

    @cached_property
    def starts(self) -> list[int]:
        return [0, *(found.end() for found in re.finditer(r"\r\n?|\n", self.text))]

    def at(self, offset: int) -> Position:
        line = bisect_right(self.starts, offset)
        return Position(line, offset - self.starts[line - 1] + 1)


@dataclass(frozen=True, eq=False)
class Source:
    """A JSON value and where its parts stand. `value` is to be read, not changed: the positions would be wrong."""

    file: str | None  # as shown to the user; None for a text or value given directly
    value: Json
    text: str = field(repr=False)
    _root: _Place | None = field(repr=False)
    _lines: _Lines = field(repr=False)

    def locate(self, path: JsonPath, key: bool = False) -> Position | None:
        """Where the value at a path stands, or its key; for a path that does not exist, its nearest ancestor.

        What has no key, such as a list's item, stands where its value does. None where there was no text.
        """
        if self._root is None:
            return None
        place, key_start = self._root, None
        for step in path:
            inside, key_start = place, None
            if isinstance(inside, _Object) and isinstance(step, str) and step in inside.places:
                place, key_start = inside.places[step], inside.keys[step]
            elif isinstance(inside, _List) and isinstance(step, int) and 0 <= step < len(inside.places):
                place = inside.places[step]
            else:
                break
        start = place if isinstance(place, int) else place.start
        return self._lines.at(key_start if key and key_start is not None else start)


def read_file(path: str | os.PathLike[str], limits: Limits = STANDARD) -> Source:
    """Read a regular file, or standard input for `-`. UsageError `unreadable-file` where there is nothing to read."""
    name = os.fspath(path)
    return read_text(read_bytes(name, limits), "<stdin>" if name == "-" else name, limits)


def read_bytes(name: str, limits: Limits = STANDARD) -> bytes:
    """The bytes that `read_file` reads as text."""
    try:
        return sys.stdin.buffer.read(limits.bytes + 1) if name == "-" else _file_bytes(name, limits)
    except (OSError, ValueError, AttributeError) as why:  # a NUL in the name is a ValueError, no stdin the last
        raise UsageError("unreadable-file", f"cannot read {name!r}: {getattr(why, 'strerror', None) or why}") from None


def _file_bytes(name: str, limits: Limits) -> bytes:
    """Through one descriptor, so that what is checked is what is read; a FIFO or device is opened without waiting."""
    extra = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    with open(name, "rb", opener=lambda name, flags: os.open(name, flags | extra)) as stream:
        before = os.fstat(stream.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise ValueError("not a regular file (a pipe is read as -)")
        if before.st_size > limits.bytes:
            _reject("too-large", (), f"the file has {before.st_size:,} bytes, more than {limits.bytes:,}", name)
        data = stream.read(before.st_size + 1)
        after = os.fstat(stream.fileno())
    if (len(data), before.st_mtime_ns) != (before.st_size, after.st_mtime_ns):
        raise ValueError("it changed while it was read")
    return data


def read_text(
    text: str | bytes, file: str | None = None, limits: Limits = STANDARD, *, non_finite: bool = False
) -> Source:
    """Read a document; bytes are UTF-8. CompileError with the first fault, at its line and column.

    With `non_finite`, NaN, Infinity and -Infinity are numbers, as Python's json writes them.
    """
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(data) > limits.bytes:
        _reject("too-large", (), f"the text has more than {limits.bytes:,} bytes", file)
    reader = _Reader(_decoded(data, file), file, limits, non_finite)
    value, place = reader.document()
    return Source(file, value, reader.text, place, reader.lines)


def from_value(value: dict[str, Any], limits: Limits = STANDARD) -> Source:
    """Take a value made by a program, as a copy in plain types, by the rules a text must keep."""
    return Source(None, _copied(value, limits, iter(range(limits.values)), (), ()), "", None, _Lines(""))


_ENCODINGS = [  # by mark, or because a document begins with ASCII, by zero bytes (RFC 4627, section 3)
    ("UTF-32", re.compile(rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff|[^\x00]\x00\x00\x00|\x00\x00\x00[^\x00]")),
    ("UTF-16", re.compile(rb"\xff\xfe|\xfe\xff|[^\x00]\x00|\x00[^\x00]")),
]


def _decoded(data: bytes, file: str | None) -> str:
    try:
        if unlike := [name for name, pattern in _ENCODINGS if pattern.match(data)]:
            raise UnicodeDecodeError("utf-8", data, 0, 1, f"it is {unlike[0]}")
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = _Lines(data[: error.start].decode().removeprefix("\ufeff"))
        message = f"not UTF-8 at byte offset {error.start:,} (0x{data[error.start]:02x}): {error.reason}"
        where, help = before.at(len(before.text)), "save the file as UTF-8"
        raise CompileError([Diagnostic("invalid-encoding", message, "$", file, *where, help)]) from None


# All linear: what repeats is possessive. A token takes the space after it along, so the reader is always at a token.
_S = r"[ \t\n\r]*+"
_VALUE = re.compile(
    r'(?:"([^"\\\x00-\x1f]*+)"'
    r"|(-?(?:0|[1-9][0-9]*+)((?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+))(?![\w.+-])"
    rf"|(true|false|null)(?!\w)|([\[{{])){_S}"
)
_NON_FINITE = re.compile(rf"(NaN|-?Infinity)(?!\w){_S}")
_KEY = re.compile(rf'"([^"\\\x00-\x1f]*+)"{_S}:{_S}')
_NEXT = re.compile(rf"([,:\]}}]){_S}")
_PART = re.compile(  # of a string: its end, an escape, one for a character, a surrogate pair
    rf'([^"\\\x00-\x1f]*+)(?:("){_S}|\\(["\\/bfnrt])'
    r"|\\u((?![dD][89a-fA-F])[0-9a-fA-F]{4})|\\u([dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))?"
)
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None}

_Habits = list[tuple[re.Pattern[str], str, str | None]]


def _habits(*rows: tuple[str, str, str | None]) -> _Habits:
    """What people write where JSON wants something else: pattern, message, help. The first that matches is meant."""
    return [(re.compile(pattern), message, help) for pattern, message, help in rows]


_ANYWHERE = _habits(
    (r"//|/\*|#", "a comment", "JSON has no comments: take it out"),
    (r"'", "a single quote", "strings and keys stand in double quotes"),
    (r"[`\u00ab\u00bb\u2018-\u201f]", "a typographic quotation mark", 'use the plain double quote "'),
    (r"=", "an equals sign", "a colon stands between a key and its value"),
    (r"[^\S \t\n\r]|[\ufeff\u200b-\u200f\u2060\0-\x1f]", "{} between tokens", "only space, tab and line ends may be"),
)
_FOR_VALUE = _ANYWHERE + _habits(
    (r"[+-]?(?i:nan|inf(?:inity)?)\b", "{} is not a JSON number", "write a finite number, or leave it out"),
    (r"(?i:true|false|null|none|nil|undefined)\b", "{} is not a JSON value", "JSON has true, false and null"),
    (r"[+-]?0[xX]\w*", "{} is a hexadecimal number", "write it in decimal"),
    (r"[+-]?0[0-9]+", "the number {} has a leading zero", "drop the zero"),
    (r"\+[0-9.]+", "the number {} has a plus sign", "drop the plus sign"),
    (r"-?(?:\.[0-9]+|[0-9]+\.(?![0-9]))", "the number {} lacks digits on one side of its point", "write at least one"),
    (r"[0-9-][\w.+-]*", "{} is not written as JSON writes numbers", None),
    (r"[^\W\d]\w*", "{} is not a JSON value", "text stands in double quotes"),
)
_FOR_KEY = _ANYWHERE + _habits((r"[\w$][\w$-]*", "the key {} is not in double quotes", "put it in double quotes"))
_FOR_NEXT = _ANYWHERE + _habits((r'["\w{\[-]', "a comma is missing before {}", "put a comma between the two"))
_IN_STRING = _habits(
    (r"[\n\r]", "a line ends inside a string", "close the string, or write the line end as \\n"),
    (r"[\0-\x1f]", "a control character {} inside a string", "write a tab as \\t, others as \\u and four digits"),
    (r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", "{} is a lone surrogate", "write both halves, or the character itself"),
    (r"\\u", "\\u is not followed by four hexadecimal digits", None),
    (r"\\[\s\S]", "{} is not an escape of JSON", "a backslash itself is written \\\\"),
)
_CODES = {"{} is not a JSON number": "invalid-number", "{} is a lone surrogate": "invalid-encoding"}


class _Reader:
    """One pass over one text, with a stack of its own in place of recursion."""

    def __init__(self, text: str, file: str | None, limits: Limits, non_finite: bool) -> None:
        self.text, self.file, self.limits, self.non_finite = text, file, limits, non_finite
        self.lines = _Lines(text)
        self.opened: list[_List | _Object] = []

    def document(self) -> tuple[Json, _Place]:
        """The value and its places; each turn of the loop reads one value."""
        text = self.text
        at = len(text) - len(text.lstrip(" \t\n\r"))
        if at == len(text):
            self.fail("empty-document", 0, "the document is empty")
        value: Json
        place: _Place
        budget = iter(range(self.limits.values))
        while True:
            if next(budget, None) is None:
                self.fail("too-large", at, f"more than {self.limits.values:,} values", "keep data in a file of its own")
            place, match = at, _VALUE.match(text, at)
            if match is None and self.non_finite and (found := _NON_FINITE.match(text, at)):
                value, at = float(found[1]), found.end()
            elif match is None:
                if not text.startswith('"', at):
                    self.refuse(at, "a value", _FOR_VALUE)
                value, at = self.string(at)
            else:
                at = match.end()
                word, number, rest, constant, bracket = match.groups()
                if word is not None:
                    value = word
                elif number:
                    value = self.number(place, number, rest)
                elif constant:
                    value = _WORDS[constant]
                else:
                    if len(self.opened) == self.limits.depth:
                        self.fail("too-deep", place, f"objects and lists nest deeper than {self.limits.depth} levels")
                    place = _Object(place, {}, {}, {}) if bracket == "{" else _List(place, [], [])
                    closing = _NEXT.match(text, at)
                    if closing is None or bracket + closing[1] not in ("[]", "{}"):
                        self.opened.append(place)
                        at = self.key(place, at) if isinstance(place, _Object) else at
                        continue
                    value, at = place.value, closing.end()
            value, place, at = self.close(value, place, at)
            if not self.opened:
                return value, place

    def close(self, value: Json, place: _Place, at: int) -> tuple[Json, _Place, int]:
        """Hand a whole value to its container, that to its own where it ends, until another value has to follow."""
        while self.opened:
            inside = self.opened[-1]
            if isinstance(inside, _Object):
                key = next(reversed(inside.keys))
                inside.value[key], inside.places[key], closer = value, place, "}"
            else:
                inside.value.append(value)
                inside.places.append(place)
                closer = "]"
            match = _NEXT.match(self.text, at)
            if match is None or match[1] not in ("," + closer):
                self.refuse(at, f"',' or '{closer}'", _FOR_NEXT)
            at = match.end()
            if match[1] == ",":
                return value, place, self.key(inside, at) if isinstance(inside, _Object) else at
            value, place = inside.value, self.opened.pop()
        if at < len(self.text):
            self.refuse(at, "the end of the document", _ANYWHERE)
        return value, place, at

    def key(self, inside: _Object, at: int) -> int:
        """Read a key and its colon; the answer is where the value starts."""
        if match := _KEY.match(self.text, at):
            key, end = match[1], match.end()
        elif self.text.startswith('"', at):
            key, end = self.string(at)
            colon = _NEXT.match(self.text, end)
            if colon is None or colon[1] != ":":
                self.refuse(end, f"':' after the key {_shown(key)}", _ANYWHERE)
            end = colon.end()
        else:
            self.refuse(at, "a key in double quotes", _FOR_KEY)
        if key in inside.keys:
            steps = (next(reversed(at.keys)) if isinstance(at, _Object) else len(at.places) for at in self.opened[:-1])
            first = self.note("it is first here", inside.keys[key], path_text((*steps, key)))
            self.fail("duplicate-key", at, f"the key {_shown(key)} stands twice in one object", None, first)
        inside.keys[key] = at
        return end

    def number(self, at: int, text: str, rest: str) -> int | float:
        """An integer if there is no fraction and no exponent, the `rest`."""
        if len(text) > min(self.limits.digits, 640):
            self.fail("invalid-number", at, f"a number of {len(text):,} characters, which is too long")
        if not rest:
            return int(text)
        value = float(text)
        if not isfinite(value) or (value == 0 and text.lower().partition("e")[0].strip("-0.")):
            self.fail("invalid-number", at, f"{_shown(text)} is out of range, which is 4.9e-324 to 1.8e308")
        return value

    def string(self, at: int) -> tuple[str, int]:
        """A string with escapes, and the offset after it."""
        parts, end = [], at + 1
        for part in _PART.finditer(self.text, end):
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
                self.refuse(end, "the string's end", _IN_STRING, at)
        return "".join(parts), end

    def refuse(self, at: int, expected: str, habits: _Habits, start: int | None = None) -> NoReturn:
        """Say what stands where something else is expected, and the habit behind it; `start` is of what is open."""
        if start is None and self.opened:
            start = self.opened[-1].start
        notes = () if start is None else (self.note(f"this {self.text[start]} is not closed", start),)
        if at == len(self.text):
            self.fail("invalid-json", at, f"the text ends, expected {expected}", None, *notes)
        before = self.text[:at].rstrip(" \t\n\r")
        if self.text[at] in "]}" and before.endswith(","):
            self.fail("invalid-json", len(before) - 1, "a trailing comma", "take it out")
        for pattern, message, help in habits:
            if match := pattern.match(self.text, at):
                self.fail(_CODES.get(message, "invalid-json"), at, message.format(_shown(match[0])), help)
        self.fail("invalid-json", at, f"expected {expected}, found {_shown(self.text[at])}", None, *notes)

    def note(self, message: str, at: int, path: str = "$") -> Note:
        return Note(message, path, self.file, *self.lines.at(at))

    def fail(self, code: str, at: int, message: str, help: str | None = None, *notes: Note) -> NoReturn:
        path = notes[0].path if notes else "$"
        raise CompileError([Diagnostic(code, message, path, self.file, *self.lines.at(at), help, notes=notes)])


def _shown(text: str) -> str:
    """For a message: short, and escaped where it would not show or would reorder the line."""
    if len(text) == 1 and (text.isspace() or not text.isprintable()):
        return f"U+{ord(text):04X}"
    return repr(text if len(text) <= 40 else text[:40] + "...")


def _copied(value: object, limits: Limits, budget: Iterator[int], path: JsonPath, around: tuple[int, ...]) -> Json:
    """The plain type of a subclass, such as an enumeration's member or a NumPy float64. Recursion ends at `depth`."""
    if next(budget, None) is None:  # one list that stands in many places is many lists
        _reject("too-large", path, f"more than {limits.values:,} values")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int) and abs(value) < 10 ** min(limits.digits, 640):
        return int.__int__(value)
    if isinstance(value, float) and isfinite(value):
        return float.__float__(value)
    if isinstance(value, (int, float)):
        _reject("invalid-number", path, f"expected a finite number of at most {limits.digits} digits")
    if not isinstance(value, (dict, list)):
        _reject("invalid-json", path, f"a value of type {type(value).__name__}, which JSON does not have")
    if id(value) in around:
        _reject("invalid-json", path, "the value contains itself")
    if len(around) == limits.depth:
        _reject("too-deep", path, f"objects and lists nest deeper than {limits.depth} levels")
    around = (*around, id(value))
    if isinstance(value, list):
        return [_copied(item, limits, budget, (*path, index), around) for index, item in enumerate(value)]
    return {_text(key, path): _copied(item, limits, budget, (*path, key), around) for key, item in value.items()}


def _text(text: object, path: JsonPath) -> str:
    if not isinstance(text, str):
        _reject("invalid-json", path, f"a key of type {type(text).__name__}, which is not a string")
    if re.search(r"[\ud800-\udfff]", text):
        _reject("invalid-encoding", path, f"{_shown(text)} holds a lone surrogate")
    return str.__str__(text)


def _reject(code: str, path: JsonPath, message: str, file: str | None = None) -> NoReturn:
    raise CompileError([Diagnostic(code, message, path_text(path), file)])
