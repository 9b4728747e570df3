"""The process that reads an HDF5 file, since libhdf5 crashes on damaged files.

`hdf5` runs this file as a script, with the HDF5 file as standard input; it imports no other module of the package. It
writes one line of JSON for each group and array to standard output. An array's bytes follow its line, unless they are
contiguous in the file: then the line has their offset, and the parent process reads them. Before opening the file, the
process limits its own memory and CPU time, and drops the right to open or write files.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from itertools import count
from math import prod
from typing import Any, NamedTuple, NoReturn

TEXT_ATTRIBUTES = ("name", "keras_version", "backend", "model_config", "training_config")
TEXT_LIST_ATTRIBUTES = ("layer_names", "weight_names")
"""Attributes that hold text, and lists of text; a long list is split into `weight_names0`, `weight_names1`, ..."""
SUPPORTED_FILTERS = {1, 2, 3}
"""Deflate, shuffle and checksum, which are part of libhdf5."""


MAX_CHUNK_OVERHEAD_BYTES = 1 << 16
"""Bytes of a chunked array that need not be stored, whatever the compression ratio."""


class Hdf5FileError(Exception):
    """An error of the file: the code of a diagnostic and its message."""


class Limits(NamedTuple):
    """The resources that reading the file may use, the highest compression ratio of an array, and levels of groups."""

    bytes_left: int
    objects_left: int
    text_bytes_left: int
    compression_ratio: int
    group_depth: int


def main(
    start: int,
    length: int,
    memory: int,
    objects: int,
    text: int,
    ratio: int,
    depth: int,
    seconds: int,
    skip: list[str],
    paths: list[str],
) -> None:
    """Writes the contents of the file. The parameters are the keys of the JSON object that the parent passes."""
    out = sys.stdout.buffer
    try:
        sys.path[:] = paths
        try:
            import h5py  # noqa: F401
        except ImportError as error:
            raise Hdf5FileError("missing-package", f"{error}") from None
        set_resource_limits(memory, seconds)
        for line, data in Hdf5Reader(start, length, Limits(memory, objects, text, ratio, depth), skip).messages():
            out.write(json.dumps(line).encode() + b"\n")
            if data is not None:
                out.write(data)
        out.write(b'{"end":true}\n')
    except Hdf5FileError as error:
        out.write(json.dumps({"error": error.args}).encode() + b"\n")
    except MemoryError:
        out.write(b'{"error":["too-large","reading it takes more memory than the limit"]}\n')
    except Exception as error:
        message = f"not a readable HDF5 file: {error}"
        out.write(json.dumps({"error": ["damaged-file", message[:300]]}).encode() + b"\n")
    out.flush()
    os._exit(0)  # the exit handlers of libhdf5 may crash


def set_resource_limits(memory: int, seconds: int) -> None:
    """Limits this process' memory and CPU time, and allows no further open files, if the system supports it."""
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
    """A part of standard input, as the file object that h5py expects."""

    def __init__(self, start: int, length: int) -> None:
        self.start, self.length, self.position = start, length, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + (0, self.position, self.length)[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self.length - self.position)]
        filled = 0
        while filled < len(view):
            if hasattr(os, "preadv"):
                count = os.preadv(0, [view[filled:]], self.start + self.position + filled)
            else:
                os.lseek(0, self.start + self.position + filled, os.SEEK_SET)
                data = os.read(0, len(view) - filled)
                count = len(data)
                view[filled : filled + count] = data
            if not count:
                break
            filled += count
        self.position += filled
        return filled

    def read(self, count: int = -1) -> bytes:
        buffer = bytearray(self.length - self.position if count < 0 else count)
        return bytes(buffer[: self.readinto(buffer)])

    def write(self, data: Any) -> NoReturn:
        raise OSError("the file is read-only")

    def flush(self) -> None:
        pass


Message = tuple[dict[str, Any], Any]
"""A line of output, and the bytes after it or None."""


