"""Files of word vectors: the texts of GloVe, word2vec and fastText, and the binary files of word2vec, perhaps gzipped.

A text has a token and its numbers on each line, perhaps below a line with the number of vectors and their size.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import numpy as np

GZIP_MAGIC = b"\x1f\x8b"
MAX_LINE_BYTES = 1 << 22
CHUNK_BYTES = 1 << 22
MIN_RECOGNISED_SIZE = 10
"""Numbers of a line by which a text without a header is taken for vectors, where tokens are expected."""
VECTOR_SUFFIXES = (".txt", ".vec", ".bin")
"""Usual suffixes of such files, perhaps with `.gz` behind them."""
VECTORS_HELP = 'name a file of word vectors by "vectors" in the Embedding'
BYTES_PER_NUMBER = 4
MAX_VALUE = 1_000_000
"""The greatest absolute value in a vector; misread bytes are often greater."""


def has_vector_suffix(name: str) -> bool:
    """Whether a file is named as files of word vectors are."""
    return name.lower().removesuffix(".gz").endswith(VECTOR_SUFFIXES)


class MalformedVectors(ValueError):
    """An error in a file of word vectors."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class VectorFile:
    """An open file of word vectors. All methods raise MalformedVectors, and OSError."""

    def __init__(self, file: IO[bytes]) -> None:
        start = file.read(len(GZIP_MAGIC))
        file.seek(0)
        self._content: Any = _unpacked(file) if start == GZIP_MAGIC else file
        first, second = self._read_line(1), self._read_line(2, is_checked=False)
        header = first.split()
        self.count: int | None = None
        """The number of vectors that the header gives; None without a header."""
        if len(header) == 2 and all(word.isdigit() for word in header):
            self.count, self.size = int(header[0]), int(header[1])
        else:
            self.size = len(header) - 1
        self.is_binary = self.count is not None and not _is_entry(second, self.size)
        self._start = first, second
        if self.count is None and not _is_entry(first, self.size) and (b"\0" in first or not _is_text(first)):
            contents = "the number of vectors and their size"
            raise MalformedVectors(f"it is neither a text nor has the header of word2vec, {contents}", 1)
        if self.size < 1:
            raise MalformedVectors("the first line has no numbers behind its token", 1)

    def _read_line(self, number: int, is_checked: bool = True) -> bytes:
        try:
            line: bytes = self._content.readline(MAX_LINE_BYTES)
        except (EOFError, zlib.error) as error:
            raise MalformedVectors(_damage(error), number) from error
        if is_checked and len(line) == MAX_LINE_BYTES:
            raise MalformedVectors(f"the line has more than {MAX_LINE_BYTES:,} bytes", number)
        return line

    def is_recognised(self) -> bool:
        """Whether the first lines are vectors rather than tokens."""
        first, second = self._start
        if self.is_binary:
            return not _is_text(second)
        return self.count is not None or (self.size >= MIN_RECOGNISED_SIZE and _is_entry(first, self.size))

    def tokens(self, max_count: int | None = None) -> list[str]:
        """The tokens in the order of the file, each once."""
        tokens: dict[str, None] = {}
        for line, token, _ in self._entries():
            try:
                tokens[token.decode()] = None
            except UnicodeDecodeError as error:
                raise MalformedVectors("the token is not UTF-8", line) from error
            if len(tokens) == max_count:
                break
        return list(tokens)

    def vectors(self, wanted: Mapping[bytes, int]) -> tuple[np.ndarray, np.ndarray]:
        """The values of `wanted` for the tokens that the file has, and their vectors."""
        import numpy as np

        numbers, rows, lines = list[int](), list[np.ndarray](), list[int]()
        missing = dict(wanted)
        for line, token, values in self._entries():
            number = missing.pop(token, None)
            if number is not None:
                numbers.append(number)
                rows.append(self._vector(values, line))
                lines.append(line)
        array = np.stack(rows) if rows else np.zeros((0, self.size), np.float32)
        _check_values(array, lines)
        return np.array(numbers, np.int64), array

    def _vector(self, values: bytes, line: int) -> np.ndarray:
        import numpy as np

        try:
            return np.frombuffer(values, "<f4") if self.is_binary else np.array(values.split(), np.float32)
        except ValueError as error:
            raise MalformedVectors(f"a value is not a number: {error}", line) from error

    def _entries(self) -> Iterator[tuple[int, bytes, bytes]]:
        """The line, or for binary files the number, the token and the values of each vector."""
        self._content.seek(0)
        if self.count is not None:
            self._read_line(1)
        found = 0
        try:
            for entry in self._binary_entries() if self.is_binary else self._text_entries():
                found += 1
                yield entry
        except (EOFError, zlib.error) as error:
            raise MalformedVectors(_damage(error)) from error
        if self.count is not None and found != self.count:
            raise MalformedVectors(f"the header says {self.count:,} vectors, the file has {found:,}", 1)

    def _text_entries(self) -> Iterator[tuple[int, bytes, bytes]]:
        size, number = self.size, 1 if self.count is None else 2
        while line := self._read_line(number):
            entry = line.rstrip()
            if entry.count(b" ") == size:
                token, _, values = entry.partition(b" ")
            else:
                token, values = self._divided(entry, number)
            yield number, token, values
            number += 1

    def _divided(self, entry: bytes, line: int) -> tuple[bytes, bytes]:
        """The token, which may have spaces, and the values of a line."""
        words = entry.split()
        token, values = words[: -self.size], words[-self.size :]
        if not token or (all(map(_is_number, token[1:])) and len(token) > 1):
            count = len(words) - 1
            raise MalformedVectors(f"the line has {max(count, 0)} numbers, others have {self.size}", line)
        return b" ".join(token), b" ".join(values)

    def _binary_entries(self) -> Iterator[tuple[int, bytes, bytes]]:
        data, position, length = b"", 0, self.size * BYTES_PER_NUMBER
        for number in range(1, (self.count or 0) + 1):
            while (space := data.find(b" ", position)) < 0 or len(data) < space + 1 + length:
                more = self._content.read(CHUNK_BYTES)
                if not more:
                    raise MalformedVectors(f"the file ends within vector {number:,} of {self.count:,}")
                data, position = data[position:] + more, 0
            end = space + 1 + length
            yield number, data[position:space].lstrip(b"\n"), data[space + 1 : end]
            position = end
        if data[position:].strip(b"\n") or self._content.read(CHUNK_BYTES).strip(b"\n"):
            size = f"{self.size:,} numbers, each a float32 of {BYTES_PER_NUMBER} bytes"
            raise MalformedVectors(f"the file goes on after {self.count:,} vectors of {size}", 1)


def _check_values(vectors: np.ndarray, lines: Sequence[int]) -> None:
    """Raises MalformedVectors for a value that is not finite, or too great."""
    import numpy as np

    for line, value in zip(lines, np.abs(vectors).max(1, initial=0).tolist(), strict=True):
        if not np.isfinite(value):
            raise MalformedVectors("a value is not finite", line)
        if value > MAX_VALUE:
            raise MalformedVectors(f"a value of {value:.4g} is over {MAX_VALUE:,}, which no word vector has", line)


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    import gzip  # `validate` does without it where no file is packed

    return cast("IO[bytes]", gzip.GzipFile(fileobj=file))


def _damage(error: EOFError | zlib.error) -> str:
    """What is wrong with compressed data that cannot be read."""
    return "the file ends within compressed data" if isinstance(error, EOFError) else "the compressed data are damaged"


def _is_entry(line: bytes, size: int) -> bool:
    """Whether a line is a token and this many numbers."""
    words = line.split()
    return len(words) > size and all(map(_is_number, words[-size:]))


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
