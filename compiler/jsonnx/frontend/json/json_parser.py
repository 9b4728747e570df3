"""The JSON parser: one pass over a text, by the rules that `json_reader` describes."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from json import JSONDecoder, dumps
from json.decoder import scanstring  # type: ignore[attr-defined]
from math import isfinite
from typing import NamedTuple, NoReturn

from ...core.diagnostics import CompileError, Diagnostic, Note, Position, path_text
from ...core.fixes import Fix, TextEdit
from ...core.limits import (
    MAX_JSON_CONTAINERS,
    MAX_JSON_DEPTH,
    MAX_JSON_KEYS,
    MAX_JSON_VALUES,
    MAX_NUMBER_CHARACTERS,
    MAX_SPEC_BYTES,
    MAX_STRING_CHARACTERS,
)
from ..schema.phrases import short_name
from .json_mistakes import (
    CODE_BY_MESSAGE,
    MISTAKES_AFTER_DOCUMENT,
    MISTAKES_FOR_COLON,
    MISTAKES_FOR_DOCUMENT,
    MISTAKES_FOR_KEY,
    MISTAKES_FOR_SEPARATOR,
    MISTAKES_FOR_VALUE,
    MISTAKES_IN_STRING,
    Mistakes,
    Repair,
)

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


@dataclass(frozen=True)
class Limits:
    """Limits of one document; the codes of violations are `too-large`, `too-deep` and `invalid-number`."""

    max_bytes: int = MAX_SPEC_BYTES  # checked against the file's size before it is read
    max_depth: int = MAX_JSON_DEPTH
    max_digits: int = MAX_NUMBER_CHARACTERS  # the smallest limit that sys.set_int_max_str_digits accepts
    max_values: int = MAX_JSON_VALUES
    max_containers: int = MAX_JSON_CONTAINERS  # objects, lists and keys take more memory than other values
    max_keys: int = MAX_JSON_KEYS


DEFAULT_LIMITS = Limits()


class ArrayPositions(NamedTuple):
    """A list, its offset, and the positions of its items."""

    start: int
    value: list[Json]
    items: list[Positions]


class ObjectPositions(NamedTuple):
    """An object, its offset, and the positions of its values and keys."""

    start: int
    value: dict[str, Json]
    members: dict[str, Positions]
    keys: dict[str, int]  # while the object is being read, the last key has no value yet


Positions = int | ArrayPositions | ObjectPositions
"""The offset of a value, and the positions of the values in it. Lines and columns are computed on demand."""


@dataclass(frozen=True)
class LineIndex:
    """Converts offsets of a text to lines and columns."""

    text: str

    @cached_property
    def line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer(r"\r\n?|\n", self.text))]

    def position_at(self, offset: int) -> Position:
        line = bisect_right(self.line_starts, offset)
        return Position(line, offset - self.line_starts[line - 1] + 1)


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
_SURROGATE = re.compile("[\ud800-\udfff]")
_STRING_INTERIOR = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+')
_SPACES = re.compile(_SPACE)
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONSTANTS = {"true": True, "false": False, "null": None}


class JsonParser:
    """Reads one text in one pass, with an explicit stack in place of recursion."""

    def __init__(self, text: str, file: str | None, limits: Limits, non_finite: bool) -> None:
        self.text, self.file, self.limits, self.non_finite = text, file, limits, non_finite
        self.line_index = LineIndex(text)
        self.open_containers: list[ArrayPositions | ObjectPositions] = []
        self.container_count = self.key_count = 0

    def read_document(self) -> tuple[Json, Positions]:
        """Returns the value and the positions of its parts. Each turn of the loop reads a scalar or a bracket."""
        text = self.text
        offset = len(text) - len(text.lstrip(" \t\n\r"))
        if offset == len(text):
            self.fail("empty-document", 0, "the document is empty")
        value: Json
        positions: Positions
        value_counter = iter(range(self.limits.max_values))
        while True:
            if next(value_counter, None) is None:
                message = f"more than {self.limits.max_values:,} values"
                self.fail("too-large", offset, message, "keep data in a separate file")
            match = _VALUE.match(text, offset)
            if match is None or match.lastindex != _BRACKET_GROUP:
                positions, (value, offset) = offset, self.read_scalar(offset, match)
            else:
                container, offset = self.new_container(offset, match[_BRACKET_GROUP]), match.end()
                closing = _SEPARATOR.match(text, offset)
                if closing is None or match[_BRACKET_GROUP] + closing[1] not in ("[]", "{}"):
                    self.open_containers.append(container)
                    offset = self.read_key(container, offset) if isinstance(container, ObjectPositions) else offset
                    continue
                value, positions, offset = container.value, container, closing.end()
            value, positions, offset = self.close_containers(value, positions, offset)
            if not self.open_containers:
                return value, positions

    def read_scalar(self, offset: int, match: re.Match[str] | None) -> tuple[Json, int]:
        """Returns a scalar and the offset after it; `match` is that of `_VALUE` at the offset."""
        if match is None:
            if self.non_finite and (non_finite := _NON_FINITE.match(self.text, offset)):
                return float(non_finite[1]), non_finite.end()
            if not self.text.startswith('"', offset):
                is_inside = bool(self.open_containers)
                self.fail_expected(offset, "a value", MISTAKES_FOR_VALUE if is_inside else MISTAKES_FOR_DOCUMENT)
            return self.read_string(offset)
        string, number, fraction_and_exponent, constant, _ = match.groups()
        if string is not None:
            self.check_string_length(len(string), offset)
            return string, match.end()
        if number:
            return self.parse_number(offset, number, fraction_and_exponent), match.end()
        return _CONSTANTS[constant], match.end()

    def new_container(self, offset: int, bracket: str) -> ArrayPositions | ObjectPositions:
        """Returns an empty object or list that begins at an offset, unless it is nested too deep."""
        if len(self.open_containers) == self.limits.max_depth:
            self.fail("too-deep", offset, f"objects and lists nest deeper than {self.limits.max_depth} levels")
        self.container_count += 1
        if self.container_count > self.limits.max_containers:
            self.fail("too-large", offset, f"more than {self.limits.max_containers:,} objects and arrays")
        return ObjectPositions(offset, {}, {}, {}) if bracket == "{" else ArrayPositions(offset, [], [])

    def close_containers(self, value: Json, positions: Positions, offset: int) -> tuple[Json, Positions, int]:
        """Adds a complete value to its container, and closes every container that ends there.

        Returns the last complete value, its positions, and the offset of the next value (or of the document's end).
        """
        while self.open_containers:
            container = self.open_containers[-1]
            if isinstance(container, ObjectPositions):
                key = next(reversed(container.keys))
                container.value[key], container.members[key], closer = value, positions, "}"
            else:
                container.value.append(value)
                container.items.append(positions)
                closer = "]"
            match = _SEPARATOR.match(self.text, offset)
            if match is None or match[1] not in ("," + closer):
                self.fail_expected(offset, f"',' or '{closer}'", MISTAKES_FOR_SEPARATOR)
            offset = match.end()
            if match[1] == ",":
                offset = self.read_key(container, offset) if isinstance(container, ObjectPositions) else offset
                return value, positions, offset
            value, positions = container.value, self.open_containers.pop()
        if offset < len(self.text):
            self.fail_expected(offset, "the end of the document", MISTAKES_AFTER_DOCUMENT)
        return value, positions, offset

    def read_key(self, container: ObjectPositions, offset: int) -> int:
        """Reads a key and its colon, and returns the offset of the value."""
        if match := _KEY.match(self.text, offset):
            key, end = match[1], match.end()
            self.check_string_length(len(key), offset)
        elif self.text.startswith('"', offset):
            key, end = self.read_string(offset)
            colon = _SEPARATOR.match(self.text, end)
            if colon is None or colon[1] != ":":
                self.fail_expected(end, f"':' after the key {quoted_token(key)}", MISTAKES_FOR_COLON)
            end = colon.end()
        else:
            self.fail_expected(offset, "a key in double quotes", MISTAKES_FOR_KEY)
        if key in container.keys:
            steps = (
                next(reversed(at.keys)) if isinstance(at, ObjectPositions) else len(at.items)
                for at in self.open_containers[:-1]
            )
            first = self.note("first used here", container.keys[key], path_text((*steps, key)))
            message, repair = (
                f"the key {quoted_token(key)} is used twice in one object",
                self.repeated(container, key, end),
            )
            self.fail("duplicate-key", offset, message, "remove one of them", first, repair=repair)
        self.key_count += 1
        if self.key_count > self.limits.max_keys:
            self.fail("too-large", offset, f"the objects have more than {self.limits.max_keys:,} keys together")
        container.keys[key] = offset
        return end

    def repeated(self, container: ObjectPositions, key: str, offset: int) -> Repair | None:
        """Returns the repair of a key that has the value at an offset, if it has the same value before."""
        try:
            value, end = JSONDecoder().raw_decode(self.text, offset)
        except (ValueError, RecursionError):
            return None
        if key not in container.value or dumps(value) != dumps(container.value[key]):
            return None
        last = next(reversed(container.members.values()))
        return Repair(value_end(self.text, last), end, "")

    def parse_number(self, offset: int, text: str, fraction_and_exponent: str) -> int | float:
        """Returns an integer if there is neither a fraction nor an exponent, else a float."""
        if len(text) > min(self.limits.max_digits, MAX_NUMBER_CHARACTERS):
            self.fail("invalid-number", offset, f"a number of {len(text):,} characters, which is too long")
        if not fraction_and_exponent:
            return int(text)
        value = float(text)
        if not isfinite(value) or (value == 0 and text.lower().partition("e")[0].strip("-0.")):
            message = f"{quoted_token(text)} is out of range: floats reach from 4.9e-324 to 1.8e308"
            self.fail("invalid-number", offset, message)
        return value

    def check_string_length(self, length: int, offset: int) -> None:
        if length > MAX_STRING_CHARACTERS:
            self.fail("too-large", offset, f"a string of more than {MAX_STRING_CHARACTERS:,} characters")

    def read_string(self, offset: int) -> tuple[str, int]:
        """Returns a string that contains escapes, and the offset after it."""
        interior = _STRING_INTERIOR.match(self.text, offset + 1)
        self.check_string_length(interior.end() - offset if interior else 0, offset)
        try:
            string, end = scanstring(self.text, offset + 1, True)
        except ValueError:  # the fault is found again below, for the message
            string, end = None, offset
        if string is not None and not _SURROGATE.search(string):
            space = _SPACES.match(self.text, end)
            return string, end if space is None else space.end()
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
                self.fail_expected(end, "the end of the string", MISTAKES_IN_STRING, offset)
        return "".join(parts), end

    def fail_expected(self, offset: int, expected: str, mistakes: Mistakes, start: int | None = None) -> NoReturn:
        """Reports an unexpected character, by its mistake if that is a common one.

        `start` is the offset of the string or container that is not closed; the innermost container if omitted.
        """
        if start is None and self.open_containers:
            start = self.open_containers[-1].start
        notes = () if start is None else (self.note(f"this {self.text[start]} is not closed", start),)
        if offset == len(self.text):
            message = f"expected {expected}, but the text ends"
            self.fail("invalid-json", offset, message, None, *notes, repair=self.closing_brackets(expected))
        before = self.text[:offset].rstrip(" \t\n\r")
        if self.text[offset] in "]}" and before.endswith(","):
            comma = len(before) - 1
            self.fail("invalid-json", comma, "a trailing comma", "remove it", repair=Repair(comma, comma + 1, ""))
        for mistake in mistakes:
            if match := mistake.pattern.match(self.text, offset):
                code = CODE_BY_MESSAGE.get(mistake.message, "invalid-json")
                message = mistake.message.format(quoted_token(match[0]))
                self.fail(code, offset, message, mistake.help, end=match.end(), repair=mistake.repair(match))
        message = f"expected {expected}, found {quoted_token(self.text[offset])}"
        self.fail("invalid-json", offset, message, None, *notes)

    def closing_brackets(self, expected: str) -> Repair | None:
        """Returns the repair of a text that ends after a value, where a comma or a bracket is expected."""
        if not expected.startswith("','"):
            return None
        closers = ["}" if isinstance(at, ObjectPositions) else "]" for at in reversed(self.open_containers)]
        end = len(self.text.rstrip(" \t\n\r"))
        return Repair(end, end, "".join(closers), is_safe=False)

    def note(self, message: str, offset: int, path: str = "$") -> Note:
        return Note(message, path, self.file, *self.line_index.position_at(offset))

    def fail(
        self,
        code: str,
        offset: int,
        message: str,
        help: str | None = None,
        *notes: Note,
        end: int | None = None,
        repair: Repair | None = None,
    ) -> NoReturn:
        """Raises an error at an offset; `end` is that after the text which it concerns, if this is known."""
        start = self.line_index.position_at(offset)
        line_end = re.compile(r"[^\r\n]*").match(self.text, offset)
        stop = self.line_index.position_at(min(end or offset + 1, max(offset + 1, line_end.end() if line_end else 0)))
        path = notes[0].path if notes else "$"
        fix = self.fix(repair, help or "close the brackets") if repair else None
        diagnostic = Diagnostic(code, message, path, self.file, *start, help, notes=notes, fix=fix)
        raise CompileError([replace(diagnostic, end_line=stop.line, end_column=stop.column)])

    def fix(self, repair: Repair, help: str) -> Fix:
        """Returns a repair as a fix; its title is the help text."""
        start, end = map(self.line_index.position_at, (repair.start, repair.end))
        edit = TextEdit(repair.start, repair.end, start, end, repair.text)
        return Fix(help[0].upper() + help[1:], (), repair.is_safe, (edit,))


_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s,:\[\]{}"]++|[\[\]{}]')


def value_end(text: str, positions: Positions) -> int:
    """Returns the offset after a value, or after the key at an offset. A container ends after its last value."""
    open_containers = 0
    while not isinstance(positions, int):
        children = positions.items if isinstance(positions, ArrayPositions) else positions.members.values()
        open_containers += 1
        if not children:
            positions = positions.start
            break
        positions = next(reversed(children))
    token = _TOKEN.match(text, positions)
    end = token.end() if token else positions
    for _ in range(open_containers):
        space = _SPACES.match(text, end)
        end = (end if space is None else space.end()) + 1
    return end


def quoted_token(text: str) -> str:
    """Returns a token for a message: quoted, shortened, or the code point of a single invisible character."""
    if len(text) == 1 and (text.isspace() or not text.isprintable()):
        return f"U+{ord(text):04X}"
    return short_name(text, max_length=40)
