"""Decompresses tables of text (.gz, .bz2, .xz and .zst), with a limit on their size."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import zlib
from collections.abc import Callable
from typing import IO

from ...core.diagnostics import UsageError
from ...core.limits import MAX_UNPACKED_TEXT_BYTES
from ..samples.data_errors import ErrorCollector

_CHUNK_BYTES = 1 << 20
_SIGNATURES = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zst"}
_DAMAGED_FILE_ERRORS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)


def compression_of(start: bytes) -> str | None:
    """The suffix of the compression of a file, by its first bytes."""
    return next((suffix for signature, suffix in _SIGNATURES.items() if start.startswith(signature)), None)


def decompress(file: IO[bytes], compression: str, errors: ErrorCollector) -> bytes | None:
    """The content of a compressed file; None, and an error, if it is damaged or too large.

    Raises UsageError if this Python cannot decompress it.
    """
    opened = _OPENERS[compression](file)
    content = bytearray()
    try:
        while chunk := opened.read(_CHUNK_BYTES):
            content += chunk
            if len(content) > MAX_UNPACKED_TEXT_BYTES:
                errors.add("too-large", f"it unpacks to more than {MAX_UNPACKED_TEXT_BYTES:,} bytes, the limit")
                return None
    except Exception as error:
        if not isinstance(error, _DAMAGED_FILE_ERRORS) and type(error).__name__ != "ZstdError":
            raise
        errors.add("bad-data-file", f"not a readable .{compression} file: {error}", help="compress the table again")
        return None
    return bytes(content)


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
