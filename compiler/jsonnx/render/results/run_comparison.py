"""Several runs side by side: their metrics, differences, curves, and metrics by class, as text and as JSON values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ...core.diagnostics import CompileError, UsageError
from ...core.invisible_characters import escape_invisible
from ...core.metric_values import numbers_only
from ..networks.spec_diff import comparison_json, comparison_text
from ..text.text_table import TextTable
from .curves import BLOCKS, curve, finite_values
from .evaluation_text import list_text
from .runs_table import duration_text, metric_text

if TYPE_CHECKING:
    from ...diff import Comparison

MAX_CURVE_CHARACTERS = 60
"""Characters of a curve; longer ones show means of several epochs."""
AxisLabels = Mapping[str, Sequence[Sequence[str]]]


class ComparedRun(Protocol):
    """A run, as `pipeline.run` reads it."""

    folder: Path

    @property
    def state(self) -> str: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def epochs(self) -> int: ...
    @property
    def history(self) -> Mapping[str, list[Any]]: ...
    @property
    def steps(self) -> Mapping[str, list[Any]]: ...
    @property
    def figures(self) -> Mapping[str, Any]: ...
    @property
    def best(self) -> Mapping[str, Any] | None: ...
    @property
    def test(self) -> Mapping[str, Any]: ...
    def figure_labels(self) -> AxisLabels: ...
    def to_json(self) -> dict[str, Any]: ...
    @property
    def class_weight(self) -> Any: ...


class Difference(Protocol):
    """How a run differs from the first one, as `pipeline.compare_runs` finds it."""

    @property
    def run(self) -> ComparedRun: ...
    @property
    def spec(self) -> Comparison | None: ...
    @property
    def inputs(self) -> list[str]: ...
    @property
    def environment(self) -> list[str]: ...
    @property
    def is_empty(self) -> bool: ...


def run_comparison_text(
    runs: Sequence[ComparedRun],
    differences: Sequence[Difference],
    color: bool = False,
    width: int | None = None,
    levels: str = BLOCKS,
) -> str:
    """A table of metrics, the differences from the first run, curves by epoch, and tables by class."""
    parts = [_metrics_table(runs).text(color, width)]
    parts += [_difference_text(runs[0], difference, color) for difference in differences]
    parts += _curve_texts(runs, levels, width)
    parts += _class_tables(runs, color, width)
    return "\n\n".join(parts)


def _table(titles: Sequence[str], runs: int) -> TextTable:
    """A table with a column for each run."""
    return TextTable(titles, right=range(1, runs + 1))


def run_comparison_json(runs: Sequence[ComparedRun], differences: Sequence[Difference]) -> dict[str, Any]:
    """The comparison as JSON values, with all metrics by epoch."""
    return {
        "runs": [{**run.to_json(), "history": dict(run.history)} for run in runs],
        "differences": [
            {
                "run": str(difference.run.folder),
                "from": str(runs[0].folder),
                "inputs": difference.inputs,
                "environment": difference.environment,
                "spec": comparison_json(difference.spec) if difference.spec is not None else None,
            }
            for difference in differences
        ],
    }


def _metrics_table(runs: Sequence[ComparedRun]) -> TextTable:
    """One row a metric, one column a run."""
    table = _table(["", *(str(run.folder) for run in runs)], len(runs))
    table.add_row("state", *(run.state for run in runs))
    table.add_row("epochs", *(str(run.epochs) for run in runs))
    table.add_row("duration", *(duration_text(run.seconds) for run in runs))
    for name in dict.fromkeys(run.best["figure"] for run in runs if run.best):
        bests = [run.best if run.best and run.best["figure"] == name else None for run in runs]
        table.add_row(f"best {name}", *(metric_text(best["value"]) if best else "" for best in bests))
        table.add_row("in epoch", *(str(best["epoch"]) if best else "" for best in bests))
    for prefix, metrics in (("", [run.figures for run in runs]), ("test ", [run.test for run in runs])):
        for name in dict.fromkeys(name for values in metrics for name in numbers_only(values)):
            table.add_row(prefix + name, *(metric_text(numbers_only(values).get(name)) for values in metrics))
    return table


def _difference_text(first: ComparedRun, difference: Difference, color: bool) -> str:
    title = escape_invisible(f"{first.folder} -> {difference.run.folder}")
    if difference.is_empty:
        return f"{title}: no difference in spec, data, seed and environment"
    lines = [title, *(f"  {escape_invisible(clause)}" for clause in (*difference.inputs, *difference.environment))]
    if difference.spec is not None:
        lines += [f"  {line}".rstrip() for line in comparison_text(difference.spec, color).splitlines()]
    return "\n".join(lines)


# -- curves ------------------------------------------------------------------------------------------------------------


def _curve_texts(runs: Sequence[ComparedRun], levels: str, width: int | None) -> list[str]:
    """A paragraph for each metric, with a line for each run, all on one scale. Training losses with different class
    weights are no metrics of one scale, and have a paragraph for each weighting."""
    names = dict.fromkeys(name for run in runs for name in (*run.history, *run.steps) if name not in ("step", "epoch"))
    texts = []
    for name in names:
        for note, own_runs in _runs_by_weighting(runs, name).items():
            curves = {escape_invisible(str(run.folder)): _curve_values(run, name) for run in own_runs}
            curves = {folder: values for folder, values in curves.items() if len(finite_values(values)) > 1}
            if curves:
                texts.append("\n".join([escape_invisible(name + note), *_curve_lines(curves, levels, width)]))
    return texts


def _runs_by_weighting(runs: Sequence[ComparedRun], name: str) -> dict[str, list[ComparedRun]]:
    """The runs whose values of a metric have one scale, by a note about it."""
    groups: dict[str, list[ComparedRun]] = {}
    is_weighted = name.endswith("loss") and not name.startswith("val_")
    for run in runs if is_weighted else ():
        weights = run.class_weight
        note = " without class weights" if weights is None else f" with class_weight {json.dumps(weights)}"
        groups.setdefault(note, []).append(run)
    return groups if len(groups) > 1 else {"": [*runs]}


def _curve_values(run: ComparedRun, name: str) -> list[float | None]:
    """The values of a metric by epoch, or within the only epoch by step; none if it is a list."""
    values = run.history.get(name, [])
    if len(values) < 2:
        values = run.steps.get(name, [])
    return [] if any(isinstance(value, list) for value in values) else values


def _curve_lines(curves: Mapping[str, list[float | None]], levels: str, width: int | None) -> list[str]:
    finite = {folder: finite_values(values) for folder, values in curves.items()}
    low, high = min(map(min, finite.values())), max(map(max, finite.values()))
    ranges = {
        folder: f"{metric_text(values[0])} -> {metric_text(values[-1])}"
        f"  ({metric_text(min(values))} to {metric_text(max(values))})"
        for folder, values in finite.items()
    }
    name_width = max(map(len, curves))
    space = MAX_CURVE_CHARACTERS
    if width is not None:
        space = max(10, min(space, width - name_width - max(map(len, ranges.values())) - 6))
    bucket = -(-max(map(len, curves.values())) // space)
    drawn = {folder: curve(values, low, high, bucket, levels) for folder, values in curves.items()}
    curve_width = max(map(len, drawn.values()))
    return [f"  {folder.ljust(name_width)}  {drawn[folder].ljust(curve_width)}  {ranges[folder]}" for folder in curves]


# -- metrics by class --------------------------------------------------------------------------------------------------


def _class_tables(runs: Sequence[ComparedRun], color: bool, width: int | None) -> list[str]:
    """A table for each metric that is a list: one row a class, one column a run. A matrix has a table for each run."""
    metrics = {str(run.folder): _lists(run) for run in runs}
    labels = {str(run.folder): _labels(run) if metrics[str(run.folder)] else {} for run in runs}
    texts = []
    for name in dict.fromkeys(name for lists in metrics.values() for name in lists):
        found = {folder: lists[name] for folder, lists in metrics.items() if lists.get(name)}
        vectors = {folder: values for folder, values in found.items() if not isinstance(values[0], list)}
        if vectors:
            texts.append(_vector_table(name, vectors, labels, color, width))
        texts += [
            list_text(f"{name} of {folder}", values, _labels_of(labels[folder], name))
            for folder, values in found.items()
            if folder not in vectors
        ]
    return texts


def _vector_table(
    name: str,
    vectors: Mapping[str, list[Any]],
    labels: Mapping[str, AxisLabels],
    color: bool,
    width: int | None,
) -> str:
    columns = {}
    for folder, values in vectors.items():
        axes = _labels_of(labels[folder], name)
        names = list(axes[0]) if axes and len(axes[0]) == len(values) else [str(index) for index in range(len(values))]
        columns[folder] = dict(zip(names, values, strict=True))
    table = _table([name, *columns], len(columns))
    for label in dict.fromkeys(label for column in columns.values() for label in column):
        table.add_row(label, *(metric_text(column.get(label)) for column in columns.values()))
    return table.text(color, width)


def _lists(run: ComparedRun) -> dict[str, list[Any]]:
    """The metrics that are lists: on the test data as `test NAME`, else from the last epoch."""
    tests = {f"test {name}": value for name, value in run.test.items() if isinstance(value, list)}
    return tests or {name: value for name, value in run.figures.items() if isinstance(value, list)}


def _labels(run: ComparedRun) -> AxisLabels:
    try:
        return run.figure_labels()
    except (UsageError, CompileError):  # then the classes have numbers
        return {}


def _labels_of(labels: AxisLabels, name: str) -> Sequence[Sequence[str]]:
    return labels.get(name.removeprefix("test ").removeprefix("val_"), ())
