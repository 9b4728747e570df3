"""SpectralNormalization: division by the largest singular value."""

from __future__ import annotations

import numpy as np
from support.harness import draw_weights, lower, one_layer, run

SPEC = {"type": "SpectralNormalization", "layer": {"type": "Dense", "units": 3}, "power_iterations": 50}


def test_the_kernel_is_divided_by_its_largest_singular_value_in_training_only() -> None:
    typed, rng = one_layer(SPEC, (4,)), np.random.default_rng(0)
    graph = lower(typed, training=True)
    weights = draw_weights(graph, rng)
    x = rng.normal(size=(2, 4)).astype("float32")
    kernel, bias = weights["layer/dense/kernel"], weights["layer/dense/bias"]
    sigma = np.linalg.norm(kernel, 2)
    results = run(graph, {"x0": x, **weights})
    np.testing.assert_allclose(results["layer"], x @ kernel / sigma + bias, rtol=1e-5)
    np.testing.assert_allclose(run(lower(typed), {"x0": x, **weights})["layer"], x @ kernel + bias, rtol=1e-5)


def test_a_zero_kernel_stays_zero() -> None:
    graph = lower(one_layer(SPEC, (4,)), training=True)
    weights = {name: np.zeros_like(value) for name, value in draw_weights(graph, np.random.default_rng(0)).items()}
    assert (run(graph, {"x0": np.ones((2, 4), "float32"), **weights})["layer"] == 0).all()
