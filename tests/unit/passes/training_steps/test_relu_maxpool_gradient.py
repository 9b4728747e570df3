"""ReLU masks that are moved behind the max pooling: the same step, and smaller masks."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.gradient.training_step import training_step, with_loss
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.passes.training_steps import relu_maxpool_gradient
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.graphs import forward_graph
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.providers.random import draw_initial_weights
from jsonnx.tuning.cpu.gradient import CPU_GRADIENTS
from support.harness import run


def training_step_of(pool: dict, shape: tuple[int, ...] = (9, 8, 2), *, moves_masks: bool):
    axes = len(shape) - 1
    spec = {
        "inputs": {"image": {"shape": list(shape)}},
        "layers": [
            {"type": f"Conv{axes}D", "filters": 3, "kernel_size": 2, "activation": "relu"},
            {"type": f"MaxPooling{axes}D", **pool},
            {"type": "Flatten"},
            {"type": "Dense", "units": 1},
        ],
        "training": {"loss": "mean_squared_error", "optimizer": {"type": "SGD", "learning_rate": 1.0}},
    }
    checked = check_spec(spec)
    if moves_masks:
        return plan_training(checked).train
    return canonicalize(
        training_step(
            canonicalize(with_loss(forward_graph(checked, training=True), checked.objective)),
            checked.require().network.training.optimizer,
            tuning=CPU_GRADIENTS,
        )
    )


@pytest.mark.parametrize("shape", [(9, 8, 2), (4, 6, 5, 2)], ids=str)
@pytest.mark.parametrize("pool", [{}, {"pool_size": 3}, {"strides": 1}, {"pool_size": 3, "padding": "same"}], ids=str)
def test_steps_with_masks_behind_the_pooling_compute_the_same(pool: dict, shape: tuple[int, ...]) -> None:
    plain, moved = training_step_of(pool, shape, moves_masks=False), training_step_of(pool, shape, moves_masks=True)
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, (4, *shape)).astype(np.float32)  # with ties, and windows in which nothing is positive
    feeds = {"image": x, "dense/target": rng.normal(size=(4, 1)).astype(np.float32)}
    feeds |= draw_initial_weights(plain, 0) | {"learning_rate": np.array(1.0, np.float32)}
    expected, results = run(plain, feeds), run(moved, feeds)
    for name, value in expected.items():
        np.testing.assert_allclose(results[name], value, rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize(("shape", "image", "pooled"), [((9, 8, 2), 56, 12), ((4, 6, 5, 2), 60, 4)])
def test_a_moved_mask_has_the_size_of_the_pooled_image(shape: tuple[int, ...], image: int, pooled: int) -> None:
    def elements(graph) -> list[int]:
        steps = [
            node for node in graph.nodes if node.op == "HardSigmoid" and relu_maxpool_gradient.is_step_function(node)
        ]
        return [int(np.prod(node.outputs[0].shape[2:])) for node in steps]

    assert elements(training_step_of({}, shape, moves_masks=False)) == [image]
    assert elements(training_step_of({}, shape, moves_masks=True)) == [pooled]
