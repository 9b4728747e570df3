"""Small weights that the engine packs into vectors: variables keep their names, values and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonnx.ir import Graph
from jsonnx.pipeline.train.trainer import Trainer
from jsonnx.runtime.execution import execution_plan
from support.optimizer_names import OPTIMIZER_NAMES


def spec(optimizer: Any = "adam") -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [6]}},
        "layers": [
            {"type": "Dense", "name": "first", "units": 7, "activation": "relu"},
            {"type": "BatchNormalization", "name": "norm"},
            {"type": "Dense", "name": "bounded", "units": 5, "kernel_constraint": "non_neg"},
            {"type": "Dense", "name": "last", "units": 3},
        ],
        "training": {"loss": "mse", "optimizer": optimizer},
    }


def trained(document: dict[str, Any]) -> tuple[Trainer, list[float]]:
    """A trainer after four steps, and their losses."""
    rng = np.random.default_rng(3)
    trainer = Trainer(document, seed=5)
    batches = [(rng.standard_normal((8, 6), np.float32), rng.standard_normal((8, 3), np.float32)) for _ in range(4)]
    return trainer, [trainer.step(x, y)["loss"] for x, y in batches]


def without_packing(graph: Graph, packs: bool | None = None) -> tuple[Graph, dict[str, list[str]]]:
    return graph, {}


@pytest.mark.costly(2)
@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
def test_variables_are_those_of_unpacked_weights(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, losses = trained(spec(optimizer))
    monkeypatch.setattr(execution_plan, "pack_weights", without_packing)
    unpacked, expected_losses = trained(spec(optimizer))
    assert losses == pytest.approx(expected_losses, rel=1e-6)
    variables, expected = packed.plan_trainer.engine.variables(), unpacked.plan_trainer.engine.variables()
    assert list(variables) == list(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(variables[name], array, rtol=1e-6, atol=1e-7, err_msg=name)


def test_weights_are_written_and_read_by_their_names() -> None:
    trainer, _ = trained(spec())
    assert trainer.plan_trainer.engine.execution.packed_vectors
    weights = {name: np.full_like(array, index) for index, (name, array) in enumerate(trainer.weights().items())}
    trainer.set_weights(weights)
    for name, array in trainer.weights().items():
        np.testing.assert_array_equal(array, weights[name])
    x = np.ones((2, 6), np.float32)
    np.testing.assert_allclose(trainer.predict(x), trainer.model().session().run(x)["last"], rtol=1e-5)


def test_a_checkpoint_of_unpacked_weights_resumes_a_packed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.ones((8, 6), np.float32), np.ones((8, 3), np.float32)
    packed, _ = trained(spec())
    with monkeypatch.context() as context:
        context.setattr(execution_plan, "pack_weights", without_packing)
        trained(spec())[0].save_checkpoint(tmp_path / "unpacked")
    resumed = Trainer(spec(), seed=5)
    assert resumed.load_checkpoint(tmp_path / "unpacked") == []
    assert resumed.step(x, y) == pytest.approx(packed.step(x, y), rel=1e-6)
