"""The comparison of a network with baselines as text: a table, a verdict, and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.invisible_characters import escape_invisible
from ...core.quantities import count_text
from ..text.text_table import TextTable

Comparison = Mapping[str, Any]


def baselines_text(comparisons: Sequence[Comparison], color: bool = False, width: int | None = None) -> str:
    """The comparison of each output."""
    several = len(comparisons) > 1
    return "\n\n".join(_output_text(comparison, several, color, width) for comparison in comparisons)


def _output_text(comparison: Comparison, several: bool, color: bool, width: int | None) -> str:
    title = f"{escape_invisible(comparison['output'])}: " if several else ""
    notes = [f"- {escape_invisible(note)}" for note in comparison["notes"]]
    if not comparison["models"]:
        return "\n".join([f"{title}not compared with baselines", *notes])
    samples = count_text(comparison["samples"], "sample")
    heading = f"{title}beside baselines, fitted on {comparison['training_samples']:,} training samples, on {samples}:"
    return "\n".join([heading, _table(comparison, color, width), escape_invisible(comparison["verdict"]), *notes])


def _table(comparison: Comparison, color: bool, width: int | None) -> str:
    metric, models = comparison["metric"], comparison["models"]
    names = [name for name, value in models[0]["figures"].items() if not isinstance(value, list)]
    titles = ["", *map(escape_invisible, names), f"network's {metric} minus this (95 %)"]
    table = TextTable(titles, right=range(1, len(titles) - 1))
    for model in models:
        cells = [_number(model["figures"][name]) for name in names]
        table.add_row(model["model"], *cells, _difference(model))
    return table.text(color, width)


def _difference(model: Mapping[str, Any]) -> str:
    if model.get("difference") is None:
        return ""
    bounds = model["difference_interval"]
    interval = "" if bounds is None else f" ({bounds[0]:+.3g} to {bounds[1]:+.3g})"
    return f"{model['difference']:+.3g}{interval}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
