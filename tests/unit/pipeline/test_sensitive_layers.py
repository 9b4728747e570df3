"""The layers of a network by their sensitivity to quantization."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from jsonnx.pipeline.quantize import layer_noise
from jsonnx.runtime.session.session import Session
from jsonnx.sections.quantization_section import QuantizationVariant

LAYERS = ["a", "b", "c", "d", "e"]
FEEDS = {"x": np.ones((2, 3), np.float32)}


class Scaled:
    """A model that multiplies by a number."""

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def to_loadable(self) -> bytes:
        x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3]) for name in "xy")
        factor = onnx.numpy_helper.from_array(np.float32(self._factor), "factor")
        graph = onnx.helper.make_graph([onnx.helper.make_node("Mul", ["x", "factor"], ["y"])], "g", [x], [y], [factor])
        opsets = [onnx.helper.make_opsetid("", 17)]
        return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


class NoisyLayer:
    """A quantizer of a network whose layer `d` alone adds noise."""

    def __init__(self) -> None:
        self.quantized_layers: list[list[str]] = []

    def layers(self, variant: Any) -> list[str]:
        return LAYERS

    def quantized(self, variant: QuantizationVariant) -> Any:
        self.quantized_layers.append([name for name in LAYERS if name not in variant.layers])
        return Scaled(1.0 if "d" in variant.layers else 1.5)


@pytest.mark.parametrize(
    ("limit", "groups", "first"),
    [
        (64, [["a"], ["b"], ["c"], ["d"], ["e"]], ["d"]),
        (3, [["a", "b"], ["c", "d"], ["e"]], ["c", "d"]),
        (1, [LAYERS], LAYERS),
    ],
)
def test_many_layers_are_measured_in_groups(
    monkeypatch: pytest.MonkeyPatch, limit: int, groups: list[list[str]], first: list[str]
) -> None:
    monkeypatch.setattr(layer_noise, "MAX_MEASUREMENTS", limit)
    quantizer: Any = NoisyLayer()
    reference = Session(Scaled(1.0).to_loadable())
    noise = layer_noise.sensitive_layers(quantizer, QuantizationVariant(), reference, FEEDS)
    assert quantizer.quantized_layers == groups
    assert [each.layer for each in noise[: len(first)]] == first
    assert sorted(each.layer for each in noise) == LAYERS
    assert noise[0].decibels == pytest.approx(20 * np.log10(2), abs=1e-3)
