"""Zip archives, read with nothing in them trusted and nothing unpacked to the disk.

What `zipfile` leaves to its caller is checked here: names, sizes, what overlaps, and that the two headers of a member
agree, so that no other reader sees another archive in the same bytes.
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

from .file_slice import FileSlice
from .limits import ReadBudget, damaged_file_error, unsafe_file_error

MAX_MEMBERS = 20_000
CHUNK_BYTES = 1 << 20
MAX_COMPRESSION_RATIO = 1032
"""Deflate packs no more than so many bytes into one."""

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_END_RECORD = struct.Struct("<4s4H2LH")
_ZIP64_END_RECORD = struct.Struct("<4sQ2H2L4Q")
_ZIP64_LOCATOR = struct.Struct("<4sLQL")
_UNSAFE_NAME_CHARACTERS = re.compile(r"[\x00-\x1f\x7f\\:]")


class ZipArchive:
    """The members of an archive by name. CompileError where anything about it is odd; `budget` pays for all of it."""

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
                raise unsafe_file_error(self.file_name, f"two members of the archive are called {info.orig_filename!r}")
            self._members[info.orig_filename] = info, self._check_member(info)
        self._check_overlaps(directory)

    def _find_central_directory(self) -> int:
        """Where the central directory starts. It is measured before `zipfile` reads it into memory."""
        tail = self._read_at(max(0, self.size - (1 << 16) - _END_RECORD.size), (1 << 16) + _END_RECORD.size)
        place = tail.rfind(b"PK\5\6")
        if place < 0 or len(tail) - place < _END_RECORD.size:
            raise damaged_file_error(self.file_name, "not a readable zip archive: it has no end, so it may be cut off")
        _, _, _, _, count, length, start, comment = _END_RECORD.unpack_from(tail, place)
        if len(tail) - place - _END_RECORD.size != comment:
            raise damaged_file_error(self.file_name, "the archive does not end where it says it does")
        end = self.size - len(tail) + place
        if place >= _ZIP64_LOCATOR.size and tail[place - _ZIP64_LOCATOR.size :].startswith(b"PK\6\7"):
            _, _, where, _ = _ZIP64_LOCATOR.unpack_from(tail, place - _ZIP64_LOCATOR.size)
            record = (
                self._read_at(where, _ZIP64_END_RECORD.size) if where + _ZIP64_END_RECORD.size <= self.size else b""
            )
            if not record.startswith(b"PK\6\6"):
                raise damaged_file_error(self.file_name, "the archive's zip64 end record is not where it says it is")
            *_, count, length, start = _ZIP64_END_RECORD.unpack(record)
            end = where
        if count > MAX_MEMBERS or length > MAX_MEMBERS * 512:
            self.budget.raise_too_large(f"the archive has {count:,} members, the limit is {MAX_MEMBERS:,}")
        if start + length != end:
            raise damaged_file_error(
                self.file_name, "the archive's directory is not where it says it is, or something is before it"
            )
        return start

    def _check_member(self, info: zipfile.ZipInfo) -> int:
        """Where a member's data start; CompileError where its headers are odd."""
        name = info.orig_filename
        parts = name.removesuffix("/").split("/")
        if _UNSAFE_NAME_CHARACTERS.search(name) or not set(parts).isdisjoint(("", ".", "..")):
            raise unsafe_file_error(
                self.file_name, f"the name of the member {name!r} leads out of the archive, or may do so"
            )
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise unsafe_file_error(self.file_name, f"the member {name!r} is a link or a device, not a file")
        if info.flag_bits & 0x2041:
            raise damaged_file_error(self.file_name, f"the member {name!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise damaged_file_error(
                self.file_name, f"the member {name!r} is packed by method {info.compress_type}, not by deflate"
            )
        packed, size = info.compress_size, info.file_size
        if info.compress_type == zipfile.ZIP_STORED and packed != size:
            raise damaged_file_error(
                self.file_name, f"the member {name!r} is not packed, yet has {packed:,} bytes for {size:,}"
            )
        if size > MAX_COMPRESSION_RATIO * packed:
            raise unsafe_file_error(
                self.file_name, f"the member {name!r} says that {packed:,} bytes unpack to {size:,}"
            )
        if size > self.budget.bytes_left:
            self.budget.raise_too_large(
                f"the member {name!r} has {size:,} bytes, the limit is {self.budget.bytes_left:,}"
            )
        return self._data_start(info)

    def _data_start(self, info: zipfile.ZipInfo) -> int:
        """Behind the local header, which must say what the directory says."""
        name, start = info.orig_filename, info.header_offset
        header = self._read_at(start, _LOCAL_HEADER.size) if 0 <= start <= self.size else b""
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
            raise damaged_file_error(self.file_name, f"the member {name!r} is not where the directory says it is")
        _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        written, extra = (
            (part := self._read_at(start + _LOCAL_HEADER.size, name_length + extra_length))[:name_length],
            part,
        )
        wide = _zip64_sizes(extra[name_length:])
        if packed == size == 0xFFFFFFFF and len(wide) >= 2:
            size, packed = wide[:2]
        later = flags & 8 and crc == packed == size == 0  # told behind the data
        same = later or (crc, packed, size) == (info.CRC, info.compress_size, info.file_size)
        encoded = name.encode("utf-8" if info.flag_bits & 0x800 else "cp437", "replace")
        if not same or method != info.compress_type or flags != info.flag_bits or written != encoded:
            raise damaged_file_error(self.file_name, f"the archive says two things about the member {name!r}")
        return start + _LOCAL_HEADER.size + name_length + extra_length

    def _check_overlaps(self, directory: int) -> None:
        """CompileError where members share bytes, or something stands before the first."""
        spans = sorted(
            (info.header_offset, start + info.compress_size, name) for name, (info, start) in self._members.items()
        )
        end, before = 0, ""
        for start, stop, name in spans:
            if start < end:
                raise unsafe_file_error(self.file_name, f"the members {before!r} and {name!r} overlap")
            if not before and start:
                raise damaged_file_error(
                    self.file_name, f"{start:,} bytes stand before the archive's first member, {name!r}"
                )
            end, before = stop, name
        if end > directory:
            raise unsafe_file_error(self.file_name, f"the member {before!r} overlaps the archive's directory")

    def _read_at(self, offset: int, count: int) -> bytes:
        self.file.seek(offset)
        return self.file.read(count)

    # -- what callers read ---------------------------------------------------------------------------------------

    def member_names(self) -> list[str]:
        """All members that are files, in the archive's order."""
        return [name for name in self._members if not name.endswith("/")]

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def member_size(self, name: str) -> int:
        return self._members[name][0].file_size

    def read(self, name: str) -> bytes:
        """A member of text, whole."""
        self.budget.take_text(self.member_size(name), f"the member {name!r}")
        return b"".join(self.chunks(name))

    def member_slice(self, name: str) -> FileSlice | None:
        """The bytes of a member that is not packed, in place, once their checksum is found right; else None."""
        info, start = self._members[name]
        if info.compress_type != zipfile.ZIP_STORED:
            return None
        for _ in self.chunks(name):
            pass
        return FileSlice(self.file.fileno(), start, info.file_size)

    def chunks(self, name: str) -> Iterator[bytes]:
        """A member's bytes in pieces; CompileError where size or checksum are not those promised."""
        info, start = self._members[name]
        unpack = zlib.decompressobj(-15) if info.compress_type == zipfile.ZIP_DEFLATED else None
        crc, size, left = 0, 0, info.compress_size
        try:
            while left:
                piece = self._read_at(start + info.compress_size - left, min(left, CHUNK_BYTES))
                if not piece:
                    raise damaged_file_error(self.file_name, f"the file ends inside the member {name!r}")
                left -= len(piece)
                while piece:
                    data = unpack.decompress(piece, CHUNK_BYTES) if unpack else piece
                    piece = unpack.unconsumed_tail if unpack else b""
                    crc, size = zlib.crc32(data, crc), size + len(data)
                    if size > info.file_size:
                        raise unsafe_file_error(
                            self.file_name, f"the member {name!r} unpacks to more than the {info.file_size:,} it says"
                        )
                    yield data
            if unpack and (data := unpack.flush()):
                crc, size = zlib.crc32(data, crc), size + len(data)
                yield data
        except zlib.error as error:
            raise damaged_file_error(self.file_name, f"the member {name!r} cannot be unpacked: {error}") from None
        whole = not unpack or (unpack.eof and not unpack.unused_data)
        if size != info.file_size or crc != info.CRC or not whole:
            raise damaged_file_error(self.file_name, f"the member {name!r} is damaged: its checksum is another")


def _zip64_sizes(extra: bytes) -> list[int]:
    """The 64-bit sizes of a header's extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            body = extra[at + 4 : at + 4 + length]
            return list(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
        at += 4 + length
    return []
