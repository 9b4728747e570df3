"""Writes a first spec for a file or a folder: the columns are recognised, and the network fits their number of rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.diagnostics import CompileError, UsageError, quoted_list, quoted_or_list, suggestion
from ...core.files.data_formats import COMPRESSIONS, data_format
from ...data.describe.raw_columns import RawColumns, read_raw_columns
from ...data.files.data_locations import DataItem, items_of_user
from ...data.media.image_sizes import image_sizes
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
    is_penalized,
    needs_no_validation,
    network_size,
)
from .recognise_columns import RecognisedColumn, limit_codes, recognise
from .recognise_labels import no_labels
from .recognise_target import (
    RARE_SHARE,
    RecognisedTarget,
    Task,
    recognise_label_lists,
    recognise_target,
    with_labels_joined,
)

LABEL_METRICS = [
    {"type": "auc", "multi_label": True},
    {"type": "f1_score", "name": "f1_macro", "average": "macro", "threshold": 0.5},
    {"type": "f1_score", "name": "f1_micro", "average": "micro", "threshold": 0.5},
    {"type": "f1_score", "name": "f1_by_label", "threshold": 0.5},
]
"""The metrics of a target with several labels in a row; the last one is a table by label."""
MIN_ROWS = 10
PENALIZED_PATIENCE = 16
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


def init_spec(data: str, targets: Sequence[str], task: Task | None, spec_folder: Path) -> InitialSpec:
    """A spec in `spec_folder` that predicts columns of a file, or the classes of a folder.

    Raises CompileError for malformed data, UsageError for data or a target that nothing can be learned from.
    """
    items = items_of_user(data)
    raw, options = _read(items)
    if raw.row_count < MIN_ROWS:
        raise _refused(f"the data have {raw.row_count} rows", f"a network learns from at least {MIN_ROWS} samples")
    names = _target_columns(raw, targets)
    tail = VALIDATION_SPLIT if raw.row_count < LARGE_ROW_COUNT else VALIDATION_SPLIT_OF_LARGE_DATA
    is_text_table = all(_has_separators(item.name) for item in items)
    recognised_targets = with_labels_joined(
        [
            recognise_label_lists(name, raw.label_lists[name], tail)
            if name in raw.label_lists
            else recognise_target(name, raw.columns[name], task, tail, is_text_table, _without(names, raw.columns))
            for name in names
        ]
    )
    columns = _recognise_columns(raw, items, names, is_text_table)
    if all(column.kind == "unused" for column in columns):
        reasons = "; ".join(f"{column.name!r}: {column.reason}" for column in columns)
        raise _refused(f"no column can predict {quoted_list(names)}", reasons or "there is no other column")
    network = initial_network(columns, recognised_targets, raw.row_count)
    path, root = _data_path(data, spec_folder)
    data_section: dict[str, Any] = {"train": path}
    if options.separator is not None:
        data_section |= {"separator": options.separator}
    if options.decimal != ".":
        data_section |= {"decimal": options.decimal}
    spec = _spec(data, network, recognised_targets, raw, columns, data_section, tail)
    check_spec(spec).require()
    summary, notes = _summary(recognised_targets, columns, raw), _notes(recognised_targets, columns, raw)
    return InitialSpec(spec, summary, notes, root)


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


def _target_columns(raw: RawColumns, targets: Sequence[str]) -> list[str]:
    if not targets and raw.media is not None and LABEL in raw.columns:
        return [LABEL]
    if not targets and raw.media is not None:
        raise _refused("the folder has no subfolders, whose names would be the classes", "one folder for each class")
    columns = quoted_or_list(raw.columns)
    if not targets:
        raise UsageError("bad-option", "the target is missing", f"add --target COLUMN; the columns are {columns}")
    for target in targets:
        if target in raw.label_lists:
            continue
        if target in raw.unreadable and target in raw.list_columns:
            raise no_labels(target)
        if target in raw.unreadable:
            raise UsageError("bad-target", f"the target {target!r} {raw.unreadable[target]}", "name another column")
        if target not in raw.columns:
            help = suggestion(target, raw.columns) or f"the columns are {columns}"
            raise UsageError("bad-target", f"there is no column {target!r} to predict", help)
    return list(dict.fromkeys(targets))


def _without(names: Sequence[str], columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: column for name, column in columns.items() if name not in names}


def _recognise_columns(
    raw: RawColumns, items: Sequence[DataItem], targets: Sequence[str], is_text_table: bool
) -> list[RecognisedColumn]:
    if raw.media is IMAGES:
        paths = [(item.folder, path) for item in items for path in raw.columns[IMAGES.column].tolist()[:100]]
        sizes = image_sizes(paths[:100])
        is_padded = not sizes.has_same_proportions
        return [RecognisedColumn(IMAGES.column, "image", shape=sizes.shape, high=255.0, is_padded=is_padded)]
    if raw.media is not None and raw.media is not TEXTS:
        raise _refused(
            "recordings are not recognised", "docs/guides/data/audio.md has a spec of recordings to start from"
        )
    columns = [
        recognise(name, column, is_text_table)
        for name, column in raw.columns.items()
        if name not in targets and (raw.media is None or name == TEXTS.column)
    ]
    unreadable = [
        RecognisedColumn(name, "unused", reason=f"it {reason}")
        for name, reason in raw.unreadable.items()
        if name not in targets
    ]
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
    targets: Sequence[RecognisedTarget],
    raw: RawColumns,
    columns: Sequence[RecognisedColumn],
    data_section: dict[str, Any],
    tail: float,
) -> dict[str, Any]:
    outputs = dict(zip(network.outputs, targets, strict=True))
    labels = _by_output(outputs, lambda target: list(target.labels))
    file = Path(data.rstrip("/")).name
    unused = [f"{column.name} ({column.reason})" for column in columns if column.kind == "unused"]
    predicted = "; ".join(f"{', '.join(target.columns)} ({target.task})" for target in targets)
    description = f"Predicts {predicted} of {file}." + (f" Not used: {'; '.join(unused)}." if unused else "")
    _complete_data_section(data_section, network, outputs, raw, columns, tail)
    return {
        "name": file.partition(".")[0] or "data",
        "description": description,
        "inputs": network.inputs,
        "layers": network.layers,
        **({"outputs": network.outputs} if len(targets) > 1 else {}),
        **({"labels": labels} if labels else {}),
        "training": {"data": data_section, **_training_section(outputs, columns, raw.row_count)},
    }


def _complete_data_section(
    section: dict[str, Any],
    network: InitialNetwork,
    outputs: Mapping[str, RecognisedTarget],
    raw: RawColumns,
    columns: Sequence[RecognisedColumn],
    tail: float,
) -> None:
    """Adds the columns of inputs and outputs, the size of images, and the rows for validation."""
    if raw.media is None:
        if network.columns:
            section["x"] = dict(network.columns)
        section |= _target_names(outputs)
        section |= _label_separator(outputs.values())
    if raw.media is IMAGES:
        is_padded = any(column.is_padded for column in columns)
        section["images"] = {"resize": "bilinear", **({"pad_to_aspect_ratio": True} if is_padded else {})}
    if needs_no_validation(columns, list(outputs.values()), raw.row_count):
        return
    rare = [target.columns[0] for target in outputs.values() if target.is_rare]
    if rare and raw.media is None:  # validation gets its share of the rare class
        section["split"] = {"validation": tail, "stratify": rare[0]}
    elif any(target.is_ordered for target in outputs.values()):  # the last rows are unlike the others
        section["split"] = {"validation": tail}
    else:
        section["validation_split"] = tail


def _training_section(
    outputs: Mapping[str, RecognisedTarget], columns: Sequence[RecognisedColumn], row_count: int
) -> dict[str, Any]:
    """The keys of `training` but its data."""
    targets = list(outputs.values())
    numbers = [name for name, target in outputs.items() if target.task == "regression"]
    is_small, is_large = row_count < SMALL_ROW_COUNT, row_count >= 10 * LARGE_ROW_COUNT
    if is_penalized(columns):
        rate, batch_size = network_size(targets, row_count).learning_rate, 32 if is_small else 128
    else:
        is_image = any(column.kind == "image" for column in columns)
        rate, batch_size = 0.003 if is_small and not is_image else 0.001, 32 if row_count < LARGE_ROW_COUNT else 128
    training: dict[str, Any] = {
        "loss": _by_output(outputs, _loss),
        "optimizer": {"type": "adam", "learning_rate": rate},
        **({"target": {"normalize": numbers if len(numbers) < len(outputs) else True}} if numbers else {}),
        "metrics": _by_output(outputs, _metrics),
        "epochs": 200,
        "batch_size": 256 if is_large else batch_size,
        "seed": 1,
    }
    if needs_no_validation(columns, targets, row_count):
        return training | {"epochs": SMALL_ROW_EPOCHS}
    patience = 20 if row_count < PATIENT_ROW_COUNT else 8
    if is_penalized(columns):
        patience = PENALIZED_PATIENCE
        training["reduce_on_plateau"] = {"monitor": "val_loss", "factor": 0.3, "patience": 6}
    training |= {"early_stopping": {"monitor": "val_loss", "patience": patience}, "restore_best_weights": True}
    if all(target.is_rare or target.has_several_labels for target in targets):
        has_labels = any(target.has_several_labels for target in targets)
        training["threshold"] = {"maximize": "f1", **({"by_label": True} if has_labels else {})}
    return training


def _target_names(outputs: Mapping[str, RecognisedTarget]) -> dict[str, Any]:
    """The key `y` of the data, which names the columns of outputs that have other names."""
    columns = {
        output: target.columns[0] if len(target.columns) == 1 else list(target.columns)
        for output, target in outputs.items()
        if target.columns != (output,)
    }
    return {"y": next(iter(columns.values())) if len(outputs) == 1 else columns} if columns else {}


def _label_separator(targets: Iterable[RecognisedTarget]) -> dict[str, Any]:
    """The key of the data with the mark between labels. Raises UsageError if targets have different ones."""
    columns = {target.label_separator: target.columns[0] for target in targets if target.label_separator}
    if len(columns) > 1:
        message = f"the labels of {quoted_list(columns.values())} are separated by different marks"
        raise _refused(message, "write all with the same mark: `label_separator` is that of all targets")
    return {"label_separator": next(iter(columns))} if columns else {}


def _by_output(outputs: Mapping[str, RecognisedTarget], setting: Callable[[RecognisedTarget], Any]) -> Any:
    """A setting of the only output, or an object with those of all outputs that have one."""
    settings = {name: value for name, target in outputs.items() if (value := setting(target))}
    return settings if len(outputs) > 1 else next(iter(settings.values()), None)


def _loss(target: RecognisedTarget) -> str:
    if target.task == "regression":
        return "mean_squared_error"
    return "binary_crossentropy" if target.is_binary else "sparse_categorical_crossentropy"


def _metrics(target: RecognisedTarget) -> list[Any]:
    if target.task == "regression":
        return ["mae", "r2_score"]
    if target.has_several_labels:
        return LABEL_METRICS
    if target.is_rare:  # most probabilities are close to 0, where 200 thresholds are too few
        return ["accuracy", {"type": "auc", "num_thresholds": None}]
    return ["accuracy", "auc"] if target.is_binary else ["accuracy"]


def _summary(targets: Sequence[RecognisedTarget], columns: Sequence[RecognisedColumn], raw: RawColumns) -> str:
    kinds = ", ".join(f"{target.task} of {quoted_list(target.columns)} ({_kind(target)})" for target in targets)
    used = sum(column.kind != "unused" for column in columns)
    return f"{kinds} from {used:,} {'column' if used == 1 else 'columns'}, {raw.row_count:,} rows"


def _kind(target: RecognisedTarget) -> str:
    if target.task == "regression":
        return "numbers"
    return f"{target.class_count:,} {'labels' if target.has_several_labels else 'classes'}"


def _notes(
    targets: Sequence[RecognisedTarget], columns: Sequence[RecognisedColumn], raw: RawColumns
) -> tuple[str, ...]:
    notes = [f"not used: {column.name!r}: {column.reason}" for column in columns if column.kind == "unused"]
    notes += [f"{column.name!r}: {column.note}" for column in columns if column.note]
    ordered = [name for target in targets if target.is_ordered for name in target.columns]
    if needs_no_validation(columns, targets, raw.row_count):
        notes.append(
            f"all {raw.row_count:,} rows are for training, with a penalty on large weights in place of validation; "
            "`split` with `folds`, and `jsonnx train --fold all`, estimates the quality"
        )
    elif ordered:
        notes.append(
            f"the last rows have other values of {quoted_list(ordered)} than the first ones, so rows for validation "
            "are drawn from all"
        )
    if any(target.largest_share > RARE_SHARE for target in targets):
        share = max(target.largest_share for target in targets)
        notes.append(f"{share:.0%} of the rows have one class: accuracy says little, see `auc`")
    return tuple(notes)


def _refused(message: str, help: str) -> UsageError:
    return UsageError("bad-target", message, help)


def _has_separators(file: str) -> bool:
    """Whether a file is a table of separated values, by its name."""
    format = data_format(file)
    return format is not None and format.separator is not None
