"""Writes a first spec for a file or a folder: the columns are recognised, and the network fits their number of rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.diagnostics import CompileError, UsageError, quoted_or_list, suggestion
from ...core.files.data_formats import COMPRESSIONS, data_format
from ...data.describe.raw_columns import RawColumns, read_raw_columns
from ...data.files.data_locations import DataItem, items_of_user
from ...data.media.image_sizes import image_shape
from ...data.tables.folder_table import IMAGES, LABEL, TEXTS
from ...data.tables.table_file import DEFAULT_OPTIONS, TableOptions
from ...frontend.json.json_reader import from_value
from ...frontend.text.formatter import format_source
from ..check.check import check_spec
from .initial_network import (
    LARGE_ROW_COUNT,
    SMALL_ROW_COUNT,
    SMALL_ROW_EPOCHS,
    InitialNetwork,
    initial_network,
    needs_no_validation,
)
from .recognise_columns import RecognisedColumn, limit_codes, recognise
from .recognise_target import RecognisedTarget, Task, recognise_target

MIN_ROWS = 10
PATIENT_ROW_COUNT = 2_000
"""Maximum number of rows for a patience of 20 epochs: epochs are short, and losses vary."""
SEPARATORS = (";", "\t", "|")
VALIDATION_SPLIT, VALIDATION_SPLIT_OF_LARGE_DATA = 0.15, 0.1


@dataclass(frozen=True)
class InitialSpec:
    """A spec that trains at once, and what it was made from."""

    spec: dict[str, Any]
    summary: str
    notes: tuple[str, ...]
    """Notes about omitted columns, and about the data, to read before training."""
    data_root: str | None = None
    """The folder that `jsonnx train` must be allowed to read; None if the data are beside the spec or below."""

    @property
    def text(self) -> str:
        """The spec in its canonical form."""
        return format_source(from_value(self.spec))


def default_spec_name(data: str) -> str:
    """The name of a spec beside its data: `flowers.json` for `flowers.csv`."""
    stem, suffix = os.path.splitext(data.rstrip("/"))
    if suffix.lower()[1:] in COMPRESSIONS:
        stem = os.path.splitext(stem)[0]
    return f"{stem}.spec.json" if suffix.lower() == ".json" else f"{stem}.json"


def init_spec(data: str, target: str | None, task: Task | None, spec_folder: Path) -> InitialSpec:
    """A spec in `spec_folder` that predicts a column of a file, or the classes of a folder.

    Raises CompileError for malformed data, UsageError for data or a target that nothing can be learned from.
    """
    items = items_of_user(data)
    raw, options = _read(items)
    if raw.row_count < MIN_ROWS:
        raise _refused(f"the data have {raw.row_count} rows", f"a network learns from at least {MIN_ROWS} samples")
    target = _target_column(raw, target)
    tail = VALIDATION_SPLIT if raw.row_count < LARGE_ROW_COUNT else VALIDATION_SPLIT_OF_LARGE_DATA
    is_text_table = all(_has_separators(item.name) for item in items)
    recognised_target = recognise_target(target, raw.columns[target], task, tail, is_text_table)
    columns = _recognise_columns(raw, items, target, is_text_table)
    if all(column.kind == "unused" for column in columns):
        reasons = "; ".join(f"{column.name!r}: {column.reason}" for column in columns)
        raise _refused(f"no column can predict {target!r}", reasons or "there is no other column")
    network = initial_network(columns, recognised_target, raw.row_count)
    path, root = _data_path(data, spec_folder)
    data_section: dict[str, Any] = {"train": path}
    if options.separator is not None:
        data_section |= {"separator": options.separator}
    if options.decimal != ".":
        data_section |= {"decimal": options.decimal}
    spec = _spec(data, network, recognised_target, raw, columns, data_section, tail)
    check_spec(spec).require()
    return InitialSpec(spec, _summary(recognised_target, columns, raw), _notes(recognised_target, columns, raw), root)


# -- reading -----------------------------------------------------------------------------------------------------------


def _read(items: Sequence[DataItem]) -> tuple[RawColumns, TableOptions]:
    """The columns, and how the file is read: a separator other than the comma is found by trying."""
    if not items:
        raise _refused("there are no files", "name a file or a folder")
    options = DEFAULT_OPTIONS
    try:
        raw = read_raw_columns(items, options)
    except CompileError as error:
        for separator in SEPARATORS if _has_separators(items[0].name) else ():
            options = TableOptions(separator=separator)
            try:
                raw = read_raw_columns(items, options)
            except CompileError:
                continue
            break
        else:
            raise error
    if options.separator == ";":
        with_comma = TableOptions(separator=";", decimal=",")
        other = read_raw_columns(items, with_comma)
        if _number_count(other) > _number_count(raw):
            return other, with_comma
    return raw, options


def _number_count(raw: RawColumns) -> int:
    return sum(column.dtype.kind in "fiub" for column in raw.columns.values())


def _target_column(raw: RawColumns, target: str | None) -> str:
    if target is None and raw.media is not None and LABEL in raw.columns:
        return LABEL
    if target is None and raw.media is not None:
        raise _refused("the folder has no subfolders, whose names would be the classes", "one folder for each class")
    columns = quoted_or_list(raw.columns)
    if target is None:
        raise UsageError("bad-option", "the target is missing", f"add --target COLUMN; the columns are {columns}")
    if target not in raw.columns:
        reason = f", since it {raw.unreadable[target]}" if target in raw.unreadable else ""
        help = suggestion(target, raw.columns) or f"the columns are {columns}"
        raise UsageError("bad-target", f"there is no column {target!r} to predict{reason}", help)
    return target


def _recognise_columns(
    raw: RawColumns, items: Sequence[DataItem], target: str, texts_may_be_missing: bool
) -> list[RecognisedColumn]:
    if raw.media is IMAGES:
        paths = [(item.folder, path) for item in items for path in raw.columns[IMAGES.column].tolist()[:100]]
        return [RecognisedColumn(IMAGES.column, "image", shape=image_shape(paths[:100]), high=255.0)]
    if raw.media is not None and raw.media is not TEXTS:
        raise _refused("recordings are not recognised", "see `samples/` and docs/data.md for specs of sequences")
    columns = [
        recognise(name, column, texts_may_be_missing)
        for name, column in raw.columns.items()
        if name != target and (raw.media is None or name == TEXTS.column)
    ]
    unreadable = [RecognisedColumn(name, "unused", reason=f"it {reason}") for name, reason in raw.unreadable.items()]
    return limit_codes(columns) + unreadable


def _data_path(data: str, spec_folder: Path) -> tuple[str, str | None]:
    """The path of the data in a spec of a folder, and the folder that must be allowed if it is elsewhere."""
    path, folder = os.path.abspath(data), os.path.abspath(spec_folder)
    relative = os.path.relpath(path, folder)
    if relative.split(os.sep)[0] != os.pardir:
        return relative.replace(os.sep, "/"), None
    return path, os.path.dirname(path)


# -- the spec ----------------------------------------------------------------------------------------------------------


def _spec(
    data: str,
    network: InitialNetwork,
    target: RecognisedTarget,
    raw: RawColumns,
    columns: Sequence[RecognisedColumn],
    data_section: dict[str, Any],
    tail: float,
) -> dict[str, Any]:
    if raw.media is None:
        if network.columns:
            data_section["x"] = dict(network.columns)
        if network.output != target.column:
            data_section["y"] = target.column
    is_image = any(column.kind == "image" for column in columns)
    if raw.media is IMAGES:
        data_section["images"] = {"resize": "bilinear"}
    row_count = raw.row_count
    uses_all_rows = needs_no_validation(columns, row_count)
    if uses_all_rows:
        pass
    elif target.is_ordered:  # the last rows are unlike the others: draw some from all
        data_section["split"] = {"validation": tail}
    else:
        data_section["validation_split"] = tail
    batch_size = 32 if row_count < LARGE_ROW_COUNT else 128 if row_count < 10 * LARGE_ROW_COUNT else 256
    rate = 0.003 if row_count < SMALL_ROW_COUNT and not is_image else 0.001
    training = {
        "data": data_section,
        "loss": _loss(target),
        "optimizer": {"type": "adam", "learning_rate": rate},
        **({"target": {"normalize": True}} if target.task == "regression" else {}),
        "metrics": _metrics(target),
        "epochs": SMALL_ROW_EPOCHS if uses_all_rows else 200,
        "batch_size": batch_size,
        "seed": 1,
    }
    if not uses_all_rows:
        patience = 20 if row_count < PATIENT_ROW_COUNT else 8
        training |= {"early_stopping": {"monitor": "val_loss", "patience": patience}, "restore_best_weights": True}
    name = Path(data.rstrip("/")).name.partition(".")[0]
    unused = [f"{column.name} ({column.reason})" for column in columns if column.kind == "unused"]
    description = f"Predicts {target.column} of {Path(data.rstrip('/')).name}: {target.task}."
    description += f" Not used: {'; '.join(unused)}." if unused else ""
    return {
        "name": name or "data",
        "description": description,
        "inputs": network.inputs,
        "layers": network.layers,
        **({"labels": list(target.labels)} if target.labels else {}),
        "training": training,
    }


def _loss(target: RecognisedTarget) -> str:
    if target.task == "regression":
        return "mean_squared_error"
    return "binary_crossentropy" if target.class_count == 2 else "sparse_categorical_crossentropy"


def _metrics(target: RecognisedTarget) -> list[str]:
    if target.task == "regression":
        return ["mae", "r2_score"]
    return ["accuracy", "auc"] if target.class_count == 2 else ["accuracy"]


def _summary(target: RecognisedTarget, columns: Sequence[RecognisedColumn], raw: RawColumns) -> str:
    kind = f"{target.class_count:,} classes" if target.task == "classification" else "numbers"
    used = sum(column.kind != "unused" for column in columns)
    return (
        f"{target.task} of {target.column!r} ({kind}) from {used:,} {'column' if used == 1 else 'columns'}, "
        f"{raw.row_count:,} rows"
    )


def _notes(target: RecognisedTarget, columns: Sequence[RecognisedColumn], raw: RawColumns) -> tuple[str, ...]:
    notes = [f"not used: {column.name!r}: {column.reason}" for column in columns if column.kind == "unused"]
    if needs_no_validation(columns, raw.row_count):
        notes.append(
            f"all {raw.row_count:,} rows are for training, with a penalty on large weights in place of validation; "
            "`split` with `folds`, and `jsonnx train --fold all`, estimates the quality"
        )
    elif target.is_ordered:
        notes.append(
            f"the last rows have other values of {target.column!r} than the first ones, so rows for validation are "
            "drawn from all"
        )
    if target.largest_share > 0.9:
        notes.append(f"{target.largest_share:.0%} of the rows have one class: accuracy says little, see `auc`")
    return tuple(notes)


def _refused(message: str, help: str) -> UsageError:
    return UsageError("bad-target", message, help)


def _has_separators(file: str) -> bool:
    """Whether a file is a table of separated values, by its name."""
    format = data_format(file)
    return format is not None and format.separator is not None
