"""Reads untrusted zip archives, in memory only.

Checks names, sizes and overlaps, which `zipfile` does not, and that the two headers of a member agree, so that every
reader reads the same members from the same bytes.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from ..core.limits import MAX_COMPRESSION_RATIO, MAX_ZIP_MEMBERS
from .file_slice import FileSlice
from .read_budget import ReadBudget, damaged_file_error, unsafe_file_error

CHUNK_BYTES = 1 << 20

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_END_RECORD = struct.Struct("<4s4H2LH")
_ZIP64_END_RECORD = struct.Struct("<4sQ2H2L4Q")
_ZIP64_LOCATOR = struct.Struct("<4sLQL")
_UNSAFE_NAME_CHARACTERS = re.compile(r"[\x00-\x1f\x7f\\:]")


class ZipArchive:
    """The members of an archive by name. Raises CompileError if anything about the archive is irregular."""

    def __init__(self, file: IO[bytes], budget: ReadBudget) -> None:
        self.file, self.budget, self.file_name = file, budget, budget.file
        self.size = file.seek(0, io.SEEK_END)
        directory = self._find_central_directory()
        try:
            infos = zipfile.ZipFile(file).infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error, OverflowError) as error:
            raise damaged_file_error(self.file_name, f"not a readable zip archive: {error}") from None
        budget.take_objects(len(infos), "the archive's members")
        self._members: dict[str, tuple[zipfile.ZipInfo, int]] = {}
        for info in infos:
            if info.orig_filename in self._members:
                raise unsafe_file_error(
                    self.file_name, f"two members of the archive have the name {info.orig_filename!r}"
                )
            self._members[info.orig_filename] = info, self._check_member(info)
        self._check_overlaps(directory)

    def _find_central_directory(self) -> int:
        """Returns the offset of the central directory, and checks its size before `zipfile` reads it into memory."""
        tail = self._read_at(max(0, self.size - (1 << 16) - _END_RECORD.size), (1 << 16) + _END_RECORD.size)
        index = tail.rfind(b"PK\5\6")
        if index < 0 or len(tail) - index < _END_RECORD.size:
            message = "not a readable zip archive: the end record is missing, so it may be truncated"
            raise damaged_file_error(self.file_name, message)
        _, _, _, _, count, length, start, comment_length = _END_RECORD.unpack_from(tail, index)
        if len(tail) - index - _END_RECORD.size != comment_length:
            raise damaged_file_error(self.file_name, "the archive does not end where its end record says")
        end = self.size - len(tail) + index
        if index >= _ZIP64_LOCATOR.size and tail[index - _ZIP64_LOCATOR.size :].startswith(b"PK\6\7"):
            _, _, end, _ = _ZIP64_LOCATOR.unpack_from(tail, index - _ZIP64_LOCATOR.size)
            record = self._read_at(end, _ZIP64_END_RECORD.size) if end + _ZIP64_END_RECORD.size <= self.size else b""
            if not record.startswith(b"PK\6\6"):
                raise damaged_file_error(self.file_name, "the archive's zip64 end record is not at the stated offset")
            *_, count, length, start = _ZIP64_END_RECORD.unpack(record)
        if count > MAX_ZIP_MEMBERS or length > MAX_ZIP_MEMBERS * 512:
            self.budget.raise_too_large(f"the archive has {count:,} members, the limit is {MAX_ZIP_MEMBERS:,}")
        if start + length != end:
            message = "the archive's directory is not at the stated offset, or data precedes the archive"
            raise damaged_file_error(self.file_name, message)
        return start

    def _check_member(self, info: zipfile.ZipInfo) -> int:
        """The offset of a member's data. Raises CompileError if name, type, size or headers are irregular."""
        name = info.orig_filename
        parts = name.removesuffix("/").split("/")
        if _UNSAFE_NAME_CHARACTERS.search(name) or not set(parts).isdisjoint(("", ".", "..")):
            message = f"the name of the member {name!r} may lead out of the archive"
            raise unsafe_file_error(self.file_name, message)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise unsafe_file_error(self.file_name, f"the member {name!r} is a link or a device, not a file")
        if info.flag_bits & 0x2041:
            raise damaged_file_error(self.file_name, f"the member {name!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            message = f"the member {name!r} is compressed by method {info.compress_type}, not by deflate"
            raise damaged_file_error(self.file_name, message)
        packed, size = info.compress_size, info.file_size
        if info.compress_type == zipfile.ZIP_STORED and packed != size:
            message = (
                f"the member {name!r} is not compressed, but has a compressed size of {packed:,} bytes for {size:,}"
            )
            raise damaged_file_error(self.file_name, message)
        if size > MAX_COMPRESSION_RATIO * packed:
            message = f"the member {name!r} claims to decompress {packed:,} bytes to {size:,}"
            raise unsafe_file_error(self.file_name, message)
        if info.compress_type != zipfile.ZIP_STORED and size > self.budget.bytes_left:
            message = f"the member {name!r} has {size:,} bytes, the limit is {self.budget.bytes_left:,}"
            self.budget.raise_too_large(message)
        return self._data_start(info)

    def _data_start(self, info: zipfile.ZipInfo) -> int:
        """The offset after the local header, which must agree with the directory."""
        name, start = info.orig_filename, info.header_offset
        header = self._read_at(start, _LOCAL_HEADER.size) if 0 <= start <= self.size else b""
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
            raise damaged_file_error(
                self.file_name, f"the member {name!r} is not at the offset that the directory states"
            )
        _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        name_and_extra = self._read_at(start + _LOCAL_HEADER.size, name_length + extra_length)
        zip64_sizes = _zip64_sizes(name_and_extra[name_length:])
        if packed == size == 0xFFFFFFFF and len(zip64_sizes) >= 2:
            size, packed = zip64_sizes[:2]
        is_streamed = flags & 8 and crc == packed == size == 0  # the sizes follow the data
        sizes_agree = is_streamed or (crc, packed, size) == (info.CRC, info.compress_size, info.file_size)
        encoded_name = name.encode("utf-8" if info.flag_bits & 0x800 else "cp437", "replace")
        flags_agree = method == info.compress_type and flags == info.flag_bits
        if not sizes_agree or not flags_agree or name_and_extra[:name_length] != encoded_name:
            raise damaged_file_error(self.file_name, f"the two headers of the member {name!r} differ")
        return start + _LOCAL_HEADER.size + name_length + extra_length

    def _check_overlaps(self, directory: int) -> None:
        """Raises CompileError if members share bytes, or if data precedes the first member."""
        spans = sorted(
            (info.header_offset, start + info.compress_size, name) for name, (info, start) in self._members.items()
        )
        end, previous = 0, ""
        for start, stop, name in spans:
            if start < end:
                raise unsafe_file_error(self.file_name, f"the members {previous!r} and {name!r} overlap")
            if not previous and start:
                message = f"{start:,} bytes precede the archive's first member, {name!r}"
                raise damaged_file_error(self.file_name, message)
            end, previous = stop, name
        if end > directory:
            raise unsafe_file_error(self.file_name, f"the member {previous!r} overlaps the archive's directory")

    def _read_at(self, offset: int, count: int) -> bytes:
        self.file.seek(offset)
        return self.file.read(count)

    # -- reading members -----------------------------------------------------------------------------------------

    def member_names(self) -> list[str]:
        """The members that are files, in the archive's order."""
        return [name for name in self._members if not name.endswith("/")]

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def member_size(self, name: str) -> int:
        return self._members[name][0].file_size

    def read(self, name: str) -> bytes:
        """The contents of a text member."""
        self.budget.take_text(self.member_size(name), f"the member {name!r}")
        return b"".join(self.chunks(name))

    def member_slice(self, name: str) -> FileSlice | None:
        """The location of an uncompressed member, after verifying its checksum; None if it is compressed."""
        info, start = self._members[name]
        if info.compress_type != zipfile.ZIP_STORED:
            return None
        for _ in self.chunks(name):
            pass
        return FileSlice(self.file.fileno(), start, info.file_size)

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yields a member's bytes in pieces. Raises CompileError if size or checksum differ from the headers."""
        info, start = self._members[name]
        decompressor = zlib.decompressobj(-15) if info.compress_type == zipfile.ZIP_DEFLATED else None
        crc, size, bytes_left = 0, 0, info.compress_size
        try:
            while bytes_left:
                piece = self._read_at(start + info.compress_size - bytes_left, min(bytes_left, CHUNK_BYTES))
                if not piece:
                    raise damaged_file_error(self.file_name, f"the file ends inside the member {name!r}")
                bytes_left -= len(piece)
                while piece:
                    data = decompressor.decompress(piece, CHUNK_BYTES) if decompressor else piece
                    piece = decompressor.unconsumed_tail if decompressor else b""
                    crc, size = zlib.crc32(data, crc), size + len(data)
                    if size > info.file_size:
                        message = f"the member {name!r} decompresses to more than the stated {info.file_size:,} bytes"
                        raise unsafe_file_error(self.file_name, message)
                    yield data
            if decompressor and (data := decompressor.flush()):
                crc, size = zlib.crc32(data, crc), size + len(data)
                yield data
        except zlib.error as error:
            message = f"the member {name!r} cannot be decompressed: {error}"
            raise damaged_file_error(self.file_name, message) from None
        is_complete = not decompressor or (decompressor.eof and not decompressor.unused_data)
        if size != info.file_size or crc != info.CRC or not is_complete:
            raise damaged_file_error(self.file_name, f"the member {name!r} is damaged: size or checksum differ")


def _zip64_sizes(extra: bytes) -> list[int]:
    """The 64-bit sizes in a header's extra field."""
    offset = 0
    while offset + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, offset)
        if kind == 1:
            body = extra[offset + 4 : offset + 4 + length]
            return list(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
        offset += 4 + length
    return []
