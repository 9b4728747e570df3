"""Files by name: assigns each file to the input, target or column whose values it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import TypeVar

from ...core.diagnostics import UsageError, quoted_or_list
from ...sections.columns import AssignedColumns, is_pattern
from ...sections.data_section import DataSection
from ...sections.file_names import WHOLE_NAMES, file_owner, unknown_names
from ..samples.data_errors import ErrorCollector
from ..samples.data_spec import DataSpec
from ..tables.arrow_table import ArrowTable
from ..tables.csv_table import CsvTable
from ..tables.data_files import read_table
from ..tables.data_table import ColumnRequest, DataTable
from ..tables.table_file import TableOptions
from .combined_table import CombinedTable, FileTable, ShardedTable
from .data_columns import column_request, match_columns
from .data_locations import DataItem

FOLDER_HELP = 'name files; a folder of images, recordings or texts has the classes, too: `"train": "photos"`'

T = TypeVar("T")

Group = Mapping[str, ColumnRequest]
"""The requested values of columns that are stacked, by the name of the column."""


def open_member(
    name: str, items: Sequence[DataItem], options: TableOptions, errors: ErrorCollector, stack: ExitStack
) -> FileTable | None:
    """The table of the files of one name, which stay open until the stack closes them; None, and errors, if one is
    malformed."""
    parts = []
    for item in items:
        own = errors.of_file(item.name)
        if item.open_table is not None:
            table = item.open_table(own)
        else:
            with item.errors_located():
                if item.open_file is None:
                    raise UsageError("unreadable-file", f"{item.name!r}, for {name!r}, is a folder", FOLDER_HELP)
                file = stack.enter_context(item.open_file())
            table = read_table(file, item.name, own, options._replace(npy_column=name))
        if table is not None:
            parts.append(FileTable(table, own, item.folder))
    if len(parts) < len(items):
        return None
    title = ", ".join(item.name for item in items)
    return parts[0] if len(parts) == 1 else FileTable(ShardedTable(parts), errors.of_file(title), items[0].folder)


def combine_files(
    files: Mapping[str, FileTable],
    columns: Mapping[str, AssignedColumns],
    data_spec: DataSpec,
    errors: ErrorCollector,
) -> CombinedTable | None:
    """The table of files by name; None, and errors, if a file does not have the one column that its name stands for."""
    single: dict[str, tuple[FileTable, str]] = {}
    others: dict[str, tuple[FileTable, str]] = {}
    for name, file in files.items():
        own_names = file.value_names()
        owner = file_owner(name, data_spec.inputs, data_spec.targets)
        if owner is None and name in WHOLE_NAMES:
            pass  # with several inputs or targets, the columns of all of them
        elif owner is None and name not in own_names and len(own_names) > 1:
            message = f"there is no column {name!r}"
            location = file.table.name_location(None)
            file.errors.add("missing-column", message, location, help=f"columns: {quoted_or_list(own_names)}")
        elif owner is None:
            single[name] = file, name if name in own_names else own_names[0]
        elif len(own_names) == 1:
            assigned = columns[owner].names if owner in columns else ()
            is_named = len(assigned) == 1 and not is_pattern(assigned[0])
            single[assigned[0] if is_named else owner] = file, own_names[0]
        others |= {own: (file, own) for own in file.table.names if own not in others}
    return None if errors else CombinedTable(files, {**others, **single})


class FilesByKey:
    """The file, or the combined table, that each input, target and weight is read from."""

    def __init__(
        self,
        files: Mapping[str, FileTable],
        whole: FileTable,
        columns: Mapping[str, AssignedColumns],
        data_spec: DataSpec,
    ) -> None:
        """`whole` has the columns of all files; it is the only file if there are no others by name."""
        own = {file_owner(name, data_spec.inputs, data_spec.targets): file for name, file in files.items()}
        self._all, self._whole, self._data_spec = [*files.values()] or [whole], whole, data_spec
        self.columns, self.files = dict(columns), {key: own.get(key, whole) for key in columns}

    def match_columns(self, targets: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Replaces patterns by the columns that they match, and adds errors for those without a match.

        Returns the columns of each input that has patterns, or a file of several columns. `targets` are the columns of
        targets.
        """
        matched: dict[str, tuple[str, ...]] = {}
        for key, file in self.files.items():
            names = None if file is self._whole else self._own_columns(key, file, targets)
            if names is not None:
                self.columns[key] = self.columns[key]._replace(names=names)
                if key in self._data_spec.inputs and len(names) > 1:
                    matched[key] = names
        for file in {id(file): file for file in self.files.values()}.values():
            keys = {key: assigned for key, assigned in self.columns.items() if self.files[key] is file}
            matched |= match_columns(file.table, keys, self._data_spec, targets, file.errors)
        self.columns |= {key: self.columns[key]._replace(names=names) for key, names in matched.items()}
        self.files |= {key: self._only_file(key) or file for key, file in self.files.items()}
        return matched

    def _only_file(self, key: str) -> FileTable | None:
        """The file that has all columns of an input, a target or a weight, under their names; None if there is none."""
        if self.files[key] is not self._whole or not isinstance(self._whole.table, CombinedTable):
            return None
        places = [self._whole.table.place(name) for name in self.columns[key].names]
        file = places[0][0] if places and places[0] is not None else None
        expected = [(file, name) for name in self.columns[key].names]
        return file if places == expected else None

    def _own_columns(self, key: str, file: FileTable, targets: Collection[str]) -> tuple[str, ...] | None:
        """The columns that an input or a target takes from a file of its own; None for those that are assigned.

        An array is taken whatever its name is. Without a setting, a column of the name is taken, or else all columns.
        """
        names, assigned = file.value_names(), self.columns[key]
        if file.has_one_array or (len(names) == 1 and assigned.path is None):
            return (names[0],)
        if assigned.path is not None or key in names or file.has_arrays:
            return None
        return tuple(name for name in names if key not in self._data_spec.inputs or name not in targets)

    def load(self, accepts_missing: bool, texts: Collection[str]) -> bool:
        """Reads the columns of each input, target and weight, and columns of texts, as `load_columns`."""
        requests = {
            key: dict.fromkeys(assigned.names, column_request(key, self._data_spec, accepts_missing))
            for key, assigned in self.columns.items()
        }
        return all(
            load_columns(
                file.table,
                [self._group_of(key, group, file) for key, group in requests.items()],
                [*self._own_names(file, dict.fromkeys(texts))],
                file.errors,
            )
            for file in self._all
        )

    def _group_of(self, key: str, group: Group, file: FileTable) -> Group:
        if self.files[key] is file:
            return group
        return self._own_names(file, group) if self.files[key] is self._whole else {}

    def _own_names(self, file: FileTable, names: Mapping[str, T]) -> dict[str, T]:
        """The columns of a file among those of the combined table, by their names in the file."""
        if not isinstance(self._whole.table, CombinedTable):
            return dict(names)
        places = {name: self._whole.table.place(name) for name in names}
        return {place[1]: names[name] for name, place in places.items() if place is not None and place[0] is file}


def require_known_names(item: DataItem, data: DataSection | None, data_spec: DataSpec) -> None:
    """Raises UsageError for the name of a file that no input, target or column has; those of a spec are checked with
    it."""
    names = [] if item.position is not None else item.members
    for error in unknown_names(names, data, data_spec.inputs, data_spec.targets):
        raise UsageError("bad-option", error.message, error.help)


def load_columns(table: DataTable, groups: Sequence[Group], texts: Collection[str], errors: ErrorCollector) -> bool:
    """Reads groups of columns that are stacked, and columns of texts, as far as a format does so in one pass. Whether
    they can be read; adds errors if not."""
    if isinstance(table, ShardedTable):
        return all(load_columns(part.table, groups, texts, part.errors) for part in table.parts)
    if isinstance(table, ArrowTable):
        return table.load([name for group in groups for name in group], errors)
    if isinstance(table, CsvTable):
        return table.load(groups, texts, errors)
    return True
