"""Patterns of layer names in `freeze`, `learning_rates` and `weights`."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx.core.diagnostics import Diagnostic
from jsonnx.lowering.lower import lower
from jsonnx.pipeline.check.check import CheckedSpec, check_spec

NAMES = ("stem", "body_1", "body_2", "head")


def checked(**training: Any) -> CheckedSpec:
    layers: list[dict[str, Any]] = [{"type": "Dense", "name": name, "units": 4} for name in NAMES]
    layers.insert(3, {"use": "body_1", "name": "again"})
    document = {"inputs": {"x": {"shape": [4]}}, "layers": layers, "training": {"loss": "mse", **training}}
    return check_spec(document)


def frozen(**training: Any) -> list[str]:
    return [call.name for call in checked(**training).network.calls if not call.layer.trainable]


def diagnostics(**training: Any) -> list[Diagnostic]:
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
def test_all_calls_of_matching_layers_are_frozen(patterns: list[str], expected: list[str]) -> None:
    assert frozen(freeze=patterns) == expected


def test_the_first_matching_pattern_sets_the_learning_rate_factor() -> None:
    network = checked(learning_rates={"body_1": 0.5, "body_*": 0.1}).network
    assert network.learning_rate_factors == {"body_1": 0.5, "body_2": 0.1}
    assert checked().network.learning_rate_factors == {}


def test_a_pattern_without_a_match_is_an_error_that_suggests_a_similar_name() -> None:
    (diagnostic,) = diagnostics(freeze=["stem", "boby_1"])
    assert (diagnostic.code, diagnostic.path, diagnostic.help) == (
        "unknown-name",
        "$.training.freeze[1]",
        "did you mean 'body_1'?",
    )
    (diagnostic,) = diagnostics(learning_rates={"tail*": 0.1})
    assert (diagnostic.code, diagnostic.path) == ("unknown-name", "$.training.learning_rates['tail*']")
    (diagnostic,) = diagnostics(weights={"file": "w.npz", "layers": ["tail*"]})
    assert (diagnostic.code, diagnostic.path) == ("unknown-name", "$.training.weights.layers[0]")


def test_patterns_are_case_sensitive() -> None:
    assert [diagnostic.code for diagnostic in diagnostics(freeze=["Stem"])] == ["unknown-name"]


def test_a_pattern_that_matches_only_a_use_is_an_error_that_names_the_layer() -> None:
    (diagnostic,) = diagnostics(freeze=["again"])
    assert diagnostic.help == "name the layer that it uses: 'body_1'"


def test_a_pattern_without_effect_is_an_error() -> None:
    (diagnostic,) = diagnostics(learning_rates={"*": 0.1, "head": 1})
    assert (diagnostic.code, diagnostic.path) == ("invalid-value", "$.training.learning_rates.head")


@pytest.mark.parametrize("factor", [0, -1, "0.1", None, 1e7])
def test_a_factor_must_be_a_positive_number(factor: Any) -> None:
    (diagnostic,) = diagnostics(learning_rates={"head": factor})
    assert diagnostic.path == "$.training.learning_rates.head"


def test_patterns_with_many_wildcards_take_linear_time() -> None:
    assert [diagnostic.code for diagnostic in diagnostics(freeze=["*a" * 2000, "[", "**"])] == ["unknown-name"] * 2


@pytest.mark.parametrize(
    ("training", "path"),
    [
        ({"freeze": ["*"] * 1001}, "$.training.freeze"),
        ({"learning_rates": {f"a{index}": 1 for index in range(1001)}}, "$.training.learning_rates"),
        ({"weights": {"file": "w.safetensors", "layers": ["*"] * 1001}}, "$.training.weights.layers"),
    ],
)
def test_each_pattern_costs_a_comparison_with_all_names_so_their_number_is_limited(
    training: dict[str, Any], path: str
) -> None:
    (diagnostic,) = diagnostics(**training)
    assert (diagnostic.code, diagnostic.path) == ("too-large", path)
    assert diagnostic.message == "there are 1,001 patterns, the limit is 1,000"


@pytest.mark.parametrize(
    ("patterns", "trained"),
    [
        (["*/kernel"], ["stem/bias", "body_1/bias", "body_2/bias", "head/bias"]),
        (["*", "!head/*"], ["head/kernel", "head/bias"]),
        (["*", "!head/bias"], ["head/bias"]),
        (["stem", "body_*", "head/*", "!*/bias"], ["stem/bias", "body_1/bias", "body_2/bias", "head/bias"]),
        (["*/*", "!stem"], ["stem/kernel", "stem/bias"]),
    ],
)
def test_single_weights_are_frozen_and_left_out(patterns: list[str], trained: list[str]) -> None:
    parameters = lower(checked(freeze=patterns).require()).parameters
    assert [name for name, parameter in parameters.items() if parameter.trainable] == trained


def test_a_pattern_that_matches_no_weight_is_an_error() -> None:
    (diagnostic,) = diagnostics(freeze=["*", "!head/kernell"])
    found = diagnostic.code, diagnostic.path, diagnostic.help
    assert found == ("unknown-name", "$.training.freeze[1]", "did you mean 'head/kernel'?")


def test_a_warning_says_that_patterns_freeze_all_weights() -> None:
    (diagnostic,) = diagnostics(freeze=["*/kernel", "*/bias"])
    assert (diagnostic.code, diagnostic.severity) == ("nothing-trains", "warning")
