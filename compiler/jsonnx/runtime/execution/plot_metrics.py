"""Draws the figures of a training by epoch with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

from ...core.reserved_names import validation_name
from ...core.system.optional_packages import require_package

AXES_PER_ROW = 3
AXES_WIDTH, AXES_HEIGHT = 4.5, 3.2
"""Inches."""


def plot_metrics(history: Mapping[str, Sequence[Any]], names: Sequence[str] | None = None) -> list[Any]:
    """Draws a chart for each loss and metric, with the validation data in the same one. Returns matplotlib's axes.

    `names` are those to draw; figures that are lists are left out. Raises UsageError without matplotlib, ValueError for
    an unknown name or if there is nothing to draw.
    """
    drawn = [name for name, values in history.items() if not any(isinstance(value, list) for value in values)]
    unknown = [name for name in names or () if name not in drawn]
    if unknown:
        raise ValueError(f"there is no metric {unknown[0]!r} that is a number by epoch: the metrics are {drawn}")
    charts = [name for name in names or drawn if not _is_beside(name, names or drawn)]
    if not charts:
        raise ValueError("there are no metrics to draw yet")
    plt = require_package("matplotlib.pyplot", "plots", "drawing figures")
    columns = min(AXES_PER_ROW, len(charts))
    rows = -(-len(charts) // columns)
    size = (AXES_WIDTH * columns, AXES_HEIGHT * rows)
    _, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    axes = list(grid.flat)
    for chart, axis in zip(charts, axes, strict=False):
        for name in (chart, validation_name(chart)):
            if name == chart or (name in drawn and name in (names or drawn)):
                values = [nan if value is None else value for value in history[name]]
                axis.plot(range(1, len(values) + 1), values, label=name, marker="o" if len(values) == 1 else None)
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend()
    for axis in axes[len(charts) :]:
        axis.remove()
    return axes[: len(charts)]


def _is_beside(name: str, names: Sequence[str]) -> bool:
    """Whether a metric is drawn in the chart of the training data."""
    prefix = validation_name("")
    return name.startswith(prefix) and name.removeprefix(prefix) in names
