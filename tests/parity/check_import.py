"""Models of Keras, read back from their JSON: the same outputs as Keras' own.

Not collected by the ordinary suite: `sh tests/parity/run.sh import` runs it where Keras is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jsonnx
import oracle
import pytest
from cases import Network, all_networks
from check_layers import OUTPUT_TOLERANCE, difference, shapes, worst
from drawing import alone, draw_batch, draw_weights
from jsonnx.api import Trainer


@pytest.fixture(scope="module", autouse=True)
def quick_compiler() -> Iterator[None]:
    """Nearly all time goes into compiling for JAX."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def networks() -> list[Network]:
    """Those of the table that differ in their layers, not in how they are trained."""
    return [case for case in all_networks() if not case.id.startswith(("loss-", "optimizer-", "metric-"))]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in networks()])
def test_a_network_comes_back_from_its_json(case: Network, record_property: Any) -> None:
    model = oracle.keras_model(case.spec, initial=False)
    spec, _ = jsonnx.from_keras(model.to_json())
    spec["training"] = case.spec.get("training")
    trainer = Trainer({key: value for key, value in spec.items() if value is not None})
    assert shapes(trainer.weights()) == shapes(oracle.weights(model)), "other weights"
    start = draw_weights(trainer.weights())
    trainer.set_weights(start)
    oracle.set_weights(model, start)
    x, _ = draw_batch(case, Trainer(case.spec).plan, 0)
    found = trainer.model().session().run(x)
    wanted = oracle.outputs(model, alone(x))
    error = worst(difference(one, other) for one, other in zip(found.values(), wanted.values(), strict=True))
    record_property("output", error)
    assert error < OUTPUT_TOLERANCE
