"""Fixes of names: none while the layers that exist are unknown, and after the fixes of types a new check."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonnx.pipeline.edit.fix_file import diagnostics_of, fix_text
from jsonnx.pipeline.validate.lint_spec import LintOptions
from jsonnx.pipeline.validate.validate import ValidationOptions, validate_spec

OPTIONS = ValidationOptions(lint_options=LintOptions(is_isolated=True))
CONVOLUTION = {"type": "Conv2D", "filters": 1, "kernel_size": 3, "padding": "same"}


def spec(**changes: Any) -> dict[str, Any]:
    """A spec with three convolutions without names; `second` is its second layer."""
    second = changes.pop("second", CONVOLUTION)
    training = {"loss": "mse", "data": {"train": "t.npz"}} | changes.pop("training", {})
    layers = [CONVOLUTION, second, CONVOLUTION]
    return {"inputs": {"x": {"shape": [8, 8, 1]}}, "layers": layers, "training": training} | changes


def fixed(document: dict[str, Any], *, unsafe: bool = False) -> dict[str, Any]:
    """The document after `lint --fix`."""

    def check(data: bytes) -> Any:
        return diagnostics_of(data, "s.json", lambda source: validate_spec(source, OPTIONS).diagnostics)

    result = fix_text(json.dumps(document, indent=2).encode(), "s.json", check, unsafe=unsafe).after
    return dict(json.loads(result))


WRONG_TYPES = {
    "misspelled": CONVOLUTION | {"type": "Cov2D"},
    "missing": {("typ" if key == "type" else key): value for key, value in CONVOLUTION.items()},
}
USES: dict[str, dict[str, Any]] = {
    "freeze": {"training": {"freeze": ["conv2d_2"]}},
    "learning_rates": {"training": {"learning_rates": {"conv2d_2": 0.1}}},
    "outputs": {"outputs": ["conv2d_2"]},
    "labels": {"outputs": ["conv2d_2"], "labels": {"conv2d_2": ["a"]}},
    "lint": {"lint": {"ignore": [{"code": "dropout-rate", "layers": ["conv2d_2"], "reason": "mine"}]}},
    "y": {"outputs": ["conv2d_2"], "training": {"data": {"train": "t.csv", "y": {"conv2d_2": "c"}}}},
    "loss_weights": {"outputs": ["conv2d_2"], "training": {"loss_weights": {"conv2d_2": 1.0}}},
    "loss": {"outputs": ["conv2d_2"], "training": {"loss": {"conv2d_2": "mse"}}},
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kind", WRONG_TYPES)
def test_the_fix_of_a_type_leaves_names_alone(kind: str, use: str) -> None:
    assert fixed(spec(second=WRONG_TYPES[kind], **USES[use])) == spec(**USES[use])


@pytest.mark.parametrize("names", [("conv_a", "conv_b"), ("stage1_conv", "stage2_conv")])
def test_a_layer_without_its_name_is_not_replaced_by_its_neighbour(names: tuple[str, str]) -> None:
    document = spec(outputs=[names[0], names[1]])
    document["layers"] = [CONVOLUTION, CONVOLUTION | {"name": names[1]}]
    assert fixed(document) == document


def test_other_numbers_are_no_safe_fix() -> None:
    wrong = spec(training={"freeze": ["conv2d_3"]})
    wrong["layers"] = wrong["layers"][:2]
    assert fixed(wrong) == wrong


def test_a_misspelled_name_is_corrected_after_the_type() -> None:
    wrong = spec(second=WRONG_TYPES["missing"], training={"freeze": ["encodr"]})
    wrong["layers"][0] = CONVOLUTION | {"name": "encoder"}
    right = spec(training={"freeze": ["encoder"]})
    right["layers"][0] = CONVOLUTION | {"name": "encoder"}
    assert fixed(wrong) == right


def test_a_reason_is_never_removed() -> None:
    idle = {"code": "dropout-rate", "reason": "the paper has it"}
    document = spec(lint={"ignore": [idle, "dropout-rate"]})
    for unsafe in (False, True):
        assert fixed(document, unsafe=unsafe)["lint"] == {"ignore": [idle]}
