"""Mixed precision: which operators are 16-bit, and that steps agree with float32."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from jsonnx import CompileError, Trainer
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.reserved_names import LEARNING_RATE, LOSS, next_name, target_name
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Graph, Value
from jsonnx.passes.training_steps.mixed_precision import accepts, with_mixed_precision
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.fit.trainer import PlanTrainer
from jsonnx.runtime.providers.random import draw_initial_weights
from jsonnx.training.weights.initializers import Zeros
from onnx.reference import ReferenceEvaluator
from support.training_steps import training_graph

NETWORKS: dict[str, tuple[list[int], list[dict[str, Any]]]] = {
    "dense": ([6], [{"type": "Dense", "units": 8, "activation": "relu"}]),
    "convolutions": (
        [8, 8, 2],
        [
            {"type": "Conv2D", "filters": 4, "kernel_size": 3, "use_bias": False},
            {"type": "BatchNormalization"},
            {"type": "LeakyReLU"},
            {"type": "MaxPooling2D"},
            {"type": "Conv2DTranspose", "filters": 3, "kernel_size": 2, "strides": 2, "activation": "tanh"},
            {"type": "Flatten"},
        ],
    ),
    "attention": (
        [5, 8],
        [
            {"type": "LayerNormalization", "name": "norm"},
            {"type": "MultiHeadAttention", "name": "heads", "num_heads": 2, "key_dim": 4, "from": ["norm", "norm"]},
            {"type": "Add", "name": "sum", "from": ["norm", "heads"]},
            {"type": "Dense", "units": 8, "activation": "gelu"},
            {"type": "GlobalAveragePooling1D"},
        ],
    ),
    "recurrent": ([5, 4], [{"type": "LSTM", "units": 4}, {"type": "Dropout", "rate": 0.2}]),
}


def spec(network: str, precision: str = "mixed_float16", **training: Any) -> dict[str, Any]:
    shape, layers = NETWORKS[network]
    return {
        "inputs": {"x": {"shape": shape}},
        "layers": [*layers, {"type": "Dense", "name": "logits", "units": 3}],
        "training": {
            "loss": {"type": "sparse_categorical_crossentropy", "from_logits": True},
            "optimizer": "adam",
            "precision": precision,
            **training,
        },
    }


def batch(network: str, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return scale * rng.normal(size=(8, *NETWORKS[network][0])).astype(np.float32), rng.integers(3, size=8)


def trainer(document: dict[str, Any]) -> PlanTrainer:
    """A trainer that computes float16 on the CPU, where onnxruntime casts what it has no kernel for."""
    return PlanTrainer(plan_training(check_spec(document)), "cpu", fast=False)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_in_float16_agrees_with_float32(network):
    x, y = batch(network)
    float32, mixed = (trainer(spec(network, precision)) for precision in ("float32", "mixed_float16"))
    losses = [[each.step(x, y)["loss"] for _ in range(4)] for each in (float32, mixed)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=5e-3)
    after = mixed.weights()
    for name, array in float32.weights().items():
        assert after[name].dtype == array.dtype
        assert np.abs(after[name] - array).max() < 0.01, name


def reference_step(document: dict[str, Any], x: np.ndarray) -> dict[str, np.ndarray]:
    """The loss and the next variables of a step by ONNX' reference evaluator, which rounds each result to its type."""
    document["training"]["loss"] = "mse"  # the evaluator cannot compute OneHot as losses of classes use it
    plan = plan_training(check_spec(document))
    graph = plan.train
    feeds = draw_initial_weights(graph, 0) | {
        "x": x,
        target_name("logits"): np.eye(len(x), 3),
        LEARNING_RATE: np.array(plan.constant_rate),
    }
    evaluator = ReferenceEvaluator(onnx.load_model_from_string(serialize(to_model_proto(graph))))
    feeds = {name: feeds[name].astype(value.dtype) for name, value in named_values(graph).items()}
    results = dict(zip(evaluator.output_names, evaluator.run(None, feeds), strict=True))
    return {name: results[next_name(name)] for name in graph.updates} | {LOSS: results[LOSS]}


def named_values(graph: Graph) -> dict[str, Value]:
    return {**graph.inputs, **graph.parameters, **graph.states}


@pytest.mark.parametrize("network", ["dense", "convolutions", "attention"])
def test_a_step_of_the_reference_evaluator_in_float16_agrees_with_float32(network):
    x, _ = batch(network)
    expected, mixed = (
        reference_step(spec(network, precision, optimizer="sgd"), x) for precision in ("float32", "mixed_float16")
    )
    assert mixed[LOSS] == pytest.approx(expected[LOSS], rel=2e-3)
    assert mixed[LOSS] != expected[LOSS]
    for name in expected.keys() - {LOSS}:
        np.testing.assert_allclose(mixed[name], expected[name], atol=2e-3)


def types(graph: Graph, op: str, scope: str = "") -> set[str]:
    return {node.outputs[0].dtype for node in graph.nodes if node.op == op and node.scope.startswith(scope)}


def test_products_are_16_bit_and_all_that_adds_up_is_not():
    graph = training_graph(spec("convolutions"))
    assert types(graph, "Conv") == types(graph, "ConvTranspose") == {"float16"}
    assert types(graph, "MaxPool") == {"float16"}
    assert "float16" not in types(graph, "ReduceMean") | types(graph, "Mul", "batch_normalization")
    assert {value.dtype for value in graph.outputs.values()} == {"float32"}
    assert {value.dtype for name, value in graph.updates.items() if value.dtype != "int64"} == {"float32"}
    assert types(training_graph(spec("attention")), "Softmax") == {"float32"}


