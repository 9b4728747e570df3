"""Unused layers are found behind other errors, also in blocks and next to layers that add a loss."""

from __future__ import annotations

from typing import Any

import jsonnx
import pytest

DENSE: dict[str, Any] = {"type": "Dense", "units": 1}
HEADS: dict[str, Any] = {
    "inputs": ["a"],
    "layers": [{**DENSE, "name": "h", "from": "a"}, {**DENSE, "name": "m", "from": "a"}],
    "outputs": ["h", "m"],
}
USES = [
    {"type": "heads", "name": "u", "from": "x"},
    {"type": "heads", "name": "v", "from": "u.h"},
    {"type": "Concatenate", "name": "c", "from": ["v.h", "v.m"]},
]


def errors(layers: list[Any], block: dict[str, Any] = HEADS, **more: Any) -> list[tuple[str, str]]:
    """The code and path of each error of a spec whose second use of a block needs a result that the first does not."""
    spec = {"inputs": {"x": {"shape": [4]}}, "blocks": {"heads": block}, "layers": [*USES, *layers], **more}
    return [(item.code, item.path) for item in jsonnx.validate(spec) if item.severity == "error"]


def notes(layers: list[Any]) -> list[str]:
    spec = {"inputs": {"x": {"shape": [4]}}, "blocks": {"heads": HEADS}, "layers": [*USES, *layers]}
    return [item.message for item in jsonnx.validate(spec) if item.severity == "note"]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([], []),
        ([{**DENSE, "units": 0}], [("out-of-range", "$.layers[3].units")]),
        ([{**DENSE, "from": "cc"}], [("unknown-name", "$.layers[3].from")]),
        (
            [{**DENSE, "from": "c"}, {**DENSE, "units": 0, "from": "c"}],
            [("out-of-range", "$.layers[4].units"), ("unused-layer", "$.layers[3]")],
        ),
    ],
)
def test_a_result_that_only_one_use_of_a_block_needs_is_no_error(
    layers: list[Any], expected: list[tuple[str, str]]
) -> None:
    assert sorted(errors(layers)) == expected


def test_a_layer_that_is_left_out_is_not_listed_as_unchecked() -> None:
    assert notes([{**DENSE, "units": 0}, DENSE]) == [
        "not checked: the shape of 'dense_1', since the shape of 'dense' is unknown"
    ]


def test_a_layer_that_only_an_added_loss_takes_is_used() -> None:
    block = {**HEADS, "layers": [*HEADS["layers"], {"type": "AddLoss", "name": "loss", "from": "m"}]}
    assert errors([], block, training={"optimizer": "adam"}) == []


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"type": "AddLoss"}, []),
        ({"type": "AddLoss", "weight": "1"}, ["wrong-type"]),
        ({"type": "AddLos"}, ["unknown-type"]),
    ],
)
def test_an_added_loss_with_an_error_is_neither_unused_nor_missing(entry: dict[str, Any], expected: list[str]) -> None:
    codes = [code for code, _ in errors([{**entry, "from": "c"}, {**DENSE, "from": "c"}], training={})]
    assert codes == expected


def test_a_missing_loss_is_reported_with_other_errors() -> None:
    assert ("missing-key", "$.training") in errors([{**DENSE, "units": 0}], training={"epochs": 0})
    assert errors([], training={"los": "mse"}) == [("unknown-key", "$.training.los")]


def test_a_block_with_an_error_may_contain_the_loss() -> None:
    block = {**HEADS, "layers": [*HEADS["layers"], {"type": "AddLoss", "name": "loss", "from": "m"}], "output": 1}
    assert [code for code, _ in errors([], block, training={})] == ["unknown-key"]


def test_what_is_of_no_use_without_a_loss_is_reported_once() -> None:
    training = {"loss_weights": {"y": 2}, "metrics": {"y": ["mse"]}}
    layers = [{"type": "AddLoss", "from": "c"}, {**DENSE, "name": "y", "from": "c"}]
    found = errors(layers, training=training)
    assert found == [("unknown-name", "$.training.loss_weights"), ("metric-mismatch", "$.training.metrics")]


LEFT_OUT = {"type": "Add", "name": "c", "if": "${deep}"}
"""An entry that is left out, and stands for its first source."""


@pytest.mark.parametrize("in_block", [False, True])
def test_a_layer_that_only_an_entry_left_out_would_take_is_reported_with_that_entry(in_block: bool) -> None:
    layers = [{**DENSE, "name": "b"}, {**LEFT_OUT, "from": ["x", "b"]}, {**DENSE, "name": "d"}]
    spec: dict[str, Any] = {"inputs": {"x": {"shape": [4]}}, "parameters": {"deep": False}, "layers": layers}
    if in_block:
        block = {"globals": ["deep"], "inputs": ["x"], "layers": layers}
        spec |= {"blocks": {"part": block}, "layers": [{"type": "part", "name": "p"}]}
    (error,) = jsonnx.validate(spec)
    path = "$.blocks.part.layers" if in_block else "$.layers"
    assert (error.code, error.path) == ("unused-layer", f"{path}[0]")
    assert "'c' is left out here, and stands for 'x' alone" in [note.message for note in error.notes]
    assert error.help == "put first in `from` what remains, or leave this layer out as well"
    layers[1]["from"] = ["b", "x"]
    assert [item for item in jsonnx.validate(spec) if item.severity == "error"] == []
