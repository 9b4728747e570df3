"""Descriptions of data as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from ...core.invisible_characters import escape_invisible
from ...core.quantities import count_text
from ..diagnostics.diagnostics_json import diagnostics_json
from ..text.text_table import TextTable
from .data_summary import data_summary_text
from .window_counts import window_counts_json, window_counts_text

if TYPE_CHECKING:
    from ...data.describe.column_statistics import ColumnStatistics
    from ...data.describe.data_description import BatchArray, DataDescription, DescribedPart
    from ...data.describe.data_leaks import Leak

MAX_LISTED_COLUMNS = 100
MAX_VALUE_CHARACTERS = 24
MAX_FREQUENT_VALUES = 3
"""Frequent values that a cell of the text names; the JSON has more."""


def data_description_text(description: DataDescription, color: bool = False, width: int | None = None) -> str:
    """Sections with titles: numbers of samples and classes, columns, duplicates, leaks, the first batch."""
    sections = [data_summary_text(description)]
    if description.window_counts:
        windows = {
            name: (description.sample_counts[name], counts) for name, counts in description.window_counts.items()
        }
        sections.append(_section("windows of time series", window_counts_text(windows, color, width)))
    for name, part in description.parts.items():
        if name in ("train", "data"):
            sections.append(_section(f"columns of {name}: {', '.join(part.files)}", _columns_text(part, color, width)))
        unreadable = [f"  {escape_invisible(column)}: {reason}" for column, reason in part.unreadable.items()]
        if unreadable:
            sections.append(_section(f"columns of {name} that cannot be read", "\n".join(unreadable)))
    differences = _differences(description)
    if differences:
        sections.append(_section("values outside the range of the training data", "\n".join(differences)))
    if description.duplicates is not None:
        sections.append(_section("equal samples", "\n".join(_duplicate_lines(description))))
    if description.leaks:
        title = "columns that may give the target away"
        sections.append(_section(title, "\n".join(f"  {_leak_text(leak)}" for leak in description.leaks)))
    if description.batch:
        sections.append(_section("first batch, as the network gets it", _batch_text(description.batch, color, width)))
    return "\n\n".join(section for section in sections if section)


def _section(title: str, text: str) -> str:
    return f"{escape_invisible(title)}\n{text}" if text else ""


def _columns_text(part: DescribedPart, color: bool, width: int | None) -> str:
    titles = ("column", "used as", "type", "missing", "distinct", "min", "mean", "std", "max", "most frequent")
    table = TextTable(titles, right=range(3, 9))
    for column in part.columns[:MAX_LISTED_COLUMNS]:
        item = column.statistics
        shape = f" {list(item.shape)}" if item.shape else ""
        metrics = [_number(metric) for metric in (item.min, item.mean, item.std, item.max)]
        table.add_row(
            item.name,
            ", ".join(column.roles) or "not used",
            item.type + shape,
            f"{item.missing:,}",
            f"{item.distinct:,}",
            *metrics,
            _frequent_text(item),
        )
    hidden = len(part.columns) - MAX_LISTED_COLUMNS
    lines = [table.text(color, width), f"{hidden:,} more columns" if hidden > 0 else "", _unused_text(part.unused)]
    return "\n".join(line for line in lines if line)


def _unused_text(names: Sequence[str]) -> str:
    if not names:
        return ""
    hidden = len(names) - MAX_LISTED_COLUMNS
    listed = ", ".join(map(escape_invisible, names[:MAX_LISTED_COLUMNS]))
    return f"not used: {listed}" + (f" and {hidden:,} more" if hidden > 0 else "")


def _frequent_text(item: ColumnStatistics) -> str:
    if item.type == "number" or (item.type == "integer" and item.distinct > MAX_VALUE_CHARACTERS):
        return f"{item.infinite:,} infinite" if item.infinite else ""
    return ", ".join(f"{_value(value)} ({count:,})" for value, count in item.most_frequent[:MAX_FREQUENT_VALUES])


def _value(value: Any) -> str:
    if isinstance(value, float):
        return _number(value)
    text = escape_invisible(str(value)).replace("\n", " ")
    return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[: MAX_VALUE_CHARACTERS - 3]}..."


def _number(value: float | int | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _differences(description: DataDescription) -> list[str]:
    """Ranges of the inputs of other parts that exceed the training data's."""
    train = description.parts.get("train")
    known = {column.statistics.name: column.statistics for column in train.columns} if train else {}
    lines = []
    for name, part in description.parts.items():
        for column in part.columns:
            item, own = column.statistics, known.get(column.statistics.name)
            if name == "train" or own is None or not column.roles:
                continue
            shown = escape_invisible(item.name)
            if own.type == "text" != item.type or item.type == "text" != own.type:
                lines.append(f"  {shown} has the type {own.type} in train, {item.type} in {name}")
            elif _is_below(own.min, item.min) or _is_below(item.max, own.max):
                own_range, other_range = (
                    f"{_number(low)} to {_number(high)}" for low, high in ((own.min, own.max), (item.min, item.max))
                )
                lines.append(f"  {shown} is {own_range} in train, {other_range} in {name}")
    return lines


