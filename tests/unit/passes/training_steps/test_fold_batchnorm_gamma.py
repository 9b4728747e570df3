"""Gammas of normalizations folded into the weights of backward convolutions: where, and with the same updates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.ir import Builder, GradientInfo, Graph, Value
from jsonnx.passes.training_steps import fold_batchnorm_gamma
from jsonnx.passes.training_steps import simplify_step as simplify_step_module
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.runtime.providers.providers import create_session, resolve_provider

NORMALIZED = {"type": "BatchNormalization"}
RELU = {"type": "ReLU"}
BATCH_SIZE = 32
"""Samples of a batch, the default of a spec."""


def conv(filters: int, kernel: Any = 3, **more: Any) -> dict[str, Any]:
    return {"type": "Conv2D", "filters": filters, "kernel_size": kernel, "padding": "same", "use_bias": False, **more}


def of(layer: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [layer, {**NORMALIZED, **more}, RELU]


NETWORKS: dict[str, tuple[list[dict[str, Any]], tuple[int, ...], int]] = {
    "convolutions": ([*of(conv(8)), *of(conv(6))], (7, 5, 4), 2),
    "biases": ([*of(conv(8, use_bias=True)), *of(conv(6, use_bias=True))], (7, 5, 4), 2),
    "no-gamma": ([*of(conv(8), scale=False), *of(conv(6), center=False)], (7, 5, 4), 2),
    "gammas-of-zero": ([*of(conv(8), gamma_initializer="zeros"), *of(conv(6))], (7, 5, 4), 2),
    "strides": ([*of(conv(8, strides=2)), *of(conv(6, [3, 2], strides=2, padding="valid"))], (9, 8, 4), 2),
    "dilations": ([*of(conv(8)), *of(conv(6, dilation_rate=2))], (9, 8, 4), 2),
    "one-tap": ([*of(conv(40, 1)), *of(conv(36, 1))], (4, 4, 40), 2),
    "groups": ([*of(conv(8, groups=2)), *of(conv(8, groups=4))], (7, 5, 4), 2),
    "own-filters": (
        [*of(conv(8)), *of({"type": "DepthwiseConv2D", "kernel_size": 3, "use_bias": False}), *of(conv(8, 1))],
        (7, 5, 4),
        3,
    ),
    "separable": (of({**conv(6), "type": "SeparableConv2D"}), (7, 5, 4), 1),
    "sequences": ([*of({**conv(8), "type": "Conv1D"}), *of({**conv(6, 5), "type": "Conv1D"})], (11, 4), 2),
    "causal": (of({**conv(8, padding="causal", dilation_rate=2), "type": "Conv1D"}), (11, 4), 1),
    "volumes": ([*of({**conv(4, 2), "type": "Conv3D"}), *of({**conv(4), "type": "Conv3D"})], (4, 5, 3, 2), 2),
    "many-channels": ([*of(conv(64)), *of(conv(64))], (5, 5, 64), 2),
    "residual": (
        [
            {**conv(8), "name": "stem"},
            *of(conv(8)),
            conv(8),
            {**NORMALIZED, "name": "last"},
            {"type": "Add", "from": ["stem", "last"]},
            RELU,
        ],
        (7, 5, 4),
        2,
    ),
    "two-readers": (
        [
            {**conv(8), "name": "first"},
            {**NORMALIZED, "name": "same"},
            {"type": "Add", "from": ["first", "same"]},
        ],
        (7, 5, 4),
        0,
    ),
    "normalized-first": ([NORMALIZED, *of(conv(8))], (7, 5, 4), 1),
    "renormalized": (of(conv(8), renorm=True), (7, 5, 4), 0),
    "transposed": ([{**conv(8, strides=2), "type": "Conv2DTranspose"}, NORMALIZED], (5, 4, 4), 0),
    "no-normalization": ([conv(8), RELU, conv(8)], (7, 5, 4), 0),
}


def spec(layers: list[dict[str, Any]], shape: tuple[int, ...]) -> dict[str, Any]:
    ends = [{"type": f"GlobalAveragePooling{len(shape) - 1}D"}, {"type": "Dense", "units": 3}]
    training = {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.05}}
    return {"inputs": {"x": {"shape": list(shape)}}, "layers": [*layers, *ends], "training": training}


@pytest.fixture
def graphs_before(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """The training graphs that the pass gets."""
    graphs: list[Graph] = []
    monkeypatch.setattr(simplify_step_module, "fold_gamma_into_weights", lambda graph, _: graphs.append(graph) or graph)
    return graphs


@pytest.mark.parametrize("name", NETWORKS)
def test_products_of_gamma_with_images_are_removed(name: str, graphs_before: list[Graph]) -> None:
    layers, shape, many = NETWORKS[name]
    plan_training(check_spec(spec(layers, shape)))
    (graph,) = graphs_before
    assert len(fold_batchnorm_gamma.GammaFoldPlanner(graph, BATCH_SIZE).plans()) == many
    products = [
        images(each, shape) for each in (graph, fold_batchnorm_gamma.fold_gamma_into_weights(graph, BATCH_SIZE))
    ]
    assert products[0] - products[1] == many


def test_images_smaller_than_their_weights_keep_gamma(graphs_before: list[Graph]) -> None:
    plan_training(check_spec(spec([*of(conv(64)), *of(conv(64))], (5, 5, 64))))
    (graph,) = graphs_before
    weights, positions = 9 * 64 * 64, 25 * 64
    assert fold_batchnorm_gamma.GammaFoldPlanner(graph, weights // positions).plans() == {}
    assert len(fold_batchnorm_gamma.GammaFoldPlanner(graph, weights // positions + 1).plans()) == 2


def images(graph: Graph, shape: tuple[int, ...]) -> int:
    """The number of products as large as images."""
    types = [node.outputs[0].type for node in graph.nodes if node.op == "Mul"]
    return sum(type.rank == len(shape) + 1 and not type.is_static() for type in types)


@pytest.mark.costly(9)
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_steps_compute_the_same(name: str, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    layers, shape, _ = NETWORKS[name]
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((6, *shape), np.float32), rng.standard_normal((6, 3), np.float32)
    results = []
    for pass_ in (fold_batchnorm_gamma.fold_gamma_into_weights, lambda graph, _: graph):
        monkeypatch.setattr(simplify_step_module, "fold_gamma_into_weights", pass_)
        trainer = Trainer(spec(layers, shape), seed=1, fast=fast)
        initial = trainer.weights()
        losses = [trainer.step(x, y)["loss"] for _ in range(3)]
        results.append((losses, {name: weight - initial[name] for name, weight in trainer.weights().items()}))
    (folded_losses, folded_updates), (losses, updates) = results
    np.testing.assert_allclose(folded_losses, losses, rtol=3e-6)
    assert_same_updates(folded_updates, updates)


def assert_same_updates(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Compares the updates of weights relative to the largest one in the same layer.

    The gradient of a bias that a normalization follows is a sum of cotangents that cancel: zero but for rounding. The
    kernel's gradient sums the same cotangents, weighted by its inputs, so its size bounds that rounding, which the
    bias' own gradient does not.
    """
    largest: dict[str, float] = {}
    for name, update in expected.items():
        layer = name.rpartition("/")[0]
        largest[layer] = max(largest.get(layer, 0.0), float(np.abs(update).max()))
    for name, update in expected.items():
        tolerance = 2e-5 * largest[name.rpartition("/")[0]]
        np.testing.assert_allclose(actual[name], update, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_sums_over_an_image_are_multiplied_by_its_gamma(keepdims: int) -> None:
    """What a bias gets of a normalization is zero: so here of an image that no normalization made."""
    g = Builder()
    x, dy = (g.input(name, TensorType("float32", (BATCH, 3, 4, 5))) for name in ("x", "dy"))
    gain, k, c = (g.input(name, TensorType("float32", (1, 3, 1, 1))) for name in ("gain", "k", "c"))
    image = g.Add(g.Add(g.Mul(x, g.Mul(g.Mul(gain, k), -2.0)), g.Mul(dy, gain)), g.Div(g.Neg(g.Mul(c, gain)), 4.0))
    places = g.reshape(g.transpose(image, [1, 0, 2, 3]), (3, Size.named("places")))
    weights = g.reshape(g.MatMul(places, g.transpose(places_of(g, x), [1, 0])), (3, 3, 1, 1))
    g.gradients[weights] = GradientInfo("Conv", x, image, {"group": 1})
    total = g.ReduceSum(image, [0, 2, 3], keepdims=keepdims)
    graph = g.graph({"weights": weights, "total": total})
    rng = np.random.default_rng(2)
    feeds = {
        name: rng.standard_normal((2, 3, 4, 5) if value.rank == 4 and value.shape[1:] == (3, 4, 5) else (1, 3, 1, 1))
        for name, value in graph.inputs.items()
    }
    feeds = {name: array.astype(np.float32) for name, array in feeds.items()}
    (plan_,) = fold_batchnorm_gamma.GammaFoldPlanner(graph, BATCH_SIZE).plans().values()
    assert len(plan_.scaled_value_axes) == 2
    for pass_ in (lambda graph, _: graph, fold_batchnorm_gamma.fold_gamma_into_weights):
        session = create_session(
            serialize(to_model_proto(pass_(graph, BATCH_SIZE))), resolve_provider("cpu"), threads=1
        )
        results = session.run(["weights", "total"], feeds)
        image_ = feeds["dy"] * feeds["gain"] - 2 * feeds["x"] * feeds["gain"] * feeds["k"]
        image_ = image_ - feeds["c"] * feeds["gain"] / 4
        np.testing.assert_allclose(
            results[0][..., 0, 0], np.einsum("nahw,nbhw->ab", image_, feeds["x"]), rtol=1e-5, atol=1e-5
        )
        np.testing.assert_allclose(results[1].ravel(), image_.sum((0, 2, 3)), rtol=1e-5, atol=1e-5)


def places_of(g: Builder, x: Value) -> Value:
    return g.reshape(g.transpose(x, [1, 0, 2, 3]), (3, Size.named("places")))


def test_gammas_of_many_readers_of_one_convolution_are_folded() -> None:
    """Their cotangents are a long sum."""
    branches = [{"type": "Activation", "activation": "tanh", "name": f"b{n}", "from": "stem"} for n in range(600)]
    layers = [{**conv(2), "name": "stem"}, *branches, {"type": "Add", "from": [branch["name"] for branch in branches]}]
    plan_training(check_spec(spec(layers, (4, 4, 1))))