class Hdf5Reader:
    """Walks the file along hard links only."""

    def __init__(self, start: int, length: int, limits: Limits, skip: list[str]) -> None:
        import h5py

        self.h5 = h5py
        self.limits, self.skipped_groups = limits, skip
        self.bytes_left, self.objects_left, self.text_bytes_left = limits[:3]
        self.visited_groups: set[Any] = set()
        self.element_types = self._element_types()
        self.file = h5py.File(StandardInputSlice(start, length), "r")

    def _element_types(self) -> list[tuple[Any, str]]:
        h5t = self.h5.h5t
        names = [("IEEE_F16", "f2"), ("IEEE_F32", "f4"), ("IEEE_F64", "f8")]
        names += [(f"STD_{sign}{bits}", f"{sign.lower()}{bits // 8}") for sign in "IU" for bits in (8, 16, 32, 64)]
        orders = (("LE", "<"), ("BE", ">"))
        return [(getattr(h5t, name + suffix), mark + kind) for name, kind in names for suffix, mark in orders]

    def messages(self) -> Iterator[Message]:
        """Yields a message for every array and for every group with attributes of interest."""
        pending = [("", self.file.id)]
        while pending:
            path, group = pending.pop()
            if path.count("/") > self.limits.group_depth:
                raise Hdf5FileError(
                    "unsafe-file", f"groups nest deeper than {self.limits.group_depth} levels, at {path!r}"
                )
            is_skipped = path in self.skipped_groups
            if (attributes := self.read_attributes(group, path)) or is_skipped:
                yield {"group": path, "attributes": attributes, "skipped": is_skipped}, None
            groups = []
            for name, kind in [] if is_skipped else self.children(group, path):
                child_path = f"{path}/{name}" if path else name
                if kind == self.h5.h5o.TYPE_GROUP:
                    groups.append((child_path, self.h5.h5g.open(group, name.encode())))
                elif kind == self.h5.h5o.TYPE_DATASET:
                    yield self.array_message(self.h5.h5d.open(group, name.encode()), child_path)
                else:
                    raise Hdf5FileError("not-supported", f"{child_path!r} is neither a group nor an array")
            pending += reversed(groups)

    def children(self, group: Any, path: str) -> list[tuple[str, int]]:
        """Name and type of a group's members. Soft and external links and cycles are errors."""
        h5l, h5o = self.h5.h5l, self.h5.h5o
        members: list[tuple[str, int]] = []
        links: list[bytes] = []

        def add_link(name: bytes) -> bool | None:
            links.append(name)
            return True if len(links) > self.objects_left else None  # True ends the iteration

        group.links.iterate(add_link)
        self.objects_left -= len(links)
        if self.objects_left < 0:
            raise Hdf5FileError("too-large", f"more than {self.limits.objects_left:,} groups and arrays")
        for raw in links:
            name = self.decode(raw, f"a name in {path or 'the file'!r}")
            if "/" in name or not name.isprintable():
                message = f"the name {name!r} in {path or 'the file'!r} contains a slash or unprintable characters"
                raise Hdf5FileError("unsafe-file", message)
            kind = group.links.get_info(raw).type
            if kind != h5l.TYPE_HARD:
                descriptions = {h5l.TYPE_SOFT: "a soft link", h5l.TYPE_EXTERNAL: "a link to another file"}
                description = descriptions.get(kind, "a link of an unknown kind")
                raise Hdf5FileError("unsafe-file", f"{path + '/' + name!r} is {description}")
            info = h5o.get_info(group, raw)
            if info.type == h5o.TYPE_GROUP:
                if info.addr in self.visited_groups:
                    raise Hdf5FileError("unsafe-file", f"the group {path + '/' + name!r} is part of a cycle of links")
                self.visited_groups.add(info.addr)
            members.append((name, info.type))
        return members

    # -- arrays ----------------------------------------------------------------------------------------------------

    def array_message(self, data: Any, path: str) -> Message:
        """An array's line, and its bytes unless they are contiguous in the file. Checks the size first."""
        h5 = self.h5
        properties = data.get_create_plist()
        layout = properties.get_layout()
        if layout == h5.h5d.VIRTUAL or properties.get_external_count():
            raise Hdf5FileError("unsafe-file", f"the array {path!r} has its data in another file")
        filters = {properties.get_filter(index)[0] for index in range(properties.get_nfilters())}
        if filters - SUPPORTED_FILTERS:
            filter_number = min(filters - SUPPORTED_FILTERS)
            raise Hdf5FileError("not-supported", f"the array {path!r} is compressed by the filter {filter_number}")
        space = data.get_space()
        if space.get_simple_extent_type() not in (h5.h5s.SIMPLE, h5.h5s.SCALAR):
            raise Hdf5FileError("damaged-file", f"the array {path!r} has no shape")
        shape, kind = [int(size) for size in data.shape], self.element_type(data.get_type(), path)
        size = prod(shape) * int(kind[2:])
        stored_size = int(data.get_storage_size())
        if layout == h5.h5d.CHUNKED:
            is_plausible = size <= self.limits.compression_ratio * stored_size + MAX_CHUNK_OVERHEAD_BYTES
        else:
            is_plausible = size == stored_size or (layout == h5.h5d.COMPACT and size <= stored_size)
        if not is_plausible:
            message = f"the array {path!r} of shape {shape} has {size:,} bytes, but {stored_size:,} are stored"
            raise Hdf5FileError("unsafe-file", message)
        header = {"array": path, "shape": shape, "type": kind}
        offset = data.get_offset() if layout == h5.h5d.CONTIGUOUS and size else None
        if offset is not None:
            return {**header, "at": int(offset)}, None
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise Hdf5FileError("too-large", f"the arrays up to {path!r} have more bytes than the limit")
        return header, self.read_array(data, shape, kind) if size else b""

    def element_type(self, type: Any, path: str) -> str:
        """NumPy's code of an element type; `|V2` is bfloat16, which Keras writes as opaque bytes."""
        h5t = self.h5.h5t
        if type.get_class() == h5t.OPAQUE and type.get_size() == 2:
            return "|V2"
        for supported_type, code in self.element_types:
            if type.equal(supported_type):
                return code
        if isinstance(type, h5t.TypeEnumID) and type.equal(h5t.py_create("bool")):
            return "|b1"
        raise Hdf5FileError("not-supported", f"the array {path!r} has an unsupported element type")

    def read_array(self, data: Any, shape: list[int], kind: str) -> memoryview:
        import numpy as np

        array = np.empty(shape, np.dtype(kind))
        data.read(self.h5.h5s.ALL, self.h5.h5s.ALL, array)
        return array.reshape(-1).view(np.uint8).data

    # -- attributes ------------------------------------------------------------------------------------------------

    def read_attributes(self, group: Any, path: str) -> dict[str, Any]:
        """The attributes of interest: text and lists of text."""
        attributes: dict[str, Any] = {}
        for name in TEXT_ATTRIBUTES:
            for text in self.read_texts(group, path, name) or []:
                attributes[name] = text
        for name in TEXT_LIST_ATTRIBUTES:
            if (texts := self.read_texts(group, path, name)) is None:
                texts = self.read_split_list(group, path, name)
            if texts is not None:
                attributes[name] = texts
        return attributes

    def read_split_list(self, group: Any, path: str, name: str) -> list[str] | None:
        """A list that is split into several attributes; None if there is none."""
        items: list[str] = []
        for number in count():
            texts = self.read_texts(group, path, f"{name}{number}")
            if texts is None:
                return items if number else None
            items += texts
        return None

    def read_texts(self, group: Any, path: str, name: str) -> list[str] | None:
        """The text items of an attribute; None if it does not exist. Checks the size first."""
        h5 = self.h5
        description = f"the attribute {name!r} of {path or 'the file'!r}"
        if not h5.h5a.exists(group, name.encode()):
            return None
        attribute = h5.h5a.open(group, name.encode())
        type, item_count = attribute.get_type(), prod(attribute.shape)
        self.objects_left -= item_count + 1
        self.text_bytes_left -= attribute.get_storage_size() if item_count else 0
        if self.objects_left < 0 or self.text_bytes_left < 0:
            raise Hdf5FileError("too-large", f"{description} is larger than the limit")
        if not item_count:
            return []
        if type.get_class() != h5.h5t.STRING:
            raise Hdf5FileError("damaged-file", f"{description} is not text")
        import numpy as np

        has_variable_length = type.is_variable_str()
        array = np.empty(attribute.shape, h5.string_dtype() if has_variable_length else f"S{type.get_size()}")
        attribute.read(array)
        items = [item.encode() if isinstance(item, str) else item for item in array.reshape(-1).tolist()]
        self.text_bytes_left -= sum(map(len, items)) if has_variable_length else 0
        if self.text_bytes_left < 0:
            raise Hdf5FileError("too-large", f"{description} is larger than the limit")
        return [self.decode(item, description) for item in items]

    def decode(self, raw: bytes, description: str) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise Hdf5FileError("damaged-file", f"{description} is not UTF-8") from None


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
