"""The page of a search: a chart for each parameter, and the table of trials."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from jsonnx.hyperparameter_search.space import Space
from jsonnx.hyperparameter_search.trials import FAILED, FINISHED, SweepView, Trial
from jsonnx.render.results.sweep_page import sweep_page
from jsonnx.sections.sweep_section import SweepSection

SPACE = Space.of(
    SweepSection(
        parameters={
            "width": {"choice": [8, 16, 64]},
            "kind": {"choice": ["<a>", [1, 2]]},
            "rate": {"log_range": [1e-4, 1e-2]},
            "extra": {"range": [0.0, 1.0], "when": {"kind": "<a>"}},
        },
        trials=9,
    )
)


def page(trials: list[Trial]) -> str:
    return sweep_page("a & b", SweepView(trials, [], 9, "val_loss", False), SPACE, '{"a": 1}\n')


def finished(number: int, value: float, **values: Any) -> Trial:
    return Trial(number, values, "", state=FINISHED, value=value, told=number)


def circles(text: str) -> dict[str, list[tuple[float, float]]]:
    """The positions of the trials in each chart, by its label."""
    charts = [ElementTree.fromstring(chart) for chart in re.findall("<svg.*?</svg>", text, re.DOTALL)]
    return {
        chart.attrib["aria-label"]: [
            (float(item.attrib["cx"]), float(item.attrib["cy"])) for item in chart.iter("circle")
        ]
        for chart in charts
    }


def test_a_chart_has_the_metric_by_each_parameter() -> None:
    trials = [
        finished(1, 0.5, width=8, kind="<a>", rate=1e-4, extra=0.5),
        finished(2, 0.1, width=64, kind=[1, 2], rate=1e-3),
        Trial(3, {"width": 16}, "", state=FAILED, told=3, reasons=["<none>"]),
        finished(4, 0.3, width=16, kind=[1, 2], rate=1e-2),
    ]
    charts = circles(page(trials))
    assert [*charts] == [f"val_loss by {name}" for name in ("trial", "width", "kind", "rate", "extra")]
    (low, first), (high, third), (middle, second) = charts["val_loss by rate"]  # the best is the last one
    assert middle - low == high - middle > 0  # the logarithm is distributed evenly
    assert first < third < second  # from the top: the greatest value is first
    assert [len(points) for points in charts.values()] == [3, 3, 3, 3, 1]
    assert "failed: &lt;none&gt;" in page(trials)
    assert page(trials).count('class="best"') == 4


def test_a_record_with_values_outside_of_the_space_has_a_page() -> None:
    values = {"width": None, "kind": 5, "rate": "low", "extra": -1}
    charts = circles(page([finished(1, 0.5, **values), finished(2, 0.5, rate=-1.0)]))
    assert [len(points) for points in charts.values()] == [2, 0, 1, 2, 1]


def test_a_search_without_a_finished_trial_has_no_charts() -> None:
    text = page([Trial(1, {"width": 8}, "", state=FAILED, told=1, reasons=["none"])])
    assert "<svg" not in text
    assert "At least 10 trials must have finished." in text


def labels(text: str) -> dict[str, list[str]]:
    """The labels of the axes of each chart; those of the metric are first."""
    charts = [ElementTree.fromstring(chart) for chart in re.findall("<svg.*?</svg>", text, re.DOTALL)]
    return {chart.attrib["aria-label"]: [item.text or "" for item in chart.iter("text")][:-1] for chart in charts}


def test_the_labels_of_an_axis_are_values_that_fit_beside_it() -> None:
    trials = [finished(number, 14_600.0 * number, width=8 if number < 4 else 64) for number in (1, 2, 4)]
    metric = ["14,600", "36,500", "58,400"]
    assert labels(page(trials)) == {
        "val_loss by trial": [*metric, "1", "2", "4"],
        "val_loss by width": [*metric, "8", "64"],
        "val_loss by kind": metric,
        "val_loss by rate": metric,
        "val_loss by extra": metric,
    }


def test_equal_values_have_one_label() -> None:
    found = labels(page([finished(number, 0.6, rate=1e-4) for number in (1, 2)]))
    assert found["val_loss by rate"] == ["0.6", "0.0001"]


def test_values_that_differ_in_late_digits_have_different_labels() -> None:
    found = labels(page([finished(number, 0.6 + number * 1e-7) for number in (1, 3)]))
    assert found["val_loss by trial"][:3] == ["0.6000001", "0.6000002", "0.6000003"]
