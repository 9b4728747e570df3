"""Columns of data files that are written beside predictions, as they are in the files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...core.diagnostics import CompileError, quoted_or_list, suggestion
from ...sections.columns import AssignedColumns
from ..media.media_names import name_media_files, takes_audio, takes_images
from ..rows.row_samples import Kept
from ..samples.data_errors import ErrorCollector
from ..samples.data_spec import DataSpec
from ..tables.data_table import DataTable
from ..tables.folder_table import FILE, FolderTable

UNREADABLE_VALUES = (CompileError, OSError, ValueError, EOFError)
"""What tables raise for a column that is malformed, or has several values in a row."""


def names_to_keep(
    names: Sequence[str] | None,
    skips_damaged_files: bool,
    table: DataTable,
    columns: Mapping[str, AssignedColumns],
    data_spec: DataSpec,
) -> Sequence[str] | None:
    """The columns to keep; None for all. Where damaged files are left out, the names of files are among them."""
    if names is None or not skips_damaged_files:
        return names
    if isinstance(table, FolderTable):
        return [FILE, *names]
    media = [name for key, own in columns.items() for name in own.names if _names_media(table, name, key, data_spec)]
    return [*media, *names]


def _names_media(table: DataTable, column: str, key: str, data_spec: DataSpec) -> bool:
    """Whether a column of an input has the names of images or recordings."""
    type = data_spec.type_of(key)
    if not (takes_images(type) or takes_audio(type)):
        return False
    try:
        texts = [text for text in table.values(column)[:1] if isinstance(text, str)]
    except UNREADABLE_VALUES:  # pixels or contents of files, which have no names
        return False
    return name_media_files(texts, type)


def kept_columns(table: DataTable, names: Sequence[str] | None, count: int, errors: ErrorCollector) -> Kept:
    """Columns that have a value for each of `count` rows; adds errors for those that do not, unless all are kept."""
    kept: Kept = {}
    for name in dict.fromkeys(table.names if names is None else names):
        if name not in table.names:
            help = suggestion(name, table.names) or f"columns: {quoted_or_list(table.names)}"
            errors.add("missing-column", f"there is no column {name!r} to keep", table.name_location(None), help=help)
            continue
        try:
            values = table.values(name)
        except UNREADABLE_VALUES as error:
            if names is not None:
                errors.add("data-shape", f"the column {name!r} cannot be kept: it {error}")
            continue
        if len(values) == count:
            kept[name] = values
        elif names is not None:
            message = f"the column {name!r} cannot be kept: it has {len(values):,} values for {count:,} samples"
            errors.add("data-shape", message)
    return kept


def concatenate_kept(parts: Sequence[Kept]) -> Kept:
    """The columns that all files have, one below the other."""
    if len(parts) == 1:
        return parts[0]
    names: Iterable[str] = [name for name in parts[0] if all(name in part for part in parts)] if parts else []
    return {name: [value for part in parts for value in part[name]] for name in names}