def test_a_weight_is_cast_once():
    graph = training_graph(spec("dense"))
    casts = Counter(node.inputs[0] for node in graph.nodes if node.op == "Cast")
    assert max(casts[weight] for weight in graph.parameters.values()) == 1


def test_float32_adds_nothing():
    without = {key: value for key, value in spec("dense")["training"].items() if key != "precision"}
    default = training_graph({**spec("dense"), "training": without})
    explicit = training_graph(spec("dense", "float32"))
    assert serialize(to_model_proto(default)) == serialize(to_model_proto(explicit))


def test_a_large_constant_stays_in_float32():
    g = Builder()
    x, w = g.input("x", TensorType("float32", (BATCH, 2))), g.param("w", (2, 2), Zeros())
    scores = g.MatMul(x, w)
    graph = g.graph({"small": g.Add(scores, 1e4), "large": g.Add(scores, -1e9)})
    adds = [
        node.outputs[0].dtype
        for node in with_mixed_precision(graph, "float16", lambda node: False).nodes
        if node.op == "Add"
    ]
    assert sorted(adds) == ["float16", "float32"]


@pytest.mark.parametrize("network", ["dense", "attention"])
def test_bfloat16_steps_are_valid_and_have_no_loss_scale(network):
    graph = training_graph(spec(network, "mixed_bfloat16"))
    assert types(graph, "MatMul") >= {"bfloat16"}
    assert not any("loss_scale" in name for name in graph.states)
    onnx.checker.check_model(serialize(to_model_proto(graph)), full_check=True)


def test_operators_that_onnx_does_not_define_for_a_type_stay_in_float32():
    pytest.importorskip("ml_dtypes")
    assert accepts("Conv", "float16")
    assert not accepts("Conv", "bfloat16")
    assert types(training_graph(spec("convolutions", "mixed_bfloat16")), "Conv") == {"float32"}


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_the_cpu_refuses(precision, tmp_path):
    with pytest.raises(CompileError) as error:
        Trainer(spec("dense", precision))
    (diagnostic,) = error.value.diagnostics
    assert (diagnostic.code, diagnostic.path) == ("unsupported-precision", "$.training.precision")
    assert "cuda" in diagnostic.help


# -- loss scaling ------------------------------------------------------------------------------------------------------


def test_loss_scaling_changes_no_float32_step():
    x, y = batch("dense")
    plain, scaled = (trainer(spec("dense", "float32", **more)) for more in ({}, {"loss_scale": {}}))
    assert [scaled.step(x, y)["loss"] for _ in range(5)] == pytest.approx([plain.step(x, y)["loss"] for _ in range(5)])
    assert scaled.engine.variables()["optimizer/loss_scale"] == 2**15


@pytest.mark.parametrize("fast", [False, True])
def test_a_step_without_finite_gradients_halves_the_scale_and_changes_nothing_else(fast):
    scaled = PlanTrainer(
        plan_training(check_spec(spec("dense", "float32", loss_scale={"initial_scale": 2.0**40}))), "cpu", fast=fast
    )
    x, y = batch("dense")
    scaled.step(x, y)
    large_x = (x * 1e27).astype(np.float32)  # the loss is finite, the scaled gradients are not
    before = scaled.engine.variables()
    scaled.step(large_x, y)
    after = scaled.engine.variables()
    assert (before["optimizer/loss_scale"], after["optimizer/loss_scale"]) == (2.0**40, 2.0**39)
    assert (before["optimizer/finite_steps"], after["optimizer/finite_steps"]) == (1, 0)
    changed = {name for name in after if not np.array_equal(after[name], before[name])}
    assert changed == {"optimizer/loss_scale", "optimizer/finite_steps"}
    scaled.step(x, y)
    assert all(np.isfinite(array).all() for array in scaled.engine.variables().values())
    assert scaled.engine.variables()["optimizer/iterations"] == 2


def test_the_scale_doubles_after_the_growth_steps():
    growing = trainer(spec("dense", "float32", loss_scale={"initial_scale": 8, "dynamic_growth_steps": 3}))
    x, y = batch("dense")
    scales = []
    for _ in range(7):
        growing.step(x, y)
        scales.append(float(growing.engine.variables()["optimizer/loss_scale"]))
    assert scales == [8, 8, 16, 16, 16, 32, 32]


def test_small_gradients_survive_in_float16_because_of_the_scale():
    x, _ = batch("dense")
    sgd = {"optimizer": {"type": "sgd", "learning_rate": 1e6}, "loss_weights": {"logits": 1e-7}}
    expected, scaled, unscaled = (
        reference_step(spec("dense", precision, loss_scale={"initial_scale": scale}, **sgd), x)
        for precision, scale in (("float32", 1.0), ("mixed_float16", 2.0**15), ("mixed_float16", 1.0))
    )
    errors = [np.abs(each["dense/kernel"] - expected["dense/kernel"]).max() for each in (scaled, unscaled)]
    assert errors[0] < 1e-4 < 1e-3 < errors[1]


def test_a_run_with_loss_scaling_resumes_from_a_checkpoint(tmp_path):
    x, y = batch("dense")
    first, resumed = trainer(spec("dense")), trainer(spec("dense"))
    first.step(x, y)
    first.save_checkpoint(tmp_path / "checkpoint")
    resumed.load_checkpoint(tmp_path / "checkpoint")
    assert resumed.step(x, y) == first.step(x, y)
