"""The values of ranges and choices, conditions, and grids."""

from __future__ import annotations

from math import log10
from typing import Any

import pytest
from jsonnx.hyperparameter_search.space import Space, space_errors
from jsonnx.sections.sweep_section import SweepSection


def space(parameters: dict[str, Any], **keys: Any) -> Space:
    section = SweepSection(parameters=parameters, **({"trials": 10} | keys))
    assert not space_errors(section)
    return Space.of(section)


def domain(entry: dict[str, Any]) -> Any:
    return space({"x": entry}).dimensions[0].domain


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"choice": ["a", None, [1]]}, ["a", "a", None, [1], [1]]),
        ({"range": [1, 5]}, [1, 2, 3, 5, 5]),
        ({"range": [1.0, 5]}, [1.0, 1.8, 3.0, 4.2, 4.96]),
        ({"range": [0.1, 0.5], "step": 0.2}, [0.1, 0.1, 0.3, 0.5, 0.5]),
        ({"range": [0, 9], "step": 4}, [0, 0, 4, 8, 8]),
        ({"log_range": [1e-4, 1.0]}, [0.0001, 0.000630957, 0.01, 0.158489, 0.912011]),
        ({"log_range": [1, 1000]}, [1, 2, 22, 219, 927]),
    ],
)
def test_a_position_gives_a_value(entry: dict[str, Any], expected: list[Any]) -> None:
    values = [domain(entry).at(position) for position in (0.0, 0.2, 0.5, 0.8, 0.99)]
    assert values == expected
    assert list(map(type, values)) == list(map(type, expected))


def test_integers_of_a_range_are_equally_likely() -> None:
    counts = dict.fromkeys(range(2, 6), 0)
    for index in range(400):
        counts[domain({"range": [2, 5]}).at(index / 400)] += 1
    assert set(counts.values()) == {100}


def test_the_logarithm_is_distributed_evenly() -> None:
    values = [log10(domain({"log_range": [1e-4, 1.0]}).at(index / 100)) for index in range(100)]
    assert values == pytest.approx([-4 + 4 * index / 100 for index in range(100)], abs=1e-5)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"choice": [3, 1]}, [3, 1]),
        ({"range": [1, 4]}, [1, 2, 3, 4]),
        ({"range": [1, 4], "points": 2}, [1, 4]),
        ({"range": [0.0, 0.3], "step": 0.1}, [0.0, 0.1, 0.2, 0.3]),
        ({"range": [0.0, 1.0], "points": 3}, [0.0, 0.5, 1.0]),
        ({"log_range": [1e-4, 1e-2], "points": 3}, [1e-4, 1e-3, 1e-2]),
        ({"log_range": [1, 4], "points": 10}, [1, 2, 3, 4]),
    ],
)
def test_the_values_of_a_grid(entry: dict[str, Any], expected: list[Any]) -> None:
    assert domain(entry).grid() == expected


def test_the_ends_of_a_range_and_values_between_them_are_checked() -> None:
    candidates = domain({"range": [1, 9]}).candidates()
    assert [(item.value, item.path) for item in candidates] == [
        (1, ("range", 0)),
        (9, ("range", 1)),
        (3, ("range",)),
        (5, ("range",)),
        (7, ("range",)),
    ]


CONDITIONAL = {
    "momentum": {"range": [0.0, 0.9], "points": 2, "when": {"optimizer": "sgd"}},
    "optimizer": {"choice": ["sgd", "adam"]},
    "nesterov": {"choice": [True, False], "when": {"momentum": [0.9]}},
}


def test_a_parameter_is_set_under_its_condition_only() -> None:
    combinations = space(CONDITIONAL, sampler="grid").grid(100)
    assert combinations == [
        {"momentum": 0.0, "optimizer": "sgd"},
        {"momentum": 0.9, "optimizer": "sgd", "nesterov": True},
        {"momentum": 0.9, "optimizer": "sgd", "nesterov": False},
        {"optimizer": "adam"},
    ]
    assert [list(item) for item in combinations][1] == ["momentum", "optimizer", "nesterov"]


def test_a_value_is_checked_with_values_that_its_conditions_need() -> None:
    conditional = space(CONDITIONAL)
    nesterov = next(item for item in conditional.dimensions if item.name == "nesterov")
    values = conditional.with_conditions(nesterov, True)
    assert values == {"optimizer": "sgd", "momentum": 0.9, "nesterov": True}


def test_true_is_not_one() -> None:
    conditional = space({"a": {"choice": [1, True]}, "b": {"choice": [5], "when": {"a": True}}}, sampler="grid")
    assert conditional.grid(10) == [{"a": 1}, {"a": True, "b": 5}]


def test_a_grid_is_cut_off_without_being_built() -> None:
    parameters = {f"p{index}": {"range": [0, 999]} for index in range(10)}
    assert len(space(parameters, sampler="grid").grid(7)) == 7
    (error,) = space_errors(SweepSection(parameters=parameters, sampler="grid"))
    assert error.message == "the grid has more than 100,000 combinations"