def _is_below(limit: float | int | None, value: float | int | None) -> bool:
    return limit is not None and value is not None and value < limit


def _duplicate_lines(description: DataDescription) -> list[str]:
    duplicates, lines = description.duplicates, []
    assert duplicates is not None
    for part, count in duplicates.within.items():
        lines.append(f"  in {part}: {_are(count, 'sample')} equal to an earlier one")
    for part, count in duplicates.in_train.items():
        where = ""
        if part in duplicates.first:
            own, other = duplicates.first[part]
            where = f": sample {own:,} equals sample {other:,} of train" + (", ..." if count > 1 else "")
        lines.append(f"  in {part}: {_are(count, 'sample')} in train, too{where}")
    return lines


def _are(count: int, noun: str) -> str:
    return f"{count_text(count, noun)} {'is' if count == 1 else 'are'}"


def _leak_text(leak: Leak) -> str:
    column, target = escape_invisible(leak.column), escape_invisible(leak.target)
    if leak.measure == "accuracy":
        return f"{column} alone tells the class of {target} in {leak.value:.1%} of the rows"
    return f"{column} has a correlation of {leak.value:.4f} with {target}"


def _batch_text(batch: Sequence[BatchArray], color: bool, width: int | None) -> str:
    table = TextTable(("array", "kind", "type", "shape", "min", "max", "first sample"), right=(4, 5))
    for array in batch:
        sample_size = 1
        for size in array.shape[1:]:
            sample_size *= size
        values = ", ".join(_value(value) for value in array.first_values)
        more = ", ..." if sample_size > len(array.first_values) else ""
        shape = str(list(array.shape))
        table.add_row(
            array.name,
            array.kind,
            array.dtype,
            shape,
            _number(array.min),
            _number(array.max),
            values + more,
        )
    return table.text(color, width)


# -- JSON --------------------------------------------------------------------------------------------------------------


def data_description_json(description: DataDescription) -> dict[str, Any]:
    """The description as JSON values; metrics that are not finite are null."""
    duplicates = description.duplicates
    return {
        "samples": dict(description.sample_counts),
        "windows": {
            name: window_counts_json(counts, description.sample_counts[name])
            for name, counts in description.window_counts.items()
        },
        "files": {
            name: {
                "files": list(part.files),
                "rows": part.row_count,
                "columns": [
                    {"used_as": list(column.roles), **_statistics_json(column.statistics)} for column in part.columns
                ],
                "unused": list(part.unused),
                "unreadable": dict(part.unreadable),
            }
            for name, part in description.parts.items()
        },
        "classes": {
            output: {part: _classes_json(counts, description.labels.get(output, ())) for part, counts in parts.items()}
            for output, parts in description.class_counts.items()
        },
        "duplicates": None
        if duplicates is None
        else {
            "within": dict(duplicates.within),
            "in_train": dict(duplicates.in_train),
            "first": {part: {"sample": own, "train_sample": other} for part, (own, other) in duplicates.first.items()},
        },
        "leaks": [
            {"column": leak.column, "target": leak.target, leak.measure: round(leak.value, 6)}
            for leak in description.leaks
        ],
        "batch": [
            {
                "name": array.name,
                "kind": array.kind,
                "dtype": array.dtype,
                "shape": list(array.shape),
                "min": _finite(array.min),
                "max": _finite(array.max),
                "first_values": [_finite(value) for value in array.first_values],
            }
            for array in description.batch
        ],
        "diagnostics": diagnostics_json(description.diagnostics),
    }


def _statistics_json(item: ColumnStatistics) -> dict[str, Any]:
    return {
        "name": item.name,
        "type": item.type,
        "shape": list(item.shape),
        "count": item.count,
        "missing": item.missing,
        "infinite": item.infinite,
        "distinct": item.distinct,
        "min": _finite(item.min),
        "mean": _finite(item.mean),
        "std": _finite(item.std),
        "max": _finite(item.max),
        "most_frequent": [{"value": _finite(value), "count": count} for value, count in item.most_frequent],
    }


def _classes_json(counts: Mapping[int, int], labels: Sequence[str]) -> dict[str, int]:
    names = {number: labels[number] if 0 <= number < len(labels) else str(number) for number in counts}
    return {names[number]: count for number, count in sorted(counts.items())}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value
