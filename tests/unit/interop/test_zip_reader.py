"""Malicious and damaged archives are rejected, and nothing is extracted to disk."""

from __future__ import annotations

import io
import resource
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import jsonnx
import pytest
from jsonnx.interop.read_budget import ReadBudget
from jsonnx.interop.zip_reader import ZipArchive

CONFIG = b'{"class_name": "Sequential", "config": {"layers": []}}'


def zip_bytes(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytearray:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, method)
    return bytearray(file.getvalue())


def contents(file: IO[bytes], budget: ReadBudget) -> list[tuple[str, bytes]]:
    archive = ZipArchive(file, budget)
    return [(name, archive.read(name)) for name in archive.member_names()]


def rejection(data: bytes, tmp_path: Path, **budget: int) -> tuple[str, str]:
    path = tmp_path / "model.keras"
    path.write_bytes(data)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(jsonnx.CompileError) as caught, path.open("rb") as file:
        contents(file, ReadBudget(str(path), **budget))
    assert sorted(tmp_path.rglob("*")) == before
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.file == str(path)
    return diagnostic.code, diagnostic.message


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "..\\x", "C:x", "a//b", "./x", "a\nb", "\x7fx", "a/..", "con\x00fig"]
)
def test_member_name_that_escapes_the_archive_is_unsafe(name: str, tmp_path: Path) -> None:
    data = zip_bytes(("config.json", CONFIG), ("Q" * len(name), b"x"))
    code, message = rejection(data.replace(b"Q" * len(name), name.encode()), tmp_path)
    assert code == "unsafe-file"
    assert repr(name) in message


def test_symbolic_link_is_unsafe(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("assets/x")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert rejection(file.getvalue(), tmp_path)[0] == "unsafe-file"


def test_duplicate_member_names_are_unsafe(tmp_path: Path) -> None:
    data = zip_bytes(("config.json", CONFIG), ("config.jsoN", b"{}")).replace(b"config.jsoN", b"config.json")
    code, message = rejection(data, tmp_path)
    assert (code, "'config.json'" in message) == ("unsafe-file", True)


def test_central_directory_of_a_million_members_is_not_loaded(tmp_path: Path) -> None:
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 10**6, 10**6, 46 * 10**6, 0)
    data = bytes(46 * 10**6) + end_64 + struct.pack("<4sLQL", b"PK\6\7", 0, 46 * 10**6, 1) + end
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert rejection(data, tmp_path)[0] == "too-large"
    del data
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 120_000  # the bytes of the test itself


def test_zip_bomb_is_rejected_by_its_stated_size(tmp_path: Path) -> None:
    data = zip_bytes(("config.json", bytes(100 << 20)), method=zipfile.ZIP_DEFLATED)
    assert len(data) < 200_000
    code, message = rejection(data, tmp_path)
    assert code == "too-large"
    assert "104,857,600" in message


def test_zip_bomb_with_false_size_is_decompressed_only_up_to_that_size(tmp_path: Path) -> None:
    data = zip_bytes(("config.json", bytes(10 << 20)), method=zipfile.ZIP_DEFLATED)
    data = data.replace(struct.pack("<L", 10 << 20), struct.pack("<L", 1 << 10))
    assert rejection(data, tmp_path)[0] == "unsafe-file"


def test_members_share_one_budget(tmp_path: Path) -> None:
    data = zip_bytes(*((f"assets/{index}", bytes(1000)) for index in range(100)))
    assert rejection(data, tmp_path, text_bytes_left=50_000)[0] == "too-large"
    assert rejection(data, tmp_path, objects_left=50)[0] == "too-large"


def test_overlapping_members_are_unsafe(tmp_path: Path) -> None:
    """The second entry points at the first member, as in a zip bomb of many names for the same bytes."""
    data = zip_bytes(("a.json", CONFIG), ("b.json", CONFIG))
    second = data.index(b"PK\3\4", 4)
    entry = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    forged = data[:]
    forged[entry + 42 : entry + 46] = struct.pack("<L", 0)
    assert rejection(bytes(forged), tmp_path)[0] in ("unsafe-file", "damaged-file")
    forged = data.replace(b"b.json", b"a.json")  # with equal headers
    forged[entry + 42 : entry + 46] = struct.pack("<L", 0)
    assert rejection(bytes(forged), tmp_path)[0] == "unsafe-file"
    longer = data[:]  # the first member includes the header of the second
    size = struct.pack("<L", len(CONFIG) + 40)
    for at in (18, 22, data.index(b"PK\1\2") + 20, data.index(b"PK\1\2") + 24):
        longer[at : at + 4] = size
    assert second < len(CONFIG) + 40 + 36
    assert rejection(bytes(longer), tmp_path) == ("unsafe-file", "the members 'a.json' and 'b.json' overlap")


def changed(place: Callable[[bytes], int], mask: int) -> bytes:
    data = zip_bytes(("config.json", CONFIG))
    data[place(bytes(data))] ^= mask
    return bytes(data)


def directory(offset: int) -> Callable[[bytes], int]:
    return lambda data: data.index(b"PK\1\2") + offset


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (changed(directory(16), 1), "headers of the member"),  # the checksum, only in the directory
        (changed(lambda data: data.index(CONFIG), 1), "checksum"),
        (changed(directory(8), 1), "encrypted"),
        (changed(directory(10), 12), "method 12"),
        (changed(directory(24), 1), "not compressed"),
        (changed(directory(46), 1), "headers of the member"),  # the name
        (changed(directory(42), 1), "not at the offset"),
        (changed(lambda data: 26, 1), "headers of the member"),
        (changed(lambda data: 8, 8), "headers of the member"),
        (b"MZ" + changed(lambda data: 0, 0), "data precedes the archive"),
        (changed(lambda data: 0, 0) + b"x", "does not end"),
        (changed(lambda data: 0, 0)[:-30], "end record is missing"),
        (changed(lambda data: len(data) - 6, 1), "not at the stated offset"),
        (b"PK\3\4" + bytes(300), "end record is missing"),
        (b"", "end record is missing"),
    ],
)
def test_damaged_archive_is_rejected(data: bytes, words: str, tmp_path: Path) -> None:
    code, message = rejection(data, tmp_path)
    assert code == "damaged-file"
    assert words in message


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unsupported_compression_method_is_rejected(method: int, tmp_path: Path) -> None:
    code, message = rejection(zip_bytes(("config.json", CONFIG), method=method), tmp_path)
    assert code == "damaged-file"
    assert "'config.json'" in message


def test_false_zip64_sizes_are_rejected(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, archive.open("config.json", "w", force_zip64=True) as member:
        member.write(CONFIG)
    valid = file.getvalue()
    assert ZipArchive(io.BytesIO(valid), ReadBudget()).read("config.json") == CONFIG
    extra = valid.index(struct.pack("<HHQQ", 1, 16, len(CONFIG), len(CONFIG)))
    forged = bytearray(valid)
    forged[extra + 4] ^= 0x40
    assert rejection(bytes(forged), tmp_path)[0] == "damaged-file"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_valid_archive_is_read(method: int) -> None:
    members = [("config.json", CONFIG), ("assets/words.txt", "ä".encode() * 10_000), ("empty", b"")]
    assert contents(io.BytesIO(bytes(zip_bytes(*members, method=method))), ReadBudget()) == members
