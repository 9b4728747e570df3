"""Rules of activation functions that are operators."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.gradient import GradientBuilder, gradients
from support.harness import run
from unit.gradient.operators import REAL, Domain, Operator, slopes, worst_error

NOT_ZERO = Domain(kinks=(0,))

OPERATORS = [
    Operator("LeakyRelu", (NOT_ZERO,), attributes={"alpha": 0.2}),
    Operator("LeakyRelu", (NOT_ZERO,)),
    Operator("PRelu", (NOT_ZERO, REAL), ((2, 3), (None, 3))),
    Operator("PRelu", (NOT_ZERO, REAL), ((2, 3), (None, 2, 1))),
    Operator("ThresholdedRelu", (Domain(kinks=(1,)),)),
    Operator("ThresholdedRelu", (Domain(kinks=(-0.5,)),), attributes={"alpha": -0.5}),
    Operator("Shrink", (Domain(kinks=(-0.5, 0.5)),)),
    Operator("Shrink", (Domain(kinks=(-1, 1)),), attributes={"lambd": 1.0, "bias": 1.0}),
    Operator("HardSigmoid", (Domain(-4, 4, (-2.5, 2.5)),)),
    Operator("HardSigmoid", (Domain(-2, 2, (-1, 1)),), attributes={"alpha": 0.5, "beta": 0.5}),
    Operator("HardSwish", (Domain(-4, 4, (-3, 3)),)),
    Operator("Elu", (NOT_ZERO,)),
    Operator("Elu", (NOT_ZERO,), attributes={"alpha": 0.3}),
    Operator("Selu", (NOT_ZERO,)),
    Operator("Selu", (NOT_ZERO,), attributes={"alpha": 2.0, "gamma": 3.0}),
    Operator("Softplus"),
    Operator("Softsign"),
    Operator("Mish"),
    Operator("Gelu"),
    Operator("Gelu", attributes={"approximate": "tanh"}),
    Operator("Softmax"),
    Operator("Softmax", attributes={"axis": 1}),
    Operator("LogSoftmax"),
    Operator("LogSoftmax", attributes={"axis": 1}),
]

FAR = [-1e4, -100, 100, 1e4]

POINTS = [
    (Operator("LeakyRelu", shapes=((),), attributes={"alpha": 0.25}), [-1, 0, 1], [0.25, 1, 1]),
    (Operator("LeakyRelu", shapes=((),), attributes={"alpha": 1e-40}), [-1, 0, 1], [0, 1, 1]),
    (Operator("LeakyRelu", shapes=((),), attributes={"alpha": 1.5}), [-1, 0, 1], [1.5, 1, 1]),
    (Operator("LeakyRelu", shapes=((),), attributes={"alpha": -0.5}), [-1, 0, 1], [-0.5, 1, 1]),
    (Operator("ThresholdedRelu", shapes=((),)), [0, 1, 1.5], [0, 0, 1]),
    (Operator("Shrink", shapes=((),)), [-1, -0.5, 0, 0.5, 1], [1, 0, 0, 0, 1]),
    (Operator("HardSigmoid", shapes=((),), attributes={"alpha": 0.5}), [-2, -1, 0, 1, 2], [0, 0, 0.5, 0, 0]),
    (Operator("HardSwish", shapes=((),)), [-4, -3, 0, 3, 4], [0, 0, 0.5, 1, 1]),
    (Operator("Elu", shapes=((),), attributes={"alpha": 0.5}), [0, 1, *FAR], [0.5, 1, 0, 0, 1, 1]),
    (Operator("Selu", shapes=((),)), [0, 1], [1.7580993, 1.050701]),
    (Operator("Celu", shapes=((),)), [0, 1, *FAR], [1, 1, 0, 0, 1, 1]),
    (Operator("Celu", shapes=((),), attributes={"alpha": 2.0}), [-2, 0, 1], [np.exp(-1), 1, 1]),
    (Operator("Softplus", shapes=((),)), FAR, [0, 0, 1, 1]),
    (Operator("Mish", shapes=((),)), FAR, [0, 0, 1, 1]),
    (Operator("Softsign", shapes=((),)), [0, *FAR], [1, 1e-8, 1 / 101**2, 1 / 101**2, 1e-8]),
    (Operator("Gelu", shapes=((),)), FAR, [0, 0, 1, 1]),
    (Operator("Gelu", shapes=((),), attributes={"approximate": "tanh"}), FAR, [0, 0, 1, 1]),
]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.id)
def test_a_rule_equals_finite_differences(operator: Operator) -> None:
    assert worst_error(operator) < 1e-7


@pytest.mark.parametrize(("operator", "points", "expected"), POINTS, ids=lambda value: getattr(value, "id", None))
def test_a_rule_at_kinks_and_far_away(operator: Operator, points: list, expected: list) -> None:
    np.testing.assert_allclose(slopes(operator, points)[0], expected, rtol=1e-3, atol=1e-6)


def test_the_derivative_of_prelu_at_zero_equals_that_of_two_relus() -> None:
    dx, dslope = slopes(Operator("PRelu", (REAL, REAL), ((3,), (None, 3))), [-2, 0, 2], [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(dx, [[0.5, 0, 1]])
    np.testing.assert_array_equal(dslope, [-2, 0, 0])


@pytest.mark.parametrize("op", ["Softplus", "Mish"])
def test_a_small_derivative_has_a_small_relative_error_in_onnxruntime(op: str) -> None:
    """An optimizer that divides a gradient by its size, such as RMSprop, magnifies its relative error."""
    g = GradientBuilder(training=True)
    x = g.input("x", TensorType("float32", (BATCH,)))
    total = g.ReduceSum(g.emit(op, x), [0], keepdims=0)
    found = gradients(g, g.graph({"total": total}), {total: g.const(1.0)}, [x])
    points = np.linspace(-17, -9, 9, dtype="float32")
    slope = run(g.graph({"slope": found[x]}), {"x": points})["slope"]
    exact = points.astype("float64")
    tanh, sigmoid = np.tanh(np.log1p(np.exp(exact))), 1 / (1 + np.exp(-exact))
    expected = sigmoid if op == "Softplus" else tanh + exact * (1 - tanh**2) * sigmoid
    np.testing.assert_allclose(slope, expected, rtol=5e-6)
