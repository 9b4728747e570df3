"""The metrics of an evaluation as text: a line for each number, a table for each list of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.invisible_characters import escape_invisible
from ...core.metric_values import MetricValue, finite

AxisLabels = Sequence[Sequence[str]]
"""The labels of the elements along each axis of a list."""


def evaluation_json(
    results: Sequence[tuple[str, Mapping[str, Any], Mapping[str, MetricValue]]], baselines: Sequence[Any] = ()
) -> Any:
    """The run, the data and the metrics of each evaluation: of one, the metrics by name beside its `data`.

    `baselines` are the comparisons with baselines of all evaluations, or none.
    """
    compared = [{"baselines": values} for values in baselines] or [{}] * len(results)
    figures = [{name: finite(metric) for name, metric in metrics.items()} for _, _, metrics in results]
    if len(results) == 1:
        return {"data": results[0][1], **figures[0], **compared[0]}
    return [
        {"run": run, "data": data, "figures": own, **values}
        for (run, data, _), own, values in zip(results, figures, compared, strict=True)
    ]


def evaluation_text(metrics: Mapping[str, MetricValue], labels: Mapping[str, AxisLabels]) -> str:
    """Numbers in the order of their names, then the lists. `labels` are the labels of the lists, where they have
    any."""
    numbers = [
        f"{escape_invisible(name)} {metric:.6g}" for name, metric in metrics.items() if not isinstance(metric, list)
    ]
    lists = [
        list_text(name, metric, labels.get(name, ())) for name, metric in metrics.items() if isinstance(metric, list)
    ]
    return "\n".join([*numbers, *lists])


def list_text(name: str, metric: list[Any], labels: AxisLabels) -> str:
    """A name, and below it a line for each item of a list, or each row of a matrix."""
    is_matrix = bool(metric) and isinstance(metric[0], list)
    rows = metric if is_matrix else [[value] for value in metric]
    row_labels = _labels_of(rows, labels[0] if labels else ())
    column_labels = _labels_of(rows[0], labels[1] if len(labels) > 1 else ()) if is_matrix else []
    cells = [["", *column_labels], *([label, *map(_number, row)] for label, row in zip(row_labels, rows, strict=True))]
    widths = [max(map(len, column)) for column in zip(*(cells if is_matrix else cells[1:]), strict=True)]
    lines = []
    for label, *values in cells if is_matrix else cells[1:]:
        padded = (value.rjust(width) for value, width in zip(values, widths[1:], strict=True))
        lines.append(("  " + "  ".join([label.ljust(widths[0]), *padded])).rstrip())
    return "\n".join([escape_invisible(name), *lines])


def _labels_of(items: Sequence[Any], labels: Sequence[str]) -> list[str]:
    """The labels, or else the indices, of the items of a list."""
    return (
        [*map(escape_invisible, labels)] if len(labels) == len(items) else [str(index) for index in range(len(items))]
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
