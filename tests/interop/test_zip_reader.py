"""Archives that no honest writer makes: each is refused, and nothing of it is unpacked."""

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
from jsonnx.interop.limits import ReadBudget
from jsonnx.interop.zip_reader import ZipArchive

CONFIG = b'{"class_name": "Sequential", "config": {"layers": []}}'


def packed(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytearray:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, method)
    return bytearray(file.getvalue())


def contents(file: IO[bytes], budget: ReadBudget) -> list[tuple[str, bytes]]:
    archive = ZipArchive(file, budget)
    return [(name, archive.read(name)) for name in archive.member_names()]


def codes(data: bytes, tmp_path: Path, **budget: int) -> tuple[str, str]:
    path = tmp_path / "model.keras"
    path.write_bytes(data)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(jsonnx.CompileError) as caught, path.open("rb") as file:
        contents(file, ReadBudget(str(path), **budget))
    assert sorted(tmp_path.rglob("*")) == before
    (fault,) = caught.value.diagnostics
    assert fault.file == str(path)
    return fault.code, fault.message


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "..\\x", "C:x", "a//b", "./x", "a\nb", "\x7fx", "a/..", "con\x00fig"]
)
def test_a_name_that_leads_elsewhere(name: str, tmp_path: Path) -> None:
    data = packed(("config.json", CONFIG), ("Q" * len(name), b"x"))
    code, message = codes(data.replace(b"Q" * len(name), name.encode()), tmp_path)
    assert code == "unsafe-file"
    assert repr(name) in message


def test_a_symbolic_link(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("assets/x")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert codes(file.getvalue(), tmp_path)[0] == "unsafe-file"


def test_two_members_of_one_name(tmp_path: Path) -> None:
    data = packed(("config.json", CONFIG), ("config.jsoN", b"{}")).replace(b"config.jsoN", b"config.json")
    code, message = codes(data, tmp_path)
    assert (code, "'config.json'" in message) == ("unsafe-file", True)


def test_a_million_members_are_not_even_listed(tmp_path: Path) -> None:
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 10**6, 10**6, 46 * 10**6, 0)
    data = bytes(46 * 10**6) + end_64 + struct.pack("<4sLQL", b"PK\6\7", 0, 46 * 10**6, 1) + end
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert codes(data, tmp_path)[0] == "too-large"
    del data
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 120_000  # the test's own bytes


def test_a_bomb_is_refused_by_what_it_says(tmp_path: Path) -> None:
    data = packed(("config.json", bytes(100 << 20)), method=zipfile.ZIP_DEFLATED)
    assert len(data) < 200_000
    code, message = codes(data, tmp_path)
    assert code == "too-large"
    assert "104,857,600" in message


def test_a_bomb_that_says_less(tmp_path: Path) -> None:
    """It is unpacked no further than it says."""
    data = packed(("config.json", bytes(10 << 20)), method=zipfile.ZIP_DEFLATED)
    data = data.replace(struct.pack("<L", 10 << 20), struct.pack("<L", 1 << 10))
    assert codes(data, tmp_path)[0] == "unsafe-file"


def test_many_members_share_one_budget(tmp_path: Path) -> None:
    data = packed(*((f"assets/{index}", bytes(1000)) for index in range(100)))
    assert codes(data, tmp_path, text_bytes_left=50_000)[0] == "too-large"
    assert codes(data, tmp_path, objects_left=50)[0] == "too-large"


def test_members_that_overlap(tmp_path: Path) -> None:
    """The second member's header points at the first: a bomb of many names on the same bytes."""
    data = packed(("a.json", CONFIG), ("b.json", CONFIG))
    second = data.index(b"PK\3\4", 4)
    entry = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    forged = data[:]
    forged[entry + 42 : entry + 46] = struct.pack("<L", 0)
    assert codes(bytes(forged), tmp_path)[0] in ("unsafe-file", "damaged-file")
    forged = data.replace(b"b.json", b"a.json")  # headers that agree, on the same bytes
    forged[entry + 42 : entry + 46] = struct.pack("<L", 0)
    assert codes(bytes(forged), tmp_path)[0] == "unsafe-file"
    longer = data[:]  # the first member claims the second's header as its data
    size = struct.pack("<L", len(CONFIG) + 40)
    for at in (18, 22, data.index(b"PK\1\2") + 20, data.index(b"PK\1\2") + 24):
        longer[at : at + 4] = size
    assert second < len(CONFIG) + 40 + 36
    assert codes(bytes(longer), tmp_path) == ("unsafe-file", "the members 'a.json' and 'b.json' overlap")


def changed(place: Callable[[bytes], int], mask: int) -> bytes:
    data = packed(("config.json", CONFIG))
    data[place(bytes(data))] ^= mask
    return bytes(data)


def directory(offset: int) -> Callable[[bytes], int]:
    return lambda data: data.index(b"PK\1\2") + offset


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (changed(directory(16), 1), "two things"),  # the checksum, in the directory alone
        (changed(lambda data: data.index(CONFIG), 1), "checksum"),
        (changed(directory(8), 1), "encrypted"),
        (changed(directory(10), 12), "method 12"),
        (changed(directory(24), 1), "not packed"),
        (changed(directory(46), 1), "two things"),  # the name
        (changed(directory(42), 1), "not where"),
        (changed(lambda data: 26, 1), "two things"),
        (changed(lambda data: 8, 8), "two things"),
        (b"MZ" + changed(lambda data: 0, 0), "something is before it"),
        (changed(lambda data: 0, 0) + b"x", "does not end"),
        (changed(lambda data: 0, 0)[:-30], "no end"),
        (changed(lambda data: len(data) - 6, 1), "not where"),
        (b"PK\3\4" + bytes(300), "no end"),
        (b"", "no end"),
    ],
)
def test_an_archive_that_is_damaged(data: bytes, words: str, tmp_path: Path) -> None:
    code, message = codes(data, tmp_path)
    assert code == "damaged-file"
    assert words in message


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_rare_method(method: int, tmp_path: Path) -> None:
    code, message = codes(packed(("config.json", CONFIG), method=method), tmp_path)
    assert code == "damaged-file"
    assert "'config.json'" in message


def test_sizes_of_zip64_that_lie(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, archive.open("config.json", "w", force_zip64=True) as member:
        member.write(CONFIG)
    honest = file.getvalue()
    assert ZipArchive(io.BytesIO(honest), ReadBudget()).read("config.json") == CONFIG
    extra = honest.index(struct.pack("<HHQQ", 1, 16, len(CONFIG), len(CONFIG)))
    lying = bytearray(honest)
    lying[extra + 4] ^= 0x40
    assert codes(bytes(lying), tmp_path)[0] == "damaged-file"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_honest_archive_is_read(method: int) -> None:
    members = [("config.json", CONFIG), ("assets/words.txt", "ä".encode() * 10_000), ("empty", b"")]
    assert contents(io.BytesIO(bytes(packed(*members, method=method))), ReadBudget()) == members
