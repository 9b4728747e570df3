"""The loss of a training with a teacher: formulas in NumPy, Keras' distillation example, and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.reserved_names import LOSS, teacher_output_name
from jsonnx.core.types import TensorType
from jsonnx.gradient.training_step import with_loss
from jsonnx.ir import Graph
from jsonnx.lowering.lower import lower
from jsonnx.pipeline.check.check import check_spec
from support.harness import check_gradients, draw_weights, run

RNG = np.random.default_rng(0)
SAMPLES, CLASSES = 3, 4


def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def class_divergence(teacher: np.ndarray, student: np.ndarray, temperature: float, axis: int = -1) -> np.ndarray:
    log_p, log_q = log_softmax(teacher / temperature, axis), log_softmax(student / temperature, axis)
    return temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(axis)


def label_divergence(teacher: np.ndarray, student: np.ndarray, temperature: float) -> np.ndarray:
    p, q = sigmoid(teacher / temperature), sigmoid(student / temperature)
    divergence = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return temperature**2 * divergence.mean(-1)


def document(loss: Any, activation: str | None, shape: list[int | None] | None = None, **training: Any) -> dict:
    distill = {"teacher": "teacher.onnx", "temperature": 3.0, "alpha": 0.3}
    layers: list[dict[str, Any]] = [{"type": "Identity", "name": "logits"}]
    if activation:
        layers.append({"type": "Activation", "name": "y", "activation": activation})
    shape = [CLASSES] if shape is None else shape
    section = {"loss": loss, "distill": distill, **training}
    return {"inputs": {"x": {"shape": shape}}, "layers": layers, "training": section}


def loss_graph(spec: dict[str, Any], dtype: str = "float32") -> Graph:
    checked = check_spec(spec)
    typed, objective = checked.require(), checked.objective
    assert objective is not None
    network = lower(typed, training=True, float_dtype=dtype)
    if dtype == "float64":
        types = {name: TensorType(dtype, type.shape) for name, type in objective.targets.items()}
        objective = objective._replace(targets=types)
    graph = with_loss(network, objective, distillation=objective.distillation)
    return Graph(graph.inputs, {LOSS: graph.outputs[LOSS]}, graph.nodes, graph.parameters, graph.states, graph.randoms)


def loss_of(spec: dict[str, Any], **feeds: np.ndarray) -> float:
    (output,) = check_spec(spec).require().network.outputs
    named = {"x": feeds["x"], f"{output}/target": feeds["target"], teacher_output_name(output): feeds["teacher"]}
    if "weights" in feeds:
        named[f"{output}/sample_weight"] = feeds["weights"]
    return computed(spec, named)


def computed(spec: dict[str, Any], feeds: dict[str, np.ndarray]) -> float:
    fed = {name: array.astype(np.float32 if array.dtype.kind == "f" else np.int64) for name, array in feeds.items()}
    return float(run(loss_graph(spec), fed)[LOSS])


X, TEACHER = RNG.normal(size=(2, SAMPLES, CLASSES)) * 3
INDICES = np.array([1, 3, 0])
PROBABILITIES = np.exp(log_softmax(RNG.normal(size=(SAMPLES, CLASSES))))
BITS = (RNG.random((SAMPLES, CLASSES)) < 0.5).astype(float)
HARD_INDICES = -log_softmax(X)[np.arange(SAMPLES), INDICES]
HARD_BITS = -(BITS * np.log(sigmoid(X)) + (1 - BITS) * np.log(1 - sigmoid(X))).mean(-1)
SPARSE, BINARY = "sparse_categorical_crossentropy", "binary_crossentropy"


@pytest.mark.parametrize("has_logits", [False, True])
def test_classes_are_compared_by_the_divergence_of_softened_probabilities(has_logits: bool) -> None:
    loss: Any = {"type": SPARSE, "from_logits": True} if has_logits else SPARSE
    spec = document(loss, None if has_logits else "softmax")
    expected = 0.3 * HARD_INDICES.mean() + 0.7 * class_divergence(TEACHER, X, 3.0).mean()
    assert loss_of(spec, x=X, target=INDICES, teacher=TEACHER) == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_that_of_the_distillation_example_of_keras() -> None:
    """`alpha * student_loss + (1 - alpha) * KLDivergence()(softmax(teacher / T), softmax(student / T)) * T**2`, with
    `alpha` as the weight of the loss on the targets."""
    spec = document("categorical_crossentropy", "softmax")
    p, q = np.exp(log_softmax(TEACHER / 3)), np.exp(log_softmax(X / 3))
    student_loss = -(PROBABILITIES * log_softmax(X)).sum(-1).mean()
    expected = 0.3 * student_loss + 0.7 * (p * np.log(p / q)).sum(-1).mean() * 9
    assert loss_of(spec, x=X, target=PROBABILITIES, teacher=TEACHER) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", ["categorical_focal_crossentropy", "kl_divergence"])
def test_losses_of_probabilities_have_the_same_divergence(loss: str) -> None:
    spec = document(loss, "softmax")
    values = {}
    for alpha in (0.0, 1.0):
        spec["training"]["distill"]["alpha"] = alpha
        values[alpha] = loss_of(spec, x=X, target=PROBABILITIES, teacher=TEACHER)
    assert values[0.0] == pytest.approx(class_divergence(TEACHER, X, 3.0).mean(), rel=1e-5)
    spec["training"]["distill"]["alpha"] = 0.3
    mixed = 0.3 * values[1.0] + 0.7 * values[0.0]
    assert loss_of(spec, x=X, target=PROBABILITIES, teacher=TEACHER) == pytest.approx(mixed, rel=1e-5)


def test_the_logits_of_another_softmax_are_logarithms() -> None:
    spec = document(SPARSE, "softmax")
    spec["layers"].append({"type": "Reshape", "name": "z", "target_shape": [CLASSES]})
    spec["layers"].insert(1, {"type": "Reshape", "name": "pairs", "target_shape": [1, CLASSES]})
    expected = 0.3 * HARD_INDICES.mean() + 0.7 * class_divergence(TEACHER, X, 3.0).mean()
    assert loss_of(spec, x=X, target=INDICES, teacher=TEACHER) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("has_logits", [False, True])
def test_labels_are_compared_one_by_one(has_logits: bool) -> None:
    loss: Any = {"type": BINARY, "from_logits": True} if has_logits else BINARY
    spec = document(loss, None if has_logits else "sigmoid")
    expected = 0.3 * HARD_BITS.mean() + 0.7 * label_divergence(TEACHER, X, 3.0).mean()
    assert loss_of(spec, x=X, target=BITS, teacher=TEACHER) == pytest.approx(expected, rel=1e-5)


def test_numbers_are_compared_by_squared_differences() -> None:
    spec = document("mae", None)
    expected = 0.3 * np.abs(X - BITS).mean() + 0.7 * ((X - TEACHER) ** 2).mean()
    assert loss_of(spec, x=X, target=BITS, teacher=TEACHER) == pytest.approx(expected, rel=1e-5)


def test_normalized_targets_normalize_the_output_of_the_teacher() -> None:
    spec = document("mse", None, target={"transform": "log1p"})
    spec["layers"][0] = {"type": "ops.abs", "name": "y"}
    x, target, teacher = np.abs(X), np.exp(BITS), np.exp(np.abs(TEACHER))
    # The network computes logarithms of 1 + y, and its output is exp(x) - 1.
    expected = 0.3 * ((x - np.log1p(target)) ** 2).mean() + 0.7 * ((x - np.log1p(teacher)) ** 2).mean()
    assert loss_of(spec, x=X, target=target, teacher=teacher) == pytest.approx(expected, rel=1e-5)


def test_weights_count_in_both_terms() -> None:
    weights = np.array([0.5, 0.0, 2.0])
    spec = document(SPARSE, "softmax", class_weight={str(index): 1.0 for index in range(CLASSES)})
    losses = 0.3 * HARD_INDICES + 0.7 * class_divergence(TEACHER, X, 3.0)
    result = loss_of(spec, x=X, target=INDICES, teacher=TEACHER, weights=weights)
    assert result == pytest.approx((weights * losses).mean(), rel=1e-5)
    loss = {"type": SPARSE, "reduction": "mean_with_sample_weight"}
    spec = document(loss, "softmax", class_weight={"0": 1.0})
    result = loss_of(spec, x=X, target=INDICES, teacher=TEACHER, weights=weights)
    assert result == pytest.approx((weights * losses).sum() / weights.sum(), rel=1e-5)


def test_masked_steps_and_ignored_classes_count_in_neither_term() -> None:
    x, teacher = RNG.normal(size=(2, SAMPLES, 5, CLASSES))
    x[0, 3:] = x[2, 1:] = 0  # masked
    targets = RNG.integers(0, CLASSES, (SAMPLES, 5))
    spec = document({"type": SPARSE, "ignore_class": 2}, "softmax", [5, CLASSES])
    spec["layers"].insert(0, {"type": "Masking"})
    counts = np.any(x != 0, -1) & (targets != 2)
    hard = -np.take_along_axis(log_softmax(x), targets[..., None], -1)[..., 0]
    losses = 0.3 * hard + 0.7 * class_divergence(teacher, x, 3.0)
    result = loss_of(spec, x=x, target=targets, teacher=teacher)
    assert result == pytest.approx(losses[counts].mean(), rel=1e-5)


def test_each_output_has_its_teacher_and_auxiliary_outputs_have_none() -> None:
    spec = document({"y": SPARSE, "z": "mse", "logits": "mse"}, "softmax", auxiliary_outputs=["logits"])
    spec["layers"].append({"type": "ops.multiply", "name": "z", "from": ["logits", "logits"]})
    spec |= {"outputs": ["y", "z"]}
    spec["training"]["loss_weights"] = {"z": 2.0}
    objective = check_spec(spec).objective
    assert objective is not None
    assert objective.distillation is not None
    assert objective.distillation.outputs == {"y", "z"}
    feeds = {"x": X, "y/target": INDICES, "z/target": BITS, "logits/target": BITS}
    feeds |= {teacher_output_name("y"): TEACHER, teacher_output_name("z"): TEACHER}
    first = 0.3 * HARD_INDICES.mean() + 0.7 * class_divergence(TEACHER, X, 3.0).mean()
    second = 0.3 * ((X * X - BITS) ** 2).mean() + 0.7 * ((X * X - TEACHER) ** 2).mean()
    expected = first + 2 * second + ((X - BITS) ** 2).mean()
    assert computed(spec, feeds) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "activation", "target"),
    [
        ("categorical_crossentropy", "softmax", PROBABILITIES),
        (BINARY, "sigmoid", BITS),
        ("mae", None, BITS),
        ("kl_divergence", "softmax", PROBABILITIES),
    ],
)
def test_gradients_equal_finite_differences(loss: str, activation: str | None, target: np.ndarray) -> None:
    spec = document(loss, activation)
    spec["layers"].insert(0, {"type": "Dense", "name": "dense", "units": CLASSES})
    spec["layers"][1]["name"] = "own"
    graph = loss_graph(spec, "float64")
    name = "y" if activation else "own"
    feeds = {"x": X, f"{name}/target": target, teacher_output_name(name): TEACHER}
    feeds |= draw_weights(graph, np.random.default_rng(1))
    assert check_gradients(graph, feeds, ["dense/kernel", "dense/bias"]) < 1e-6


def test_logits_far_apart_have_finite_losses() -> None:
    x = np.array([[1000.0, -1000, 0, 0]] * SAMPLES)
    for loss, activation, target in ((SPARSE, "softmax", INDICES), (BINARY, "sigmoid", BITS)):
        assert np.isfinite(loss_of(document(loss, activation), x=x, target=target, teacher=-x))
