"""The parts of a training section with errors are left out; nothing that was not checked is read."""

from __future__ import annotations

import jsonnx
import pytest


def spec(**training: object) -> dict:
    return {"inputs": {"x": {"shape": [3]}}, "layers": [{"type": "Dense", "units": 2}], "training": training}


@pytest.mark.parametrize(
    "loss",
    [
        {"type": {}, "reduction": "sum"},
        {"type": {}, "from_logits": True},
        {"type": {"type": "mse"}, "reduction": 3},
        {"type": 3, "dense": "mse"},
        {"dense": {"type": {}, "reduction": "sum"}},
    ],
)
@pytest.mark.parametrize("key", ["loss", "metrics"])
def test_an_invalid_component_is_not_taken_for_components_by_output(key: str, loss: object) -> None:
    training = {"loss": "mse", key: [loss] if key == "metrics" else loss}
    assert any(diagnostic.severity == "error" for diagnostic in jsonnx.validate(spec(**training)))
