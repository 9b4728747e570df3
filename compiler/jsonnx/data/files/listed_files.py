"""Writes some files of a folder of images, recordings or texts as a table: their names and their classes."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ...core.files.files import error_reason
from ...core.types import TensorType
from ..samples.data_errors import ErrorCollector
from ..tables.data_table import ColumnRequest
from ..tables.folder_table import LABEL, TEXTS, FolderTable, read_folder
from .data_locations import DataItem


class ListedFiles(NamedTuple):
    """Files of a folder, to be listed. A list of texts has their contents."""

    item: DataItem
    rows: np.ndarray
    """The indices of the files, in the order in which they are samples."""
    takes_text: bool
    names: tuple[str, str]
    """The columns of the list: that of the files, and that of their classes."""

    @property
    def suffix(self) -> str:
        """The suffix of the list."""
        return ".jsonl" if self.takes_text else ".csv"

    def write(self, path: Path) -> None:
        """Writes the list. Raises UsageError, CompileError."""
        errors = ErrorCollector(self.item.name, self.item.source)
        table = read_folder(self.item.folder, self.item.name, self.takes_text, True, errors, self.item.files)
        if table is None:
            raise CompileError(errors.diagnostics)
        columns = [self._files(table, path, errors)]
        if table.class_names:
            classes = table.values(LABEL)
            columns.append([classes[row] for row in self.rows.tolist()])
        if errors:
            raise CompileError(errors.diagnostics)
        try:
            _write_table(path, self.names[: len(columns)], columns)
        except OSError as error:
            raise UsageError("unwritable-file", f"cannot write {str(path)!r}: {error_reason(error)}") from error

    def _files(self, table: FolderTable, path: Path, errors: ErrorCollector) -> list[str]:
        """The names relative to the list, or the texts."""
        rows = self.rows.tolist()
        if table.kind is TEXTS:
            texts = table.column(table.kind.column, ColumnRequest(TensorType("string", ())), errors)
            return [] if texts is None else [texts[row] for row in rows]
        names, folder = table.values(table.kind.column), self.item.folder
        base = os.path.relpath(os.path.realpath(folder.base / folder.path), os.path.realpath(path.parent))
        return [os.path.join(base, names[row]).replace(os.sep, "/") for row in rows]


def _write_table(path: Path, names: Sequence[str], columns: Sequence[Sequence[str]]) -> None:
    rows = zip(*columns, strict=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            csv.writer(file, lineterminator="\n").writerows([names, *rows])
        else:
            lines = (json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows)
            file.writelines(f"{line}\n" for line in lines)
