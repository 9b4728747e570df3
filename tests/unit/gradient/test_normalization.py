"""Gradient rules of normalizations."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.gradient import GradientBuilder, MissingRule, gradients
from jsonnx.ir import Builder
from support.harness import check_gradients, run
from unit.gradient.operators import POSITIVE, REAL, Operator, worst_error

WEIGHTS = ((2, 4), (None, 4))
CHANNELS = ((4, 3), *[(None, 4)] * 4)

OPERATORS = [
    Operator("LayerNormalization", (REAL, REAL, REAL), WEIGHTS),
    Operator("LayerNormalization", (REAL, REAL), WEIGHTS, {"epsilon": 0.1}),
    Operator("LayerNormalization", (REAL, REAL, REAL), ((2, 4), (None, 2, 4)), {"axis": 1}),
    Operator("BatchNormalization", (REAL, REAL, REAL, REAL, POSITIVE), CHANNELS),
    Operator("BatchNormalization", (REAL, REAL, REAL, REAL, POSITIVE), ((4,), *CHANNELS[1:]), {"epsilon": 0.1}),
    Operator("InstanceNormalization", (REAL, REAL, REAL), ((4, 3), (None, 4))),
    Operator("InstanceNormalization", (REAL, REAL, REAL), ((2, 3, 2), (None, 2)), {"epsilon": 0.1}),
    Operator("InstanceNormalization", (REAL, REAL, REAL), ((1, 2, 2, 3), (None, 1))),
    Operator("LRN", (REAL,), ((6, 2, 2),), {"size": 3}),
    Operator("LRN", (REAL,), ((5, 2, 1),), {"size": 4, "alpha": 0.5, "beta": 0.6, "bias": 2.0}),
    Operator("LRN", (REAL,), ((3, 1, 2),), {"size": 7, "alpha": 1.5, "beta": 1.25}),
    Operator("LRN", (REAL,), ((4, 2, 3),), {"size": 1, "alpha": 1.0}),
]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.id)
def test_a_rule_equals_finite_differences(operator: Operator) -> None:
    assert worst_error(operator) < 1e-6


@pytest.mark.parametrize("op", ["InstanceNormalization", "LRN"])
def test_a_rule_of_images_of_unknown_size_equals_finite_differences(op: str) -> None:
    g = Builder(float_dtype="float64")
    x = g.input("x", TensorType("float64", (BATCH, 3, Size.named("height"), Size.named("width"))))
    y = g.LRN(x, size=3, alpha=0.5) if op == "LRN" else g.InstanceNormalization(x, [1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    feeds = {"x": np.random.default_rng(0).normal(size=(3, 3, 3, 3))}
    assert check_gradients(g.graph({"y": y}), feeds, ["x"]) < 1e-6


def test_the_neighbours_of_a_symbolic_number_of_channels_are_unknown() -> None:
    g = Builder(float_dtype="float64")
    y = g.LRN(g.input("x", TensorType("float64", (BATCH, Size.named("channels"), 2, 2))), size=3)
    with pytest.raises(MissingRule, match="operator LRN has no gradient rule along a symbolic number of channels"):
        check_gradients(g.graph({"y": y}), {"x": np.ones((3, 3, 2, 2))}, ["x"])


def test_layer_normalization_has_the_same_gradient_with_and_without_its_statistics() -> None:
    found = []
    for outputs in (1, 3):
        g = GradientBuilder()
        x, scale = g.input("x", TensorType("float32", (BATCH, 4))), g.input("scale", TensorType("float32", (4,)))
        y = g.LayerNormalization(x, scale, axis=-1, outputs=outputs)
        y = y[0] if outputs == 3 else y
        total = g.ReduceSum(g.Mul(y, y), keepdims=0)
        results = gradients(g, g.graph({"total": total}), {total: g.const(1.0)}, [x, scale])
        feeds = {"x": np.float32([[1, 2, 3, 7], [0, 0, 0, 1]]), "scale": np.float32([1, 2, 3, 4])}
        found.append(run(g.graph({"dx": results[x], "dscale": results[scale]}), feeds))
    for name, gradient in found[0].items():
        np.testing.assert_allclose(found[1][name], gradient, rtol=1e-4, atol=1e-5)
