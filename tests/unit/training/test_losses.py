"""Every loss and its gradient, compared with recorded values of Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import BATCH, ShapeError, TensorType
from jsonnx.gradient import GradientBuilder, gradients
from jsonnx.training.losses.losses import LOSSES
from support.harness import run

from .cases import ACTIVATED, name
from .cases import LOSSES as CASES
from .recorded import array, read, recorded, target_array

ACTIVATIONS = {
    "linear": lambda g, x: x,
    "softmax": lambda g, x: g.Softmax(x, axis=-1),
    "sigmoid": lambda g, x: g.Sigmoid(x),
}


def evaluated(spec: Any, said: dict[str, Any], activation: str = "linear") -> dict[str, np.ndarray]:
    """The loss of an activation of the recorded output, and its gradient, at any batch size."""
    output, loss = array(said["output"]), read(LOSSES, spec)
    g = GradientBuilder(training=True)
    x = g.input("output", TensorType("float32", (BATCH, *output.shape[1:])))
    y = ACTIVATIONS[activation](g, x)
    target = g.input("target", loss.target_type(y.type))
    predicted, suited = loss.before_activation(g.graph({"y": y}), y)
    value = suited.reduce(g, target, predicted)
    found = gradients(g, g.graph({"value": value}), {value: g.const(1.0)}, [x])
    graph = g.graph({"value": value, "gradient": found[x]})
    given = target_array(said["target"]).astype(target.dtype)
    return run(graph, {"output": output, "target": given})


def check(found: dict[str, np.ndarray], said: dict[str, Any]) -> None:
    assert found["value"].shape == ()
    np.testing.assert_allclose(found["value"], said["value"], rtol=2e-6, atol=2e-6)
    gradient = array(said["gradient"])
    np.testing.assert_allclose(found["gradient"], gradient, rtol=1e-5, atol=2e-6 * max(1.0, np.abs(gradient).max()))


@pytest.mark.parametrize(("case", "said"), recorded(CASES, "losses"), ids=[f"{name(s)}-{p.output}" for s, p in CASES])
def test_a_loss_and_its_gradient_equal_those_of_keras(case: Any, said: dict[str, Any]) -> None:
    check(evaluated(case[0], said), said)


@pytest.mark.parametrize(("case", "said"), recorded(ACTIVATED, "activated"), ids=[name(case[0]) for case in ACTIVATED])
def test_a_loss_of_an_activated_output_equals_that_of_keras(case: Any, said: dict[str, Any]) -> None:
    check(evaluated(case[0], said, case[2]), said)


@pytest.mark.parametrize(
    ("loss", "activation", "target"),
    [("sparse_categorical_crossentropy", "softmax", [0, 1]), ("bce", "sigmoid", [[1.0, 0.0], [0.0, 1.0]])],
)
def test_a_saturated_wrong_prediction_has_a_finite_loss_and_a_gradient(loss: str, activation: str, target: Any) -> None:
    logits = [[-200.0, 200.0], [200.0, -200.0]]
    found = evaluated(loss, {"output": logits, "target": target}, activation)
    assert found["value"] in (200.0, 400.0)
    assert np.abs(found["gradient"]).min() > 0.1


@pytest.mark.parametrize("gamma", [0, 0.1, 0.5, 1])
def test_a_saturated_correct_prediction_has_no_gradient_under_a_focal_loss(gamma: float) -> None:
    """For a saturated sigmoid, the derivative of the root is infinite, and Keras computes infinity * 0 = NaN."""
    loss = {"type": "binary_focal_crossentropy", "gamma": gamma}
    found = evaluated(loss, {"output": [[200.0, -200.0]], "target": [[1.0, 0.0]]}, "sigmoid")
    assert found["value"] < 2e-7
    assert found["gradient"].tolist() == [[0, 0]]


def test_every_loss_has_a_case() -> None:
    known = {LOSSES.by_name[spec if isinstance(spec, str) else spec["type"]] for spec, _ in CASES}
    assert known == {loss for loss in LOSSES if loss.keras_name}


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ("sparse_categorical_crossentropy", (BATCH, 1), "needs an output with two classes or more on axis 1"),
        ({"type": "SparseCategoricalCrossentropy", "axis": 1}, (BATCH, 4, 3), "needs the classes on the last axis"),
        ("categorical_crossentropy", (BATCH, 5, 1), "two classes or more on axis 2"),
        ({"type": "CategoricalCrossentropy", "axis": 3}, (BATCH, 3), "needs an output with an axis 3"),
        ("kld", (BATCH, 2 * BATCH), "needs a fixed size on axis 1"),
    ],
)
def test_an_output_that_the_loss_does_not_accept_is_an_error(spec: Any, shape: tuple, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        read(LOSSES, spec).target_type(TensorType("float32", shape))


def test_only_sparse_losses_take_class_indices() -> None:
    output = TensorType("float32", (BATCH, 7, 3))
    assert read(LOSSES, "sparse_categorical_crossentropy").target_type(output) == TensorType("int64", (BATCH, 7))
    assert read(LOSSES, "mse").target_type(output) == output
