"""The closed form of many optimizer steps without a gradient, against the sum over these steps."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder
from jsonnx.training.optimizers import skipped_steps
from support.harness import run


def test_skipped_steps_of_adam_are_exact_for_roots_of_any_size_beside_epsilon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For roots of the velocity from far below epsilon to far above it, and learning rates that rise and fall."""
    monkeypatch.setattr(skipped_steps, "MAX_AGE", 150)
    max_age = skipped_steps.MAX_AGE
    skipped = skipped_steps.AdamSkippedSteps(0.9, 0.999, 1e-7, 0.0)
    assert skipped.is_exact
    g = Builder()
    sums_input = g.input("sums", TensorType("float32", (skipped.sum_count, max_age + 1)))
    rate_input = g.input("rate", TensorType("float32", ()))
    advance = g.graph({"advanced": skipped.advance_sums(g, sums_input, rate_input, {"rate": rate_input})})
    rates = 1e-3 * np.abs(np.sin(np.arange(1.0, max_age + 1)))
    sums = np.zeros(sums_input.shape, np.float32)
    for rate in rates:
        sums = run(advance, {"sums": sums, "rate": rate.astype(np.float32)})["advanced"]

    g = Builder()
    roots = np.geomspace(1e-10, 1e-3, 40)
    slots = {"momentum": g.const(np.ones((1, 40))), "velocity": g.const(roots[None] ** 2)}
    factors = [g.Slice(factor, [max_age], [max_age + 1], [1]) for factor in skipped.factors_by_age(g, g.const(sums))]
    weight, slots = skipped.catch_up(g, g.const(np.zeros((1, 40))), slots, factors)
    results = run(g.graph({"weight": weight, **slots}), {})
    ages = np.arange(1.0, max_age + 1)[:, None]
    updates = rates[:, None] * 0.9**ages / (roots * 0.999 ** (ages / 2) + 1e-7)
    np.testing.assert_allclose(-results["weight"][0], updates.sum(0), rtol=2e-6)
    np.testing.assert_allclose(results["momentum"], 0.9**max_age, rtol=1e-6)
    np.testing.assert_allclose(results["velocity"][0], roots**2 * 0.999**max_age, rtol=1e-6)
