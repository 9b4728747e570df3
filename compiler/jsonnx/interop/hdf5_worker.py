"""The process that reads an HDF5 file: libhdf5 crashes on damaged files, and here it may.

Run as a script, by `hdf5`, with the file as standard input; imports nothing of ours. What it finds goes to standard
output as one line of JSON each, an array's bytes behind its line: where they lie in the file in one piece, the line
says so instead, and the parent takes them from there. Before it looks at the file it gives up memory beyond a limit,
time, and the right to open or write files.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from itertools import count
from math import prod
from typing import Any, NoReturn

TEXT_ATTRIBUTES = ("name", "keras_version", "backend", "model_config", "training_config")
TEXT_LIST_ATTRIBUTES = ("layer_names", "weight_names")
"""Texts, and lists of texts that may be cut into pieces: `weight_names0`, `weight_names1`."""
MAX_GROUP_DEPTH = 48
SUPPORTED_FILTERS = {1, 2, 3}
"""Deflate, shuffle, checksum: those that libhdf5 itself has."""


class Hdf5FileError(Exception):
    """What is wrong with the file: a code of a diagnostic and a message."""


def main(start: int, length: int, memory: int, seconds: int, skip: list[str], paths: list[str]) -> None:
    out = sys.stdout.buffer
    try:
        sys.path[:] = paths
        try:
            import h5py  # noqa: F401
        except ImportError as error:
            raise Hdf5FileError("missing-package", f"{error}") from None
        set_resource_limits(memory, seconds)
        for line, data in Hdf5Reader(start, length, memory, skip).messages():
            out.write(json.dumps(line).encode() + b"\n")
            if data is not None:
                out.write(data)
        out.write(b'{"end":true}\n')
    except Hdf5FileError as fault:
        out.write(json.dumps({"fault": fault.args}).encode() + b"\n")
    except MemoryError:
        out.write(b'{"fault":["too-large","reading it takes more memory than the limit"]}\n')
    except Exception as error:
        text = f"not a readable HDF5 file: {error}"
        out.write(json.dumps({"fault": ["damaged-file", text[:300]]}).encode() + b"\n")
    out.flush()
    os._exit(0)  # libhdf5 tidies up at the exit, and may crash there


def set_resource_limits(memory: int, seconds: int) -> None:
    """Limits of this process, where the system knows them."""
    try:
        import resource
    except ImportError:
        return
    with open("/proc/self/statm") if os.path.exists("/proc/self/statm") else open(os.devnull) as file:
        pages = (file.read().split() or ["0"])[0]
    used = int(pages) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: used + memory + (256 << 20) if used else resource.RLIM_INFINITY,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 3,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))


class StandardInputSlice:
    """A part of standard input as a file that h5py reads."""

    def __init__(self, start: int, length: int) -> None:
        self.start, self.length, self.position = start, length, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + (0, self.position, self.length)[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self.length - self.position)]
        done = 0
        while done < len(view):
            if hasattr(os, "preadv"):
                count = os.preadv(0, [view[done:]], self.start + self.position + done)
            else:
                os.lseek(0, self.start + self.position + done, os.SEEK_SET)
                data = os.read(0, len(view) - done)
                count = len(data)
                view[done : done + count] = data
            if not count:
                break
            done += count
        self.position += done
        return done

    def read(self, count: int = -1) -> bytes:
        buffer = bytearray(self.length - self.position if count < 0 else count)
        return bytes(buffer[: self.readinto(buffer)])

    def write(self, data: Any) -> NoReturn:
        raise OSError("the file is read only")

    def flush(self) -> None:
        pass


Messages = Iterator[tuple[dict[str, Any], Any]]


class Hdf5Reader:
    """Walks the file without following any link but those that own what they name."""

    def __init__(self, start: int, length: int, memory: int, skip: list[str]) -> None:
        import h5py

        self.h5 = h5py
        self.bytes_left, self.objects_left, self.text_bytes_left = memory, 200_000, 64 << 20
        self.skipped_groups = skip
        self.visited_groups: set[Any] = set()
        self.element_types = self._element_types()
        self.file = h5py.File(StandardInputSlice(start, length), "r")

    def _element_types(self) -> list[tuple[Any, str]]:
        h5t = self.h5.h5t
        names = [("IEEE_F16", "f2"), ("IEEE_F32", "f4"), ("IEEE_F64", "f8")]
        names += [(f"STD_{sign}{bits}", f"{sign.lower()}{bits // 8}") for sign in "IU" for bits in (8, 16, 32, 64)]
        return [
            (getattr(h5t, name + end), mark + kind) for name, kind in names for end, mark in (("LE", "<"), ("BE", ">"))
        ]

    def messages(self) -> Messages:
        """A line for every group that has attributes we read, and for every array."""
        todo = [("", self.file.id)]
        while todo:
            path, group = todo.pop()
            if path.count("/") > MAX_GROUP_DEPTH:
                raise Hdf5FileError("unsafe-file", f"groups nest deeper than {MAX_GROUP_DEPTH} levels, at {path!r}")
            skipped = path in self.skipped_groups
            if (attributes := self.read_attributes(group, path)) or skipped:
                yield {"group": path, "attributes": attributes, "skipped": skipped}, None
            groups = []
            for name, kind in [] if skipped else self.children(group, path):
                below = f"{path}/{name}" if path else name
                if kind == self.h5.h5o.TYPE_GROUP:
                    groups.append((below, self.h5.h5g.open(group, name.encode())))
                elif kind == self.h5.h5o.TYPE_DATASET:
                    yield self.array_message(self.h5.h5d.open(group, name.encode()), below)
                else:
                    raise Hdf5FileError("not-supported", f"{below!r} is neither a group nor an array")
            todo += reversed(groups)

    def children(self, group: Any, path: str) -> list[tuple[str, int]]:
        """The members of a group; Fault for a link that leads elsewhere, and for a group that is met twice."""
        h5l, h5o = self.h5.h5l, self.h5.h5o
        found: list[tuple[str, int]] = []
        links: list[bytes] = []

        def note(name: bytes) -> None:
            self.objects_left -= 1
            if self.objects_left < 0:
                raise Hdf5FileError("too-large", "more than 200,000 groups and arrays")
            links.append(name)

        group.links.iterate(note)
        for raw in links:
            name = self.decode(raw, f"a name in {path or 'the file'!r}")
            if "/" in name or not name.isprintable():
                raise Hdf5FileError("unsafe-file", f"the name {name!r} in {path or 'the file'!r} has odd characters")
            kind = group.links.get_info(raw).type
            if kind != h5l.TYPE_HARD:
                what = {h5l.TYPE_SOFT: "a soft link", h5l.TYPE_EXTERNAL: "a link into another file"}
                raise Hdf5FileError("unsafe-file", f"{path + '/' + name!r} is {what.get(kind, 'an odd link')}")
            info = h5o.get_info(group, raw)
            if info.type == h5o.TYPE_GROUP:
                if info.addr in self.visited_groups:
                    raise Hdf5FileError("unsafe-file", f"the group {path + '/' + name!r} is met a second time")
                self.visited_groups.add(info.addr)
            found.append((name, info.type))
        return found

    # -- arrays ----------------------------------------------------------------------------------------------------

    def array_message(self, data: Any, path: str) -> tuple[dict[str, Any], Any]:
        """An array's line, and its bytes where they lie in pieces. Nothing is read before its size is known."""
        h5 = self.h5
        made = data.get_create_plist()
        layout = made.get_layout()
        if layout == h5.h5d.VIRTUAL or made.get_external_count():
            raise Hdf5FileError("unsafe-file", f"the array {path!r} keeps its numbers in another file")
        if filters := {made.get_filter(index)[0] for index in range(made.get_nfilters())} - SUPPORTED_FILTERS:
            raise Hdf5FileError("not-supported", f"the array {path!r} is packed by the filter {min(filters)}")
        space = data.get_space()
        if space.get_simple_extent_type() not in (h5.h5s.SIMPLE, h5.h5s.SCALAR):
            raise Hdf5FileError("damaged-file", f"the array {path!r} has no shape")
        shape, kind = [int(size) for size in data.shape], self.element_type(data.get_type(), path)
        size = prod(shape) * int(kind[2:])
        stored = int(data.get_storage_size())
        if layout == h5.h5d.CHUNKED:
            fits = size <= 1032 * stored + 65536
        else:
            fits = size == stored or (layout == h5.h5d.COMPACT and size <= stored)
        if not fits:
            raise Hdf5FileError(
                "unsafe-file", f"the array {path!r} of shape {shape} should have {size:,} bytes, {stored:,} are stored"
            )
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise Hdf5FileError("too-large", f"the arrays up to {path!r} have more bytes than the limit")
        line = {"array": path, "shape": shape, "type": kind}
        offset = data.get_offset() if layout == h5.h5d.CONTIGUOUS and size else None
        if offset is not None:
            return {**line, "at": int(offset)}, None
        return line, self.read_array(data, shape, kind) if size else b""

    def element_type(self, type: Any, path: str) -> str:
        """NumPy's word for an element type; `|V2` is a bfloat16, which Keras writes as bytes."""
        h5t = self.h5.h5t
        if type.get_class() == h5t.OPAQUE and type.get_size() == 2:
            return "|V2"
        for known, name in self.element_types:
            if type.equal(known):
                return name
        if isinstance(type, h5t.TypeEnumID) and type.equal(h5t.py_create("bool")):
            return "|b1"
        raise Hdf5FileError("not-supported", f"the array {path!r} has elements of a type that is not supported")

    def read_array(self, data: Any, shape: list[int], kind: str) -> memoryview:
        import numpy as np

        array = np.empty(shape, np.dtype(kind))
        data.read(self.h5.h5s.ALL, self.h5.h5s.ALL, array)
        return array.reshape(-1).view(np.uint8).data

    # -- attributes ------------------------------------------------------------------------------------------------

    def read_attributes(self, group: Any, path: str) -> dict[str, Any]:
        """The attributes that say something: texts and lists of texts."""
        found: dict[str, Any] = {}
        for name in TEXT_ATTRIBUTES:
            for text in self.read_texts(group, path, name) or []:
                found[name] = text
        for name in TEXT_LIST_ATTRIBUTES:
            if (texts := self.read_texts(group, path, name)) is None:
                texts = self.read_split_list(group, path, name)
            if texts is not None:
                found[name] = texts
        return found

    def read_split_list(self, group: Any, path: str, name: str) -> list[str] | None:
        """A list that is too long for one attribute."""
        found: list[str] = []
        for number in count():
            texts = self.read_texts(group, path, f"{name}{number}")
            if texts is None:
                return found if number else None
            found += texts
        return None

    def read_texts(self, group: Any, path: str, name: str) -> list[str] | None:
        """The texts of one attribute; None where it is not there. Nothing is read before its size is known."""
        h5 = self.h5
        where = f"the attribute {name!r} of {path or 'the file'!r}"
        if not h5.h5a.exists(group, name.encode()):
            return None
        attribute = h5.h5a.open(group, name.encode())
        type, number = attribute.get_type(), prod(attribute.shape)
        self.objects_left -= number + 1
        self.text_bytes_left -= attribute.get_storage_size() if number else 0
        if self.objects_left < 0 or self.text_bytes_left < 0:
            raise Hdf5FileError("too-large", f"{where} is larger than the limit")
        if not number:
            return []
        if type.get_class() != h5.h5t.STRING:
            raise Hdf5FileError("damaged-file", f"{where} is no text")
        import numpy as np

        varies = type.is_variable_str()
        array = np.empty(attribute.shape, h5.string_dtype() if varies else f"S{type.get_size()}")
        attribute.read(array)
        raw = [item.encode() if isinstance(item, str) else item for item in array.reshape(-1).tolist()]
        self.text_bytes_left -= sum(map(len, raw)) if varies else 0
        if self.text_bytes_left < 0:
            raise Hdf5FileError("too-large", f"{where} is larger than the limit")
        return [self.decode(item, where) for item in raw]

    def decode(self, raw: bytes, description: str) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise Hdf5FileError("damaged-file", f"{description} is not UTF-8") from None


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
