"""Costs by formulas are those of the graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonnx.analysis.layer_costs import FORMULAS, WITHOUT_COST, formula_costs
from jsonnx.lowering.cost import cost_table
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.graphs import costed_graph
from unit.layers.cases import Case, all_cases

SAMPLES = Path(__file__).parents[3] / "samples"

CASES = [case for case in all_cases() if case.layer["type"] in FORMULAS or case.layer["type"] in WITHOUT_COST]


def spec_of(case: Case) -> dict[str, Any]:
    inputs = {f"input_{index}": {"shape": list(shape), "dtype": case.dtype} for index, shape in enumerate(case.inputs)}
    return {"inputs": inputs, "layers": [{**case.layer, "from": [*inputs]}]}


def assert_equal_costs(spec: Any, may_be_unknown: bool) -> None:
    checked = check_spec(spec)
    costs = formula_costs(checked.require())
    if may_be_unknown and costs is None:
        return
    assert costs is not None
    rows = cost_table(checked.require(), costed_graph(checked))
    assert {name: tuple(cost) for name, cost in costs.items()} == {
        row.name: (row.parameters, row.macs.constant) for row in rows
    }


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_a_formula_counts_what_the_graph_has(case: Case) -> None:
    assert_equal_costs(spec_of(case), may_be_unknown=True)


def test_every_formula_is_compared_with_a_case() -> None:
    known = {case.layer["type"] for case in CASES if formula_costs(check_spec(spec_of(case)).require()) is not None}
    assert known == {*FORMULAS, *WITHOUT_COST}


@pytest.mark.parametrize("sample", ["mnist_cnn", "mnist_mlp", "resnet50"])
def test_samples_have_formulas_alone(sample: str) -> None:
    assert_equal_costs(json.loads((SAMPLES / f"{sample}.json").read_text()), may_be_unknown=False)


def test_weights_of_a_shared_layer_count_once() -> None:
    layers = [{"type": "Dense", "name": "a", "units": 4}, {"use": "a", "name": "again"}]
    assert_equal_costs({"inputs": {"x": {"shape": [4]}}, "layers": layers}, may_be_unknown=False)


def test_symbolic_sizes_and_other_layers_have_no_formula() -> None:
    dense = {"type": "Dense", "units": 4}
    assert formula_costs(check_spec({"inputs": {"x": {"shape": ["n", 3]}}, "layers": [dense]}).require()) is None
    lstm = {"type": "LSTM", "units": 4}
    assert formula_costs(check_spec({"inputs": {"x": {"shape": [5, 3]}}, "layers": [dense, lstm]}).require()) is None
