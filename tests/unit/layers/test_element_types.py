"""Inputs of every element type: a layer reports that it does not take one, or its model loads."""

from __future__ import annotations

import pytest
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.compile import compile_checked
from unit.layers.cases import Case, all_cases

DTYPES = ("string", "bool", "uint8", "int8", "int16", "int32", "uint32", "int64", "uint64")


@pytest.mark.costly(30)
@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_models_of_the_element_types_that_a_layer_takes_can_be_loaded(case: Case) -> None:
    names = [f"x{index}" for index in range(len(case.inputs))]
    for dtype in DTYPES:
        inputs = {name: {"shape": [*shape], "dtype": dtype} for name, shape in zip(names, case.inputs, strict=True)}
        checked = check_spec({"inputs": inputs, "layers": [{**case.layer, "name": "layer", "from": names}]})
        if all(diagnostic.severity != "error" for diagnostic in checked.diagnostics):
            compile_checked(checked).session()


def test_text_cannot_be_padded_by_zeros() -> None:
    layer = {"type": "ZeroPadding1D"}
    checked = check_spec({"inputs": {"x": {"shape": [3, 2], "dtype": "string"}}, "layers": [layer]})
    assert [diagnostic.code for diagnostic in checked.diagnostics] == ["shape-mismatch"]
