"""The limit on the bytes that a file takes after decompression."""

from __future__ import annotations

from ...core.limits import MAX_UNPACKED_BYTES

UNPACKED_HELP = (
    'unpack the file or divide it; with "memory": "stream" in `training.data`, numbers of large files are read in parts'
)


class UnpackedTooLarge(Exception):
    """Data that take more bytes than the limit after decompression."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"it unpacks to more than {limit:,} bytes, the limit")


def require_unpacked_size(size: int, file_size: int = 0) -> None:
    """Raises UnpackedTooLarge for more bytes than the limit, which is at least twice the bytes of the file."""
    limit = max(MAX_UNPACKED_BYTES, 2 * file_size)
    if size > limit:
        raise UnpackedTooLarge(limit)
