"""A strict JSON reader that knows positions: the first stage, and the only reader of specs.

Reads a file, a text, or a Python value, and returns a `Source`: the value, and the position of every key and value. The
reader follows RFC 8259 and rejects errors that the standard library ignores: duplicate keys, numbers that overflow or
underflow, lone surrogates.

The standard library reads what has no error, and `json_parser` the rest: what contains an error, and what contains a
value whose position is asked for.

Where the RFC leaves a choice: a byte order mark is accepted, but is not part of `Source.text`, so columns do not count
it. LF, CRLF and a lone CR end a line, as in editors; U+2028 does not. `-0` is the integer 0, `1.0` remains a float, and
integers are exact: the schema checks ranges.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NoReturn

from ...core.components import Component
from ...core.diagnostics import CompileError, Diagnostic, JsonPath, Position, UsageError, path_text
from ...core.files.boundary import OutsideRoot
from ...core.files.file_kinds import JSON, SIGNATURE_BYTES, file_kind, kind_error
from ...core.files.files import error_reason
from ...core.limits import MAX_NUMBER_CHARACTERS, MAX_STRING_CHARACTERS
from .json_errors import quoted_token
from .json_parser import JsonParser
from .json_repairs import with_whole_repair
from .strict_decoder import DEFAULT_LIMITS, Limits
from .syntax_tree import Json, Node
from .text_pieces import LineIndex

__all__ = [
    "DEFAULT_LIMITS",
    "STDIN_NAME",
    "Json",
    "Limits",
    "Source",
    "from_value",
    "read_bytes",
    "read_file",
    "read_text",
]

STDIN_NAME = "<stdin>"
"""The name of standard input in diagnostics."""


@dataclass(frozen=True, eq=False)
class Source:
    """A JSON value and its text."""

    file: str | None  # as shown to the user; None for a text or a value
    value: Json
    written_value: Json
    """The value of the text. `value` may have been derived from it, as by options."""
    parser: JsonParser = field(repr=False)
    functions: tuple[Component, ...] = ()
    """The Python functions in the value, in whose places it has entries."""

    @property
    def text(self) -> str:
        return self.parser.text

    def locate(self, path: JsonPath, key: bool = False) -> Position | None:
        """The position of the value at a path, or with `key` that of its key.

        For a path that does not exist, this is the position of the nearest ancestor. List items have no key: their
        value counts. Returns None if the source is a value without a text.
        """
        nearest = self._nearest(path, key)
        return None if nearest is None else self.position_at(nearest.start)

    def locate_end(self, path: JsonPath, key: bool = False) -> Position | None:
        """The position after the last character of what `locate` returns the first of."""
        nearest = self._nearest(path, key)
        return None if nearest is None else self.position_at(nearest.end)

    def node(self, path: JsonPath) -> Node | None:
        """The part of the text at a path; None if the text has no such path."""
        nodes = self.parser.nodes(path)
        return nodes[-1] if len(nodes) > len(path) else None

    def position_at(self, offset: int) -> Position:
        """The line and column of an offset of the text."""
        return self.parser.line_index.position_at(offset)

    def _nearest(self, path: JsonPath, key: bool) -> Node | None:
        """The value at a path, or its key, or the nearest ancestor; None without a text."""
        nodes = self.parser.nodes(path)
        if not nodes or not key or len(nodes) <= len(path):
            return nodes[-1] if nodes else None
        return nodes[-1].key or nodes[-1]


def read_file(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> Source:
    """Reads a document from a regular file, or from standard input for `-`.

    Raises UsageError `unreadable-file`, and CompileError with the first error in the document.
    """
    name = os.fspath(path)
    return read_text(read_bytes(name, limits), STDIN_NAME if name == "-" else name, limits)


def read_bytes(name: str, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The bytes of a regular file, or of standard input for `-`. Raises UsageError `unreadable-file`."""
    try:
        return sys.stdin.buffer.read(limits.max_bytes + 1) if name == "-" else _read_regular_file(name, limits)
    except OutsideRoot as error:
        raise error.as_usage_error() from error
    except (OSError, ValueError, AttributeError) as error:  # ValueError: NUL in the name; AttributeError: no stdin
        raise UsageError("unreadable-file", f"cannot read {name!r}: {error_reason(error)}") from None


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
    text: str | bytes,
    file: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    *,
    non_finite: bool = False,
    repairs: bool = True,
) -> Source:
    """Reads a document from a text, or from bytes in UTF-8. Raises CompileError with the first error.

    With `non_finite`, the numbers NaN, Infinity and -Infinity are accepted, as Python's json module writes them.
    Without `repairs`, the fix of the error concerns this one alone: a repair of the whole text may take a second.
    """
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if isinstance(text, bytes) and (error := kind_error(file_kind(text[:SIGNATURE_BYTES]), file, "a spec", (JSON,))):
        raise error
    if len(data) > limits.max_bytes:
        _reject("too-large", (), f"the text has more than {limits.max_bytes:,} bytes", file)
    parser = JsonParser(_decode(data, file), limits, non_finite=non_finite, is_strict=True)
    root = parser.parse()
    if parser.errors or root is None:
        diagnostic = parser.errors[0].diagnostic(parser.line_index, file)
        raise CompileError([with_whole_repair(diagnostic, parser) if repairs else diagnostic])
    value = root.to_json()
    return Source(file, value, value, parser)


