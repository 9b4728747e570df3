"""A repetition that comes to one copy is wired like one of several."""

from __future__ import annotations

from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.pipeline.check.check import check_spec

DENSE: dict[str, Any] = {"type": "Dense", "units": 4}


def spec(*layers: Any, **more: Any) -> dict[str, Any]:
    return {"inputs": {"x": {"shape": [4]}}, "layers": [*layers], **more}


def calls(document: dict[str, Any]) -> list[tuple[str, str, tuple[str, ...]]]:
    network = check_spec(document).network
    return [(call.name, call.layer.type_name, call.sources) for call in network.calls if call.layer]


def error_codes(document: dict[str, Any]) -> list[str]:
    return [item.code for item in jsonnx.validate(document) if item.severity == "error"]


@pytest.mark.parametrize("kind", ["Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply"])
def test_a_pattern_matches_a_single_copy_which_needs_no_merging(kind: str) -> None:
    merge = {"type": kind, "name": "sum", "from": ["d_*"], "trainable": False}
    document = spec({**DENSE, "name": "d", "repeat": 1}, merge)
    assert calls(document) == [("d", "Dense", ("x",)), ("sum", "Identity", ("d",))]
    assert jsonnx.compile(document).session().run(np.ones((2, 4), "float32")).keys() == {"sum"}


def test_the_layer_has_the_default_name_that_it_has_of_several_copies() -> None:
    layers = [{**DENSE, "name": "d", "repeat": "${n}"}, {"type": "Add", "from": ["d_*"]}]
    for n in (1, 2):
        document = spec(*layers, {"type": "Add", "from": ["add", "x"]}, parameters={"n": n})
        assert [name for name, _, _ in calls(document)][-2:] == ["add", "add_1"]


def test_a_pattern_matches_the_results_of_a_single_copy_of_a_block() -> None:
    block = {"layers": [DENSE, {**DENSE, "name": "skip", "from": "dense"}], "outputs": ["dense", "skip"]}
    layers = [{"type": "b", "name": "s", "repeat": 1}, {"type": "Concatenate", "name": "c", "from": ["s_*.skip", "x"]}]
    assert calls(spec(*layers, blocks={"b": block}))[-1] == ("c", "Concatenate", ("s_skip", "x"))


def test_one_copy_side_by_side_needs_no_merging() -> None:
    copies = {**DENSE, "name": "d", "repeat": 1, "chain": False}
    assert calls(spec(copies, {"type": "Add"}))[-1] == ("add", "Identity", ("d_1",))
    assert calls(spec(copies, {"type": "Add", "from": "d"}))[-1] == ("add", "Identity", ("d_1",))


def test_a_name_with_the_number_of_the_copy_comes_before_it() -> None:
    named = {**DENSE, "name": "d_1", "from": "x"}
    document = spec({**DENSE, "name": "d", "repeat": 1}, named, {"type": "Add", "from": ["d_*", "x"]})
    assert error_codes(document) == ["unused-layer"]
    assert error_codes(spec({**DENSE, "name": "d"}, {"type": "Add", "from": ["d_*", "x"]})) == ["unknown-name"]


def test_a_single_value_named_by_hand_is_an_error_and_so_are_wrong_arguments() -> None:
    copy = {**DENSE, "name": "d", "repeat": 1}
    assert error_codes(spec(copy, {"type": "Add", "from": ["d"]})) == ["wrong-inputs"]
    assert error_codes(spec(copy, {"type": "Subtract", "from": ["d_*"]})) == ["wrong-inputs"]
    assert error_codes(spec(copy, {"type": "Add", "from": ["d_*"], "axis": 1})) == ["unknown-key"]
