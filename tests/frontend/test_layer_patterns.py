"""Layers frozen, or slowed, by patterns of their names."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.core.diagnostics import Diagnostic
from jsonnx.pipeline.check import CheckedSpec, check_spec

NAMES = ("stem", "body_1", "body_2", "head")


def checked(**training: Any) -> CheckedSpec:
    layers: list[dict[str, Any]] = [{"type": "Dense", "name": name, "units": 4} for name in NAMES]
    layers.insert(3, {"use": "body_1", "name": "again"})
    document = {"inputs": {"x": {"shape": [4]}}, "layers": layers, "training": {"loss": "mse", **training}}
    return check_spec(document)


def frozen(**training: Any) -> list[str]:
    return [call.name for call in checked(**training).network.calls if not call.layer.trainable]


def faults(**training: Any) -> list[Diagnostic]:
    return checked(**training).diagnostics


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], []),
        (["stem"], ["stem"]),
        (["body_*"], ["body_1", "body_2", "again"]),
        (["body_?"], ["body_1", "body_2", "again"]),
        (["body_[!1]", "stem"], ["stem", "body_2"]),
        (["*"], ["stem", "body_1", "body_2", "again", "head"]),
    ],
)
def test_layers_are_frozen_by_pattern_wherever_they_are_called(patterns: list[str], expected: list[str]) -> None:
    assert frozen(freeze=patterns) == expected


def test_a_factor_goes_to_the_layers_that_a_pattern_matches_and_the_first_pattern_counts() -> None:
    network = checked(learning_rates={"body_1": 0.5, "body_*": 0.1}).network
    assert network.learning_rate_factors == {"body_1": 0.5, "body_2": 0.1}
    assert checked().network.learning_rate_factors == {}


def test_a_pattern_that_matches_nothing_is_an_error_with_the_nearest_name() -> None:
    (fault,) = faults(freeze=["stem", "boby_1"])
    assert (fault.code, fault.path, fault.help) == ("unknown-name", "$.training.freeze[1]", "did you mean 'body_1'?")
    (fault,) = faults(learning_rates={"tail*": 0.1})
    assert (fault.code, fault.path) == ("unknown-name", "$.training.learning_rates['tail*']")
    (fault,) = faults(weights={"file": "w.npz", "layers": ["tail*"]})
    assert (fault.code, fault.path) == ("unknown-name", "$.training.weights.layers[0]")


def test_case_counts() -> None:
    assert [fault.code for fault in faults(freeze=["Stem"])] == ["unknown-name"]


def test_a_pattern_that_means_only_another_call_of_a_layer_is_told_which_layer() -> None:
    (fault,) = faults(freeze=["again"])
    assert fault.help == "name the layer that it uses: 'body_1'"


def test_a_factor_that_never_counts_is_an_error() -> None:
    (fault,) = faults(learning_rates={"*": 0.1, "head": 1})
    assert (fault.code, fault.path) == ("invalid-value", "$.training.learning_rates.head")


@pytest.mark.parametrize("factor", [0, -1, "0.1", None, 1e7])
def test_a_factor_is_a_number_above_0(factor: Any) -> None:
    (fault,) = faults(learning_rates={"head": factor})
    assert fault.path == "$.training.learning_rates.head"


def test_patterns_that_a_regular_expression_would_choke_on_take_no_time() -> None:
    assert [fault.code for fault in faults(freeze=["*a" * 2000, "[", "**"])] == ["unknown-name"] * 2
