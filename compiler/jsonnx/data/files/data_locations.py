"""The files and folders that samples are read from: those that a spec names, or those that a user names."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from ...core.diagnostics import CompileError, Diagnostic, JsonPath, UsageError
from ...core.files.data_formats import (
    AUDIO_SUFFIXES,
    DATA_FILE_SUFFIXES,
    DATA_ONLY_SUFFIXES,
    IMAGE_SUFFIXES,
    MEDIA_SUFFIXES,
    PLAIN_TEXT_SUFFIXES,
    UNREAD_MEDIA_SUFFIXES,
)
from ...core.files.files import UnsafePath, display_path
from ...core.files.spec_folders import DataFolder, expand_user_path, open_data_file, unsafe_data_help
from ...core.files.spec_source import NO_SPEC, SpecSource
from ...core.files.user_files import UserFiles
from ...core.natural_order import natural_key
from ...sections.data_section import DataSection
from ..samples.data_errors import ErrorCollector
from ..tables.data_table import DataTable
from ..tables.python_tables import open_python_table
from ..tables.table_chunks import Chunk


@dataclass(frozen=True)
class DataItem:
    """A file or a folder of data."""

    name: str
    """Its path as messages show it."""
    folder: DataFolder
    """The folder, or the file's folder, that the names of images in a table are relative to."""
    open_file: Callable[[], IO[bytes]] | None = None
    """Opens the file; None for a folder. Raises UnsafePath, UsageError."""
    source: SpecSource = NO_SPEC
    position: JsonPath | None = None
    """The path in the spec that names it; None if the user does."""
    members: Mapping[str, tuple[DataItem, ...]] = field(default_factory=dict)
    """The files of each input, target or column, if these have files of their own; then it is neither a file nor a
    folder itself."""
    files: tuple[str, ...] | None = None
    """The images, recordings or texts of a folder that are named one by one; None for all."""
    chunk: Chunk | None = None
    """The rows of the file that are read; None for all."""
    open_table: Callable[[ErrorCollector], DataTable | None] | None = None
    """Opens a table in memory, which is no file; None, and errors, if its values cannot be read."""

    @contextmanager
    def errors_located(self) -> Iterator[None]:
        """Moves errors of paths to the value of the spec that names the item."""
        with located_at(self.source, self.position):
            yield


def file_size(item: DataItem) -> int:
    """The bytes of a file, or of all its members; 0 for a folder, and for a file that cannot be opened, which is an
    error when it is read."""
    if item.members:
        return sum(file_size(file) for files in item.members.values() for file in files)
    if item.open_file is None:
        return 0
    try:
        with item.open_file() as file:
            return file.seek(0, io.SEEK_END)
    except (OSError, UnsafePath, UsageError):
        return 0


@contextmanager
def located_at(source: SpecSource, position: JsonPath | None) -> Iterator[None]:
    """Moves errors of paths to a value of the spec. Raises CompileError for UnsafePath."""
    try:
        yield
    except UnsafePath as error:
        diagnostic = Diagnostic("unsafe-path", str(error), help=unsafe_data_help(error))
        raise CompileError([source.locate_diagnostic(diagnostic, position) if position else diagnostic]) from error
    except UsageError as error:
        if position is not None:
            error.diagnostic = source.locate_diagnostic(error.diagnostic, position)
        raise


def items_of_spec(data: DataSection, part: str, source: SpecSource) -> list[DataItem]:
    """The files and folders that the spec names for a part of its data. Raises CompileError for an unsafe path,
    UsageError for a folder that cannot be read or a pattern that matches nothing."""
    items: list[DataItem] = []
    by_name: dict[str, list[DataItem]] = {}
    has_names = isinstance(getattr(data, part), Mapping)
    for name, position in data.files(part):
        own = by_name.setdefault(str(position[3]), []) if has_names else items
        with located_at(source, position):
            for path in source.folders.expand(name):
                own.append(_item_of_spec(path, position, source))
    return [_combined_item(by_name, source, ("training", "data", part))] if has_names else items


def _combined_item(
    members: Mapping[str, Sequence[DataItem]], source: SpecSource, position: JsonPath | None
) -> DataItem:
    """An item whose inputs and targets have files of their own."""
    files = [file for own in members.values() for file in own]
    named = {name: tuple(own) for name, own in members.items()}
    return DataItem(
        ", ".join(file.name for file in files), files[0].folder, source=source, position=position, members=named
    )