def from_value(value: dict[str, Any], limits: Limits = DEFAULT_LIMITS) -> Source:
    """A copy of a Python value in plain JSON types. Raises CompileError if a JSON text could not express it."""
    counts = _Counts(limits)
    try:
        copy = _copy_as_json(value, counts, (), ())
    except CompileError as error:
        raise CompileError(error.diagnostics) from None  # without a line of traceback for each level of the value
    return Source(None, copy, copy, JsonParser(""), tuple(counts.functions))


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
        before = LineIndex(data[: error.start].decode().removeprefix("\ufeff"))
        message = f"not UTF-8 at byte offset {error.start:,} (0x{data[error.start]:02x}): {error.reason}"
        position, help = before.position_at(len(before.text)), "save the file as UTF-8"
        raise CompileError([Diagnostic("invalid-encoding", message, "$", file, *position, help)]) from None


@dataclass
class _Counts:
    """The parts of a value, counted while it is copied."""

    limits: Limits
    values: int = 0
    containers: int = 0
    keys: int = 0
    functions: list[Component] = field(default_factory=list)
    """The Python functions among them."""

    def add(self, value: object, path: JsonPath) -> None:
        """Raises CompileError `too-large` if the value has too many parts."""
        self.values += 1
        if self.values > self.limits.max_values:
            _reject("too-large", path, f"more than {self.limits.max_values:,} values")
        if isinstance(value, (dict, list)):
            self.containers += 1
            self.keys += len(value) if isinstance(value, dict) else 0
            if self.containers > self.limits.max_containers:
                _reject("too-large", path, f"more than {self.limits.max_containers:,} objects and arrays")
            if self.keys > self.limits.max_keys:
                _reject("too-large", path, f"the objects have more than {self.limits.max_keys:,} keys together")


def _copy_as_json(value: object, counts: _Counts, path: JsonPath, ancestors: tuple[int, ...]) -> Json:
    """A copy in plain JSON types: a NumPy float64 or an enumeration's member becomes an instance of its base.

    Recursion ends at `max_depth`. A list object that occurs several times counts each time.
    """
    counts.add(value, path)
    limits = counts.limits
    if isinstance(value, Component) and value.is_python_function:
        counts.functions.append(value)
        return value.to_json()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _checked_string(value, path)
    if isinstance(value, int) and abs(value) < 10 ** min(limits.max_digits, MAX_NUMBER_CHARACTERS):
        return int.__int__(value)
    if isinstance(value, float) and isfinite(value):
        return float.__float__(value)
    if isinstance(value, (int, float)):
        _reject("invalid-number", path, f"expected a finite number of at most {limits.max_digits} digits")
    if not isinstance(value, (dict, list)):
        message = f"a value of type {type(value).__name__}, which is not a JSON type"
        _reject("invalid-json", path, message, help=_python_help(value, path))
    if id(value) in ancestors:
        _reject("invalid-json", path, "the value contains itself")
    if len(ancestors) == limits.max_depth:
        _reject("too-deep", path, f"objects and lists nest deeper than {limits.max_depth} levels")
    ancestors = (*ancestors, id(value))
    if isinstance(value, list):
        return [_copy_as_json(item, counts, (*path, index), ancestors) for index, item in enumerate(value)]
    return {
        _checked_string(key, path): _copy_as_json(item, counts, (*path, key), ancestors) for key, item in value.items()
    }


def _python_help(value: object, path: JsonPath) -> str | None:
    """What to write in place of a Python function or class; None for another value."""
    if not callable(value):
        return None
    if path[:2] in (("training", "metrics"), ("training", "weighted_metrics")):
        return "jsonnx.metric(function) makes a metric of it, if it computes with jsonnx.ops"
    if path[:2] == ("training", "loss"):
        help = "jsonnx.loss(function) makes a loss of it, if it computes with jsonnx.ops"
        return f'{help}; in JSON, compute a loss with layers, and add {{"type": "AddLoss"}}'
    help = "a spec has Python functions only as jsonnx.loss(function) and jsonnx.metric(function) in `training`"
    return f"{help}: name a component, or compute with layers such as ops.multiply, and AddLoss for a loss"


def _checked_string(text: object, path: JsonPath) -> str:
    if not isinstance(text, str):
        _reject("invalid-json", path, f"a key of type {type(text).__name__}, which is not a string")
    if len(text) > MAX_STRING_CHARACTERS:
        _reject("too-large", path, f"a string of more than {MAX_STRING_CHARACTERS:,} characters")
    if re.search(r"[\ud800-\udfff]", text):
        _reject("invalid-encoding", path, f"{quoted_token(text)} contains a lone surrogate")
    return str.__str__(text)


def _reject(code: str, path: JsonPath, message: str, file: str | None = None, *, help: str | None = None) -> NoReturn:
    raise CompileError([Diagnostic(code, message, path_text(path), file, help=help)])
