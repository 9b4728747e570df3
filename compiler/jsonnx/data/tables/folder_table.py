"""Folders of images, recordings or texts as tables: one row a file, with the names of folders as classes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.diagnostics import UsageError, or_list
from ...core.files.data_formats import (
    AUDIO_SUFFIXES,
    IMAGE_SUFFIXES,
    MEDIA_SUFFIXES,
    PLAIN_TEXT_SUFFIXES,
    UNREAD_MEDIA_SUFFIXES,
)
from ...core.files.file_patterns import require_file_count
from ...core.files.files import FolderEntry, LinkInFolder, UnsafePath, error_reason
from ...core.files.spec_folders import DATA_FOLDER_HELP, DataFolder
from ...core.limits import MAX_DATA_FILE_BYTES, MAX_MEDIA_FILE_BYTES
from ..samples.data_errors import NO_LOCATION, DataLocation, ErrorCollector, MediaError
from ..samples.valid_values import ElementIndex
from ..samples.validate_arrays import LocateElement
from .data_table import ColumnRequest

LABEL, FILE = "label", "file"
"""The columns with the class and with the path of a file."""
CLASS_FOLDERS_HELP = "put the files of each class in a folder of its own: images/cat/1.png, images/dog/1.png"


class MediaKind(NamedTuple):
    """A kind of files that a folder holds: the name of the column, the suffixes, and the shape of a sample in words."""

    column: str
    suffixes: tuple[str, ...]
    dimensions: str


IMAGES = MediaKind("image", IMAGE_SUFFIXES, "images are [height, width] or [height, width, channels]")
AUDIO = MediaKind("audio", AUDIO_SUFFIXES, "recordings are [time] or [time, channels]")
TEXTS = MediaKind("text", PLAIN_TEXT_SUFFIXES, "texts are strings")


class FolderTable:
    """The files of a folder: their paths as the column of their contents and as `file`, their classes as `label`.

    A folder without subfolders has no classes.
    """

    def __init__(self, folder: DataFolder, kind: MediaKind, paths: Sequence[str], class_names: Sequence[str]) -> None:
        self._folder, self.kind, self._paths, self.class_names = folder, kind, paths, class_names
        self.names: Sequence[str] = [kind.column, *([LABEL] if class_names else []), FILE]

    def column(self, name: str, wanted: ColumnRequest, errors: ErrorCollector) -> np.ndarray | None:
        if name == LABEL:
            return np.array(self._classes(), object)
        if name == self.kind.column and self.kind is TEXTS:
            return self._texts(errors)
        return np.array(self._paths, object)

    def holds_media(self, name: str) -> bool:
        """Whether a column has images or recordings, not texts."""
        return name == self.kind.column and self.kind is not TEXTS

    def values(self, name: str) -> Sequence[Any]:
        return self._classes() if name == LABEL else self._paths

    def name_location(self, name: str | None) -> DataLocation:
        return NO_LOCATION

    def element_locator(self, names: Sequence[str]) -> LocateElement:
        def locate(index: ElementIndex) -> DataLocation:
            return DataLocation(f"file {self._paths[index[0]]!r}")

        return locate

    def _classes(self) -> list[str]:
        return [path.partition("/")[0] for path in self._paths]

    def _texts(self, errors: ErrorCollector) -> np.ndarray | None:
        """The contents of files of text."""
        texts, found, size = np.empty(len(self._paths), object), {}, 0
        for index, path in enumerate(self._paths):
            try:
                texts[index] = self._text(path)
            except MediaError as error:
                found[index] = error
                continue
            size += len(texts[index])
            if size > MAX_DATA_FILE_BYTES:
                errors.add("too-large", f"the texts have more than {MAX_DATA_FILE_BYTES:,} characters, the limit")
                return None
        locate = self.element_locator([self.kind.column])
        for code, help in dict.fromkeys((error.code, error.help) for error in found.values()):
            indices = [index for index, error in found.items() if (error.code, error.help) == (code, help)]
            errors.add_each(code, indices, lambda index: (found[index].reason, locate((index,))), help=help)
        return None if found else texts

    def _text(self, path: str) -> str:
        """The text of a file. Raises MediaError."""
        try:
            with self._folder.open(path) as file:
                content = file.read(MAX_MEDIA_FILE_BYTES + 1)
            if len(content) > MAX_MEDIA_FILE_BYTES:
                raise MediaError("too-large", f"the file has more than {MAX_MEDIA_FILE_BYTES:,} bytes, the limit")
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            reason, help = f"byte {error.start} is not UTF-8", "save the file in the encoding UTF-8"
            raise MediaError("bad-data-file", reason, help) from error
        except UnsafePath as error:
            raise MediaError("unsafe-path", str(error)) from error
        except UsageError as error:
            raise MediaError("unreadable-file", error.diagnostic.message) from error
        except OSError as error:
            raise MediaError("unreadable-file", f"cannot read the file: {error_reason(error)}") from error


def read_folder(
    folder: DataFolder,
    name: str,
    takes_text: bool,
    shuffled: bool,
    errors: ErrorCollector,
    chosen: Sequence[str] | None = None,
) -> FolderTable | None:
    """The table of a folder, or of chosen files in it: of texts for an input of texts, else of images or recordings;
    None, and an error, if it has no such files.

    With `shuffled`, the files are in an order that depends on nothing but their paths, else they are sorted: a part of
    the samples that is split off at the end then has files of all classes. Raises UnsafePath, UsageError, CompileError.
    """
    paths_below = _files_below(folder) if chosen is None else chosen
    files = [path for path in paths_below if path.lower().endswith(_KNOWN_SUFFIXES)]
    require_file_count(len(files), name)
    kinds = [TEXTS] if takes_text else [IMAGES, AUDIO]
    kind = next((kind for kind in kinds if any(path.lower().endswith(kind.suffixes) for path in files)), None)
    if kind is None:
        wanted = or_list([suffix for kind in kinds for suffix in kind.suffixes])
        message = f"cannot read {name!r}: it is a folder without files that end in {wanted}"
        raise UsageError("unreadable-file", message, DATA_FOLDER_HELP)
    unread = (path for path in files if path.lower().endswith(UNREAD_MEDIA_SUFFIXES) and kind is not TEXTS)
    if (path := next(unread, None)) is not None:
        message = f"file {path!r} is in a format that is not read"
        errors.add("bad-data-file", message, help=f"convert it to one of {or_list(kind.suffixes)}, or remove it")
        return None
    paths = sorted(path for path in files if path.lower().endswith(kind.suffixes))
    empty_folders = _class_folders(folder) if chosen is None else set()
    classes = sorted({path.partition("/")[0] for path in paths if "/" in path} | empty_folders)
    stray = next((path for path in paths if classes and "/" not in path), None)
    if stray is not None:
        errors.add("bad-data-file", f"file {stray!r} is in none of the folders of classes", help=CLASS_FOLDERS_HELP)
        return None
    if shuffled:
        paths.sort(key=lambda path: hashlib.sha256(path.encode(errors="surrogateescape")).digest())
    return FolderTable(folder, kind, paths, classes)


_KNOWN_SUFFIXES = (*MEDIA_SUFFIXES, *UNREAD_MEDIA_SUFFIXES)


def _class_folders(folder: DataFolder) -> set[str]:
    """The folders directly below: an empty one is a class without samples."""
    return {entry.name for entry in _visible(folder, "") if entry.is_folder}


def _files_below(folder: DataFolder, path: str = "") -> Iterator[str]:
    """The paths of all files in a folder and below; hidden ones are skipped. Raises LinkInFolder."""
    for entry in _visible(folder, path):
        inner = f"{path}/{entry.name}" if path else entry.name
        if entry.is_link:
            raise LinkInFolder(os.path.join(folder.path, inner))
        if entry.is_folder:
            yield from _files_below(folder, inner)
        else:
            yield inner


def _visible(folder: DataFolder, path: str) -> list[FolderEntry]:
    return [entry for entry in folder.list(path) if not entry.name.startswith(".")]
