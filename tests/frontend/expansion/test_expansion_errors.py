"""Diagnostics of blocks, repetitions and expressions: one error per cause, and no false ones."""

from __future__ import annotations

from typing import Any

import jsonnx
import pytest

DENSE = {"type": "Dense", "units": 4}


def errors(**more: Any) -> list[tuple[str, str]]:
    """Returns the codes and paths of the diagnostics of a spec."""
    spec: Any = {"inputs": {"x": {"shape": [4]}}, "layers": [DENSE], **more}
    return [(diagnostic.code, diagnostic.path) for diagnostic in jsonnx.validate(spec)]


def test_a_block_repeated_0_times_has_no_errors() -> None:
    blocks = {"b": {"inputs": ["a"], "layers": [DENSE]}, "c": {"layers": [{"type": "b", "repeat": 0}, DENSE]}}
    assert errors(blocks=blocks, layers=[{"type": "c", "repeat": 0}, DENSE]) == []
    assert errors(blocks=blocks, layers=[{"type": "c", "repeat": 2}]) == []


def test_an_unused_input_of_a_used_block_is_an_error() -> None:
    blocks = {"b": {"inputs": ["a", "z"], "layers": [{**DENSE, "from": "a"}]}}
    layers = [DENSE, {"type": "b", "from": ["dense", "x"]}]
    assert errors(blocks=blocks, layers=layers) == [("unused-input", "$.blocks.b.inputs[1]")]


@pytest.mark.parametrize("name", ["index", "inputs"])
def test_a_parameter_with_an_invalid_name_is_not_also_reported_as_unused(name: str) -> None:
    assert errors(parameters={name: 3}) == [("invalid-name", f"$.parameters.{name}")]


def test_a_parameter_with_an_invalid_value_is_not_also_reported_as_unused() -> None:
    assert errors(parameters={"a": {"b": 1}}) == [("wrong-type", "$.parameters.a")]


def test_an_expression_that_fails_for_every_value_is_reported_once() -> None:
    blocks = {"b": {"parameters": {"k": 1}, "layers": [{**DENSE, "units": "${k // 0}"}]}}
    uses = [{"type": "b", "k": "${index}", "repeat": 30}, {"type": "b", "k": 7}]
    assert errors(blocks=blocks, layers=uses) == [("invalid-expression", "$.blocks.b.layers[0].units")]
    layers = [{**DENSE, "units": "${index // 0}", "repeat": 30}]
    assert errors(layers=layers) == [("invalid-expression", "$.layers[0].units")]
