"""Decompresses tables of text (.gz, .bz2, .xz and .zst), with a limit on their size."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from ...core.diagnostics import UsageError
from ..samples.data_errors import ErrorCollector
from ..samples.unpacked_size import UnpackedTooLarge, require_unpacked_size

_CHUNK_BYTES = 1 << 20
_SIGNATURES = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zst"}
_DAMAGED_FILE_ERRORS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)


def compression_of(start: bytes) -> str | None:
    """The suffix of the compression of a file, by its first bytes."""
    return next((suffix for signature, suffix in _SIGNATURES.items() if start.startswith(signature)), None)


def decompress(file: IO[bytes], compression: str, errors: ErrorCollector) -> IO[bytes] | None:
    """The content of a compressed file, in memory; None, and an error, if it is damaged.

    Raises UnpackedTooLarge, and UsageError if this Python cannot decompress it.
    """
    opened = open_compressed(file, compression)
    content = io.BytesIO()
    with _damage_reported(compression, errors):
        while chunk := opened.read(_CHUNK_BYTES):
            content.write(chunk)
            require_unpacked_size(content.tell())
    if errors:
        return None
    content.seek(0)
    return content


def open_compressed(file: IO[bytes], compression: str) -> IO[bytes]:
    """The content of a compressed file, which is decompressed as it is read. Raises UsageError if this Python cannot
    decompress it."""
    return _OPENERS[compression](file)


def read_compressed(content: IO[bytes], size: int, compression: str, errors: ErrorCollector) -> bytes:
    """The next bytes of a compressed file, empty at its end, and also, with an error, if it is damaged."""
    with _damage_reported(compression, errors):
        return content.read(size)
    return b""


@contextmanager
def _damage_reported(compression: str, errors: ErrorCollector) -> Iterator[None]:
    """Adds an error for a file that cannot be decompressed."""
    try:
        yield
    except UnpackedTooLarge:
        raise
    except Exception as error:
        if not isinstance(error, _DAMAGED_FILE_ERRORS) and type(error).__name__ != "ZstdError":
            raise
        errors.add("bad-data-file", f"not a readable .{compression} file: {error}", help="compress the table again")


def _open_zst(file: IO[bytes]) -> IO[bytes]:
    try:
        zstd = importlib.import_module("compression.zstd")
    except ImportError as error:
        help = "compress the file as .gz, .bz2 or .xz, or use Python 3.14, whose standard library reads .zst"
        raise UsageError("missing-package", "this Python cannot read .zst files", help) from error
    return zstd.ZstdFile(file)


_OPENERS: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    "gz": lambda file: gzip.GzipFile(fileobj=file),  # type: ignore[dict-item,return-value]
    "bz2": lambda file: bz2.BZ2File(file),
    "xz": lambda file: lzma.LZMAFile(file),  # noqa: SIM115
    "zst": _open_zst,
}
