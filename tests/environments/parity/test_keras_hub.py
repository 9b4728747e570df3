"""Compares layers with results of KerasHub that were recorded by `sh tests/environments/parity/run.sh keras_hub`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonnx
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from keras_hub_cases import CASES, FIXTURE, HubCase

RECORDED = json.loads(FIXTURE.read_text())


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_outputs_equal_those_of_keras_hub(case: HubCase, symbolic: bool) -> None:
    recorded = RECORDED[case.id]
    assert recorded["of"] == case.fingerprint, "the case was changed: record it again"
    length_axis = case.layer.get("sequence_axis", 1) % len(case.shape)
    shape = ["time" if symbolic and axis == length_axis else size for axis, size in enumerate(case.shape)]
    inputs = {"x": {"shape": shape[1:]}}
    if case.positions:
        inputs["positions"] = {"shape": shape[1:2], "dtype": "int32"}
    layer = {**case.layer, "name": "layer", "from": list(inputs)}
    weights = {f"layer/{name}": array for name, array in case.drawn_weights().items()}
    model = jsonnx.compile({"inputs": inputs, "layers": [layer]}, weights=weights)
    (actual,) = model.session().run(dict(zip(inputs, case.inputs(), strict=True))).values()
    np.testing.assert_allclose(actual.ravel(), recorded["output"], atol=1e-5)
