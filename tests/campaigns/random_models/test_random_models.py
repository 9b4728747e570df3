"""Checks a few random models; `run.py` beside this file checks any number of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from campaigns.random_models import ledger, run
from campaigns.random_models.generate import SKIPPED, spec
from campaigns.random_models.oracles import Case, digest, examine
from campaigns.random_models.reference import Reference
from campaigns.random_models.shrink import shrink
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder
from jsonnx.layers import LAYERS
from jsonnx.training.losses.losses import LOSSES
from jsonnx.training.optimizers.optimizers import OPTIMIZERS

SEEDS = [*range(15), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(15, 75))]


@pytest.mark.costly(6)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", SEEDS)
def test_every_oracle_holds_for_a_seed(seed: int) -> None:
    assert [str(broken) for broken in examine(spec(seed), seed)] == []


@pytest.mark.slow
def test_every_layer_loss_and_optimizer_is_drawn() -> None:
    """A layer that is never drawn needs an entry in draw.py: in INPUTS, BY_NAME or BY_TYPE."""
    drawn_types = {kind for seed in range(4 * len(LAYERS.members)) for kind in types(spec(seed))}
    for registry in (LAYERS, LOSSES, OPTIMIZERS):
        assert set(registry.members) - SKIPPED <= drawn_types


def types(value: Any) -> set[str]:
    """Returns all strings in a spec, at any depth."""
    if isinstance(value, str):
        return {value}
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(types, items))


def test_a_seed_gives_the_same_model_and_bytes_in_every_process() -> None:
    assert spec(3) == spec(3)
    lines, error = run.run_child("digests", 0, 5, "12345")
    assert not error
    assert [line["digest"] for line in lines] == [digest(Case(spec(seed), seed)) for seed in range(5)]


def test_a_failing_model_is_shrunk_to_the_failing_layer() -> None:
    def fails(candidate: dict) -> bool:
        kinds = [entry.get("type") for entry in candidate["layers"]]
        return "Reshape" in kinds and not examine(candidate, only=["shapes"])

    large = next(model for model in map(spec, range(1000)) if len(model["layers"]) > 8 and fails(model))
    small = shrink(large, fails, seconds=5)
    assert len(small["layers"]) <= 2


def test_reference_log_softmax_is_finite_where_softmax_is_zero() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (2,)))
    results = Reference(g.graph({"y": g.LogSoftmax(x, axis=-1)}))({"x": np.float32([0, -2000])})
    assert results["y"].tolist() == [0, -2000]


def test_adjacent_runs_of_the_ledger_are_merged() -> None:
    a, b = {"version": "a", "first": 0, "count": 50}, {"version": "a", "first": 50, "count": 25}
    other = {"version": "b", "first": 75, "count": 5}
    assert ledger.merge_runs([b, other, a]) == [{"version": "a", "first": 0, "count": 75}, other]
