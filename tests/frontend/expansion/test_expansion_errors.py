"""What is told of blocks, repetitions and expressions: one error a cause, and none where there is none."""

from __future__ import annotations

from typing import Any

import jsonnx
import pytest

DENSE = {"type": "Dense", "units": 4}


def faults(**more: Any) -> list[tuple[str, str]]:
    """The codes and paths of what is wrong with a spec."""
    spec: Any = {"inputs": {"x": {"shape": [4]}}, "layers": [DENSE], **more}
    return [(fault.code, fault.path) for fault in jsonnx.validate(spec)]


def test_a_block_that_stands_there_no_time_lacks_nothing() -> None:
    blocks = {"b": {"inputs": ["a"], "layers": [DENSE]}, "c": {"layers": [{"type": "b", "repeat": 0}, DENSE]}}
    assert faults(blocks=blocks, layers=[{"type": "c", "repeat": 0}, DENSE]) == []
    assert faults(blocks=blocks, layers=[{"type": "c", "repeat": 2}]) == []


def test_an_input_that_nothing_takes_is_told_where_the_block_is_used() -> None:
    blocks = {"b": {"inputs": ["a", "z"], "layers": [{**DENSE, "from": "a"}]}}
    layers = [DENSE, {"type": "b", "from": ["dense", "x"]}]
    assert faults(blocks=blocks, layers=layers) == [("unused-input", "$.blocks.b.inputs[1]")]


@pytest.mark.parametrize("name", ["index", "inputs"])
def test_a_parameter_of_a_wrong_name_is_not_also_unused(name: str) -> None:
    assert faults(parameters={name: 3}) == [("invalid-name", f"$.parameters.{name}")]


def test_a_parameter_of_a_wrong_value_is_not_also_unused() -> None:
    assert faults(parameters={"a": {"b": 1}}) == [("wrong-type", "$.parameters.a")]


def test_an_expression_that_fails_with_every_value_fails_once() -> None:
    blocks = {"b": {"parameters": {"k": 1}, "layers": [{**DENSE, "units": "${k // 0}"}]}}
    uses = [{"type": "b", "k": "${index}", "repeat": 30}, {"type": "b", "k": 7}]
    assert faults(blocks=blocks, layers=uses) == [("invalid-expression", "$.blocks.b.layers[0].units")]
    layers = [{**DENSE, "units": "${index // 0}", "repeat": 30}]
    assert faults(layers=layers) == [("invalid-expression", "$.layers[0].units")]