def _item_of_spec(path: str, position: JsonPath, source: SpecSource) -> DataItem:
    folders = source.folders
    name = display_path(folders.path(path))
    subfolder = folders.subfolder(path)
    if subfolder is not None:
        return DataItem(name, subfolder, None, source, position)
    return DataItem(name, folders.parent(path), lambda: folders.open(path, str(position[2])), source, position)


def items_of_user(named: UserFiles | os.PathLike[str], source: SpecSource = NO_SPEC) -> list[DataItem]:
    """The locations that a user names: a file, a folder, the tables of a folder, or the files that match a pattern;
    or such files by the name of an input or a target. Images, recordings and texts are those of one folder. Raises
    UsageError."""
    if isinstance(named, Mapping):
        return [_combined_item({name: items_of_user(path, source) for name, path in named.items()}, source, None)]
    with located_at(source, None):
        path = os.fspath(named)
        names = expand_user_path(path)
        if media := _media_of(names):
            folder = os.path.commonpath(list(map(os.path.dirname, media))) or "."
            files = tuple(os.path.relpath(name, folder).replace(os.sep, "/") for name in media)
            return [DataItem(path, DataFolder.at(folder, source.data_roots), None, source, files=files)]
        return [_item_of_user(file, source) for name in names for file in _tables_in(name) or [name]]


def _media_of(names: Sequence[str]) -> list[str]:
    """The images, recordings and texts among files, without those that a folder leaves out, too; none if there are
    folders, or tables but neither images nor recordings."""
    lower = [name.lower() for name in names]
    has_media = any(name.endswith((*IMAGE_SUFFIXES, *AUDIO_SUFFIXES)) for name in lower)
    has_texts = any(name.endswith(PLAIN_TEXT_SUFFIXES) for name in lower)
    has_tables = any(name.endswith(DATA_FILE_SUFFIXES) for name in lower)
    if not (has_media or (has_texts and not has_tables)) or not all(map(os.path.isfile, names)):
        return []
    return [name for name in names if name.lower().endswith((*MEDIA_SUFFIXES, *UNREAD_MEDIA_SUFFIXES))]


def _tables_in(name: str) -> list[str]:
    """The tables of a folder, in the order of their names, numbers as numbers; none if it is a file, or a folder of
    images, recordings or texts. Names that begin with a point or an underscore are not those of tables."""
    if not os.path.isdir(name):
        return []
    folder = DataFolder.at(name)
    if folder.may_hold_samples():
        return []
    names = [entry.name for entry in folder.list() if not entry.name.startswith((".", "_"))]
    tables = [file for file in names if file.lower().endswith(DATA_ONLY_SUFFIXES)]
    return [os.path.join(name, file) for file in sorted(tables, key=natural_key)]


def _item_of_user(name: str, source: SpecSource) -> DataItem:
    if os.path.isdir(name):
        return DataItem(name, DataFolder.at(name, source.data_roots), None, source)
    folder = DataFolder.at(os.path.dirname(name) or ".", source.data_roots)
    return DataItem(name, folder, lambda: open_data_file(name), source)


def item_of_table(value: Any, name: str, folder: DataFolder) -> DataItem:
    """A frame or a list of rows. The names of images in it refer to a folder."""
    tables: list[DataTable | None] = []

    def open_table(errors: ErrorCollector) -> DataTable | None:
        if not tables:  # some streams of tables are read once
            tables.append(open_python_table(value, errors))
        return tables[0]

    return DataItem(name, folder, open_table=open_table)


def item_of_tables(x: Any, y: Any, folder: DataFolder) -> DataItem:
    """Tables in memory: with the inputs, and perhaps the targets and all other columns; or with the targets, if it is
    not None."""
    tables = {"x": x} if y is None else {"x": x, "y": y}
    members = {name: (item_of_table(table, name, folder),) for name, table in tables.items()}
    return DataItem("the table" if y is None else "the tables", folder, members=members)


def item_of_bytes(content: bytes, name: str) -> DataItem:
    """A file in memory."""
    return DataItem(name, DataFolder.at("."), lambda: io.BytesIO(content))
