"""Writes the rows of each part of a spec's data to files of their own, as they are in the spec's files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...core.diagnostics import UsageError
from ...core.files.new_folder import new_folder
from ...core.files.spec_folders import SpecFolders
from ...core.files.spec_source import SpecSource
from ...core.files.user_files import UserFiles, file_names, with_paths
from ...data.files.copied_rows import CopiedRows
from ...data.files.data_locations import DataItem
from ...data.files.listed_files import ListedFiles
from ...data.tables.table_file import TableOptions
from ...runtime.training_plan import TrainingPlan
from ...sections.columns import assigned_columns
from ...sections.data_section import DataSection
from ..check.check import CheckedSpec
from .part_rows import PartOfFiles, part_rows
from .plan_training import plan_training
from .run_data import DataFiles

MIN_MEDIA_RANK = 3
"""Axes of a batch of images or recordings, whose names a table may have in place of their values."""
SERIES_HELP = "divide the rows by `time`, or by a `group` that has whole series"

_NO_FILE_NAME = re.compile(r"[^\w .-]")
"""Characters of a column that are separators of folders, or marks of patterns, in the name of a file."""


class WrittenPart(NamedTuple):
    """A part of the data in files of its own."""

    part: str
    files: UserFiles
    """The file, or a pattern of the names of several; or those of inputs, targets and columns by name."""
    row_count: int
    named_folders: tuple[str, ...]
    """The folders of images and recordings whose names the files have."""


def write_splits(
    checked: CheckedSpec, folder: Path, data: UserFiles | None = None, data_roots: Sequence[str] = ()
) -> list[WrittenPart]:
    """Writes a new folder with the parts of a spec's data, or of a file in place of its training data.

    Raises UsageError `file-exists` if there is such a folder; CompileError with every error in the data.
    """
    if os.path.lexists(folder):
        raise UsageError("file-exists", f"{str(folder)!r} exists", "name a new folder, or remove this one")
    plan = plan_training(checked)
    roots = SpecFolders.of(checked.folder, data_roots).roots
    plan = replace(plan, source=SpecSource(checked.source.file, checked.locate, roots))
    parts = part_rows(plan, DataFiles(data))
    if not parts:
        raise UsageError("no-data", "the spec names no data to write", "name a file in `training.data.train`")
    for part, found in parts.items():
        if not found.own.has_whole_series:
            message = f"the split divides series into pieces, so that `{part}` in a file would have other windows"
            raise UsageError("bad-option", message, SERIES_HELP)
    with new_folder(folder) as temporary:
        written = [_write_part(plan, part, found, temporary) for part, found in parts.items()]
    return [own._replace(files=with_paths(own.files, lambda name: str(folder / name))) for own in written]


def _write_part(plan: TrainingPlan, part: str, found: PartOfFiles, folder: Path) -> WrittenPart:
    """Writes a file with the rows of a part; of several files a folder with one for each."""
    if found.items[0].members:
        return _write_files_by_name(plan, part, found, folder)
    rows_of_files = found.rows_of_files()
    copies = [
        _copy_of(plan, item, rows, size)
        for item, rows, size in zip(found.items, rows_of_files, found.file_sizes, strict=True)
        if len(rows)
    ]
    if len(copies) == 1:
        name = f"{part}{copies[0].suffix}"
        copies[0].write(folder / name)
    else:
        (folder / part).mkdir()
        for number, copy in enumerate(copies):
            copy.write(folder / part / _file_name(number, len(copies), copy))
        name = f"{part}/*{copies[0].suffix}" if len({copy.suffix for copy in copies}) == 1 else f"{part}/*"
    has_media = any(type.rank >= MIN_MEDIA_RANK for type in plan.data_spec.inputs.values())
    folders = [str(copy.item.folder.base / copy.item.folder.path) for copy in copies] if has_media else []
    return WrittenPart(part, name, sum(map(len, rows_of_files)), tuple(dict.fromkeys(folders)))


def _write_files_by_name(plan: TrainingPlan, part: str, found: PartOfFiles, folder: Path) -> WrittenPart:
    """Writes the rows of a part in the file of each input, target and column."""
    files: dict[str, str] = {}
    for name, items in found.items[0].members.items():
        if len(items) > 1:
            message = f"{name!r} has several files, whose rows cannot be divided"
            raise UsageError("bad-option", message, "write one file of each input and target")
        options = TableOptions.of(plan.training.data, name)
        copy = CopiedRows(items[0], found.own.rows, found.file_sizes[0], options)
        stem = _NO_FILE_NAME.sub("_", name)
        while f"{part}-{stem}{copy.suffix}" in files.values():
            stem += "_"
        files[name] = f"{part}-{stem}{copy.suffix}"
        copy.write(folder / files[name])
    return WrittenPart(part, files, len(found.own.rows), ())


def training_changes(checked: CheckedSpec, parts: Sequence[WrittenPart]) -> list[str]:
    """The changes of `training.data`, as after `--set`, that let a spec name the written files."""
    training = checked.network.training
    data = training.data if training is not None else None
    changes = ["split=null"] if data is not None and data.split is not None else []
    changes += ["validation_split=0"] if data is not None and data.validation_split else []
    for part in parts:
        files = with_paths(part.files, lambda path: os.path.relpath(path, checked.folder))
        changes.append(f"{part.part}={files if isinstance(files, str) else json.dumps(files, ensure_ascii=False)}")
    return changes


def needed_roots(checked: CheckedSpec, parts: Sequence[WrittenPart]) -> list[str]:
    """The folders of `--data-root` that a training on the written files needs."""
    folders = [os.path.dirname(file) for part in parts for file in file_names(part.files)]
    outside = [folder for folder in folders if os.path.relpath(folder, checked.folder).startswith("..")]
    named = [os.path.relpath(folder) for part in parts for folder in part.named_folders]
    return list(dict.fromkeys([*outside, *named]))


def _file_name(number: int, count: int, copy: CopiedRows | ListedFiles) -> str:
    """The name of one of several files, which sort in the order of the spec."""
    stem = os.path.basename(copy.item.name.rstrip("/")).partition(".")[0]
    return f"{number + 1:0{len(str(count))}}-{stem}{copy.suffix}"


def _copy_of(plan: TrainingPlan, item: DataItem, rows: np.ndarray, row_count: int) -> CopiedRows | ListedFiles:
    data = plan.training.data
    if item.open_file is None:
        takes_text = any(type.dtype == "string" for type in plan.data_spec.inputs.values())
        return ListedFiles(item, rows, takes_text, _list_columns(plan, data))
    return CopiedRows(item, rows, row_count, TableOptions.of(data, next(iter(plan.data_spec.inputs))))


def _list_columns(plan: TrainingPlan, data: DataSection | None) -> tuple[str, str]:
    """The columns of a list of files, as the spec names those of its only input and its only target."""
    x = assigned_columns(getattr(data, "x", None), "x", plan.data_spec.inputs)
    y = assigned_columns(getattr(data, "y", None), "y", plan.data_spec.targets)
    return next(iter(x.values())).names[0], next((own.names[0] for own in y.values()), "label")
