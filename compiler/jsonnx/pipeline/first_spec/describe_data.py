"""Describes the data of a spec before training: columns, classes, equal samples, leaks, and the first batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ...core.files.spec_folders import SpecFolders
from ...core.files.spec_source import SpecSource
from ...core.files.user_files import UserFiles
from ...core.reserved_names import target_name
from ...data.describe.column_statistics import column_statistics, list_statistics
from ...data.describe.data_description import BatchArray, DataDescription, DescribedColumn, DescribedPart
from ...data.describe.data_leaks import find_duplicates, find_leaks
from ...data.describe.media_statistics import media_statistics
from ...data.describe.raw_columns import RawColumns, beside, read_raw_columns
from ...data.files.column_uses import ColumnUses, column_uses
from ...data.files.data_locations import DataItem, items_of_spec, items_of_user
from ...data.media.media_names import name_media_files
from ...data.samples.data_spec import DataSpec
from ...data.samples.dataset import Dataset
from ...data.samples.stored_arrays import Samples
from ...data.tables.folder_table import LABEL
from ...data.tables.table_file import TableOptions
from ...sections.data_section import DATA_PARTS, DataSection
from ...sections.file_names import file_owner
from ..check.check import CheckedSpec, Spec, check_spec
from ..check.data_spec import data_spec_of, input_spec
from ..train.check_data import DataCheck, check_data
from ..train.target_classes import target_classes

MAX_SHOWN_VALUES = 8
"""Values of the first sample that a description has."""


def describe_data(
    spec: Spec,
    file: UserFiles | None = None,
    changes: Sequence[str] = (),
    scale: str | None = None,
    data_roots: Iterable[str] = (),
) -> DataDescription:
    """The data that a spec names, or one file in their place. Raises CompileError for an invalid spec, UsageError.

    Errors of the data are diagnostics of the description, which has what can be read in spite of them.
    """
    checked = check_spec(spec, changes=changes, scale=scale)
    typed = checked.require()
    folders = SpecFolders.of(checked.folder, data_roots)
    source = SpecSource(checked.source.file, checked.locate, folders.roots)
    check = check_data(checked, source, file, set())
    data_spec = data_spec_of(typed, checked.objective) if checked.objective is not None else input_spec(typed)
    training = typed.network.training
    section = training.data if training else None
    description = DataDescription(
        sample_counts={part: len(samples) for part, samples in check.samples.items()},
        window_counts={part: samples.counts for part, samples in check.samples.items() if samples.counts is not None},
        class_counts=check.class_counts,
        labels=check.labels or checked.network.labels,
        diagnostics=[*checked.diagnostics, *check.diagnostics],
    )
    raw = _read_parts(section, file, data_spec, source, description)
    _find_duplicates(check, raw, description)
    _find_leaks(check, raw, data_spec, checked, description)
    train = check.samples.get("train", check.samples.get("data"))
    if train is not None:
        description.batch = _first_batch(train, training.batch_size if training else 1)
    return description


# -- files -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _RawPart:
    """The columns of a part of the data that are used, and what for."""

    raw: RawColumns
    columns: ColumnUses


def _read_parts(
    section: DataSection | None,
    file: UserFiles | None,
    data_spec: DataSpec,
    source: SpecSource,
    result: DataDescription,
) -> dict[str, _RawPart]:
    """The columns of each part that can be read, whose descriptions are added to the result."""
    parts: dict[str, _RawPart] = {}
    names = ("train" if data_spec.targets else "data",) if file is not None else DATA_PARTS
    for part in names:
        try:
            items = _items(section, part, file, source)
            if items:
                parts[part] = _read_part(items, section, data_spec, source)
        except (CompileError, UsageError) as error:
            known = {(item.code, item.message) for item in result.diagnostics}
            errors = error.diagnostics if isinstance(error, CompileError) else [error.diagnostic]
            result.diagnostics += [
                diagnostic for diagnostic in errors if (diagnostic.code, diagnostic.message) not in known
            ]
            continue
        if part in parts:
            result.parts[part] = _described(parts[part], items, data_spec)
    return parts


def _items(section: DataSection | None, part: str, file: UserFiles | None, source: SpecSource) -> list[DataItem]:
    if file is not None:
        return items_of_user(file, source)
    return items_of_spec(section, part, source) if section is not None and getattr(section, part) is not None else []


def _read_part(
    items: Sequence[DataItem], section: DataSection | None, data_spec: DataSpec, source: SpecSource
) -> _RawPart:
    if items[0].members:
        return _read_files_by_name(items[0].members, section, data_spec, source)
    takes_text = any(type.dtype == "string" for type in data_spec.inputs.values())
    options = TableOptions.of(section, next(iter(data_spec.inputs)))
    raw = read_raw_columns(
        items,
        options,
        takes_text=takes_text,
        source=source,
        used=lambda names: column_uses(section, data_spec, names).roles(),
    )
    folder_columns = (raw.media.column, LABEL) if raw.media is not None else None
    return _RawPart(raw, column_uses(section, data_spec, raw.names, folder_columns))


def _read_files_by_name(
    members: Mapping[str, Sequence[DataItem]], section: DataSection | None, data_spec: DataSpec, source: SpecSource
) -> _RawPart:
    """The columns of files that have those of one input, target or column each."""
    assigned = column_uses(section, data_spec, ())
    by_key = {**assigned.inputs, **assigned.targets}
    uses = {**assigned.inputs}
    columns: dict[str, RawColumns] = {}
    for name, items in members.items():
        raw = read_raw_columns(items, TableOptions.of(section, name), source=source)
        owner = file_owner(name, data_spec.inputs, data_spec.targets)
        own_names = by_key.get(owner, ()) if owner is not None else (name,)
        if len(raw.names) == 1:
            raw = raw.renamed(own_names[0] if len(own_names) == 1 else owner or name)
        elif owner in uses and not {*own_names} & raw.columns.keys():
            uses[owner] = [column for column in raw.columns if column not in by_key]
        columns[name] = raw
    return _RawPart(beside(columns), replace(assigned, inputs=uses))


def _described(part: _RawPart, items: Sequence[DataItem], data_spec: DataSpec) -> DescribedPart:
    roles, raw = part.columns.roles(), part.raw
    media = _media_columns(part, data_spec)
    all_items = [own for item in items for own in (item, *chain.from_iterable(item.members.values()))]
    folders = [*{item.folder.path: item.folder for item in all_items}.values()]
    statistics = [
        media_statistics(name, column, folders) if name in media else column_statistics(name, column)
        for name, column in raw.columns.items()
    ]
    statistics += [list_statistics(name, lists) for name, lists in raw.label_lists.items()]
    described = [DescribedColumn(column, tuple(roles.get(column.name, ()))) for column in statistics]
    known = {column.name for column in statistics}
    unused = tuple(name for name in raw.names if name not in roles and name not in known)
    unreadable = {name: reason for name, reason in raw.unreadable.items() if name not in known}
    files = tuple(item.name for item in items)
    return DescribedPart(files, raw.row_count, tuple(described), unreadable, unused)


def _media_columns(part: _RawPart, data_spec: DataSpec) -> set[str]:
    """The columns with the names of images or recordings that inputs and targets take."""
    names = set()
    for key, columns in (*part.columns.inputs.items(), *part.columns.targets.items()):
        for name in columns:
            column = part.raw.columns.get(name)
            texts = [] if column is None or column.ndim != 1 else [text for text in column.tolist() if text][:1]
            if all(isinstance(text, str) for text in texts) and name_media_files(texts, data_spec.type_of(key)):
                names.add(name)
    return names


# -- duplicates and leaks ----------------------------------------------------------------------------------------------


def _find_duplicates(check: DataCheck, raw: Mapping[str, _RawPart], result: DataDescription) -> None:
    """Compares the samples; or the columns of the inputs, if a part cannot be read as samples."""
    samples = check.samples.values()
    if any(len(array) != len(part) for part in samples for array in part.inputs.values()):
        return  # windows of series overlap, and share the rows of all parts
    if all(part in check.samples for part in raw):
        parts: dict[str, Mapping[str, Samples]] = {name: part.inputs for name, part in check.samples.items()}
    else:
        parts = {name: _input_columns(part) for name, part in raw.items() if part.raw.media is None}
    if all(parts.values()):
        result.duplicates = find_duplicates(parts)


def _input_columns(part: _RawPart) -> dict[str, np.ndarray]:
    names = [name for columns in part.columns.inputs.values() for name in columns]
    return {name: part.raw.columns[name] for name in names if name in part.raw.columns}


def _find_leaks(
    check: DataCheck,
    raw: Mapping[str, _RawPart],
    data_spec: DataSpec,
    checked: CheckedSpec,
    result: DataDescription,
) -> None:
    """Compares each column of the inputs of the training data with each target of one value for each sample."""
    objective, part = checked.objective, raw.get("train")
    if objective is None or part is None or part.raw.media is not None:
        return
    samples = check.samples.get("train")
    for output, names in part.columns.targets.items():
        values = part.raw.columns.get(names[0]) if len(names) == 1 else None
        if values is None or values.size != len(values):
            continue
        values = values.reshape(-1)
        is_text = values.dtype.kind not in "fiub"
        has_classes = is_text or output in data_spec.index_ranges
        if not has_classes and samples is not None:
            has_classes = target_classes(samples, output, objective) is not None
        columns = {name: column for name, column in _input_columns(part).items() if name not in names}
        result.leaks += find_leaks(columns, output, values, has_classes)


# -- batch -------------------------------------------------------------------------------------------------------------


def _first_batch(samples: Dataset, batch_size: int) -> list[BatchArray]:
    """The first samples in the element types and shapes of the graph; training draws them in random order."""
    count = min(batch_size, len(samples))
    kinds = dict.fromkeys(samples.inputs, "input") | {target_name(name): "target" for name in samples.targets}
    batch = samples.take(slice(count))
    return [_batch_array(name, kinds.get(name, "sample weight"), array) for name, array in batch.items()]


def _batch_array(name: str, kind: str, array: np.ndarray) -> BatchArray:
    is_text = array.dtype == object
    low, high = (None, None) if is_text or not array.size else (float(array.min()), float(array.max()))
    first = tuple(array[0].reshape(-1)[:MAX_SHOWN_VALUES].tolist()) if isinstance(array[0], np.ndarray) else (array[0],)
    first = tuple(value.item() if isinstance(value, np.generic) else value for value in first)
    return BatchArray(name, kind, "string" if is_text else str(array.dtype), array.shape, low, high, first)
