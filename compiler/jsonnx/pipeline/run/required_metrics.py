"""Bounds that the metrics of an evaluation must keep, such as `accuracy>=0.97`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ...core.diagnostics import Diagnostic, UsageError, quoted_list, suggestion
from ...core.metric_values import MetricValue

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_BOUND = re.compile(r"\s*([^<>=!\s]+)\s*(<=|>=|<|>)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")
_BOUND_HELP = "write a metric, one of <= >= < >, and a number, in quotes: --require 'accuracy>=0.97'"


class MetricBound(NamedTuple):
    """A bound on a metric; on each number of a metric that is a list."""

    metric: str
    operator: str
    value: float
    text: str

    @staticmethod
    def parse(text: str) -> MetricBound:
        """Reads a bound. Raises UsageError."""
        match = _BOUND.fullmatch(text)
        if match is None:
            raise UsageError("bad-option", f"--require {text}: that is no bound", _BOUND_HELP)
        return MetricBound(match[1], match[2], float(match[3]), "".join(match.groups()))

    def holds(self, value: float) -> bool:
        """Whether a number keeps the bound; NaN keeps none."""
        return OPERATORS[self.operator](value, self.value)


def check_metrics(run: str, metrics: Mapping[str, MetricValue], bounds: Sequence[MetricBound]) -> list[Diagnostic]:
    """The bounds that the metrics of a run or a model do not keep. Raises UsageError for a metric that it lacks."""
    diagnostics = []
    for bound in bounds:
        if bound.metric not in metrics:
            message = f"--require {bound.text}: {run!r} has no metric {bound.metric!r}"
            help = suggestion(bound.metric, metrics) or f"its metrics are {quoted_list(metrics)}"
            raise UsageError("unknown-figure", message, help)
        numbers = dict(_numbers(bound.metric, metrics[bound.metric]))
        failing = {name: number for name, number in numbers.items() if not bound.holds(number)}
        if failing:
            name, number = next(iter(failing.items()))
            others = f" (and {len(failing) - 1} more of its {len(numbers)} numbers)" if len(failing) > 1 else ""
            message = f"{name} of {run!r} is {number:.6g}{others}, --require asks for {bound.text}"
            expected = f"{bound.operator} {bound.value:g}"
            diagnostics.append(Diagnostic("required-figure", message, expected=expected, found=f"{number:.6g}"))
    return diagnostics


def _numbers(name: str, metric: MetricValue) -> Iterator[tuple[str, float]]:
    """The numbers of a metric, by its name and their indexes."""
    if isinstance(metric, list):
        for index, item in enumerate(metric):
            yield from _numbers(f"{name}[{index}]", item)
    else:
        yield name, float("nan") if metric is None else float(metric)
