"""Sorts and filters runs by columns: what a run is, its metrics, its parameters, and values of its spec."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ...core.diagnostics import CompileError, UsageError, quoted_or_list, suggestion
from ...core.metric_values import numbers_only
from ...core.natural_order import natural_key
from ..run_folder.run import Run

COLUMNS: dict[str, Callable[[Run], Any]] = {
    "run": lambda run: str(run.folder),
    "state": lambda run: run.state,
    "spec": lambda run: run.spec_file,
    "started": lambda run: run.started,
    "duration": lambda run: run.seconds,
    "epochs": lambda run: run.epochs,
    "best": lambda run: run.best and run.best["value"],
    "best_epoch": lambda run: run.best and run.best["epoch"],
    "seed": lambda run: run.seed,
    "provider": lambda run: run.provider,
    "scale": lambda run: run.scale,
}
TEST_PREFIX = "test_"
"""Before the names of metrics on the test data."""

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(rf"\s*(.+?)\s*({'|'.join(OPERATORS)})\s*([^<>=!\s].*?)\s*", re.DOTALL)
_CONDITION_HELP = "write COLUMN, one of < <= > >= = !=, and a value, such as --where 'val_accuracy>0.9'"


class Condition(NamedTuple):
    """A comparison of a column with a value."""

    column: str
    operator: str
    value: Any

    def holds(self, value: Any) -> bool:
        """Whether it holds for the value of a run. Values of different kinds only differ."""
        if type(value) is bool or type(self.value) is bool:
            is_comparable = type(value) is type(self.value) and self.operator in ("=", "==", "!=")
        else:
            is_comparable = any(
                isinstance(value, kind) and isinstance(self.value, kind) for kind in ((int, float), str)
            )
        if not is_comparable:
            return self.operator == "!=" and value is not None
        return OPERATORS[self.operator](value, self.value)


def parse_condition(text: str) -> Condition:
    """A condition such as `val_accuracy>0.9`. A value that is not JSON is a text. Raises UsageError."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UsageError("bad-option", f"--where {text}: that is no condition", _CONDITION_HELP)
    column, name, value = match.groups()
    try:
        return Condition(column, name, json.loads(value))
    except (ValueError, RecursionError):
        return Condition(column, name, value)


def column_value(run: Run, name: str) -> Any:
    """The value of a run in a column; None if it has none.

    A column is one of COLUMNS, a metric of the epoch whose weights the model has, `test_` and a metric on the test
    data, a parameter of the spec, or the path of a value in the spec, such as `training.optimizer.learning_rate`.
    """
    if name in COLUMNS:
        return COLUMNS[name](run)
    metrics = numbers_only(run.model_figures)
    if name in metrics:
        return metrics[name]
    tests = numbers_only(run.test)
    if name.startswith(TEST_PREFIX) and name.removeprefix(TEST_PREFIX) in tests:
        return tests[name.removeprefix(TEST_PREFIX)]
    if name in run.parameters:
        return run.parameters[name]
    return _spec_value(run, name)


def known_columns(runs: Sequence[Run]) -> list[str]:
    """The columns of runs, apart from the values of their specs."""
    metrics = [name for run in runs for name in numbers_only(run.figures)]
    tests = [TEST_PREFIX + name for run in runs for name in numbers_only(run.test)]
    return [*dict.fromkeys([*COLUMNS, *metrics, *tests, *(name for run in runs for name in run.parameters)])]


def _spec_value(run: Run, path: str) -> Any:
    try:
        value: Any = run.spec
    except (UsageError, CompileError):
        return None
    for step in path.removeprefix("spec.").split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def selected_runs(runs: Sequence[Run], conditions: Sequence[Condition]) -> list[Run]:
    """The runs for which all conditions hold. Raises UsageError for a column that no run has."""
    for condition in conditions:
        _require_column(runs, condition.column, f"--where {condition.column}")
    return [
        run for run in runs if all(condition.holds(column_value(run, condition.column)) for condition in conditions)
    ]


def sorted_runs(runs: Sequence[Run], key: str) -> list[Run]:
    """The runs in the order of a column; with `-` before it, the greatest first. Runs without a value are last.

    Raises UsageError for a column that no run has.
    """
    name = key.removeprefix("-")
    _require_column(runs, name, f"--sort {key}")
    values = {id(run): _sort_key(column_value(run, name)) for run in runs}
    with_value = [run for run in runs if values[id(run)] is not None]
    without_value = [run for run in runs if values[id(run)] is None]
    return sorted(with_value, key=lambda run: values[id(run)], reverse=key.startswith("-")) + without_value


def _sort_key(value: Any) -> Any:
    """Numbers come before texts, and these before other values of a spec; None for no value."""
    if value is None:
        return None
    if isinstance(value, (int, float)):
        return 0, value
    return (1, natural_key(value)) if isinstance(value, str) else (2, json.dumps(value))


def _require_column(runs: Sequence[Run], name: str, option: str) -> None:
    if runs and name not in COLUMNS and all(column_value(run, name) is None for run in runs):
        known = known_columns(runs)
        if name in known:
            return
        help = suggestion(name, known) or f"known: {quoted_or_list(known)}, and paths in the spec"
        raise UsageError("bad-option", f"{option}: there is no such column", help)
