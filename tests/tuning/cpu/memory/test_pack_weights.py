"""Steps on joined weights against steps on each by itself."""

from __future__ import annotations

from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.plan_training import plan_training
from jsonnx.pipeline.trainer import Trainer
from jsonnx.runtime import execution_plan
from jsonnx.training.optimizers import OPTIMIZERS
from jsonnx.tuning.cpu.memory import pack_weights as pack_weights_module
from jsonnx.tuning.cpu.memory.pack_weights import pack_weights

LAYERS = [
    {"type": "Dense", "name": "first", "units": 7, "activation": "relu"},
    {"type": "Dense", "name": "second", "units": 7, "kernel_regularizer": "l2"},
    {"type": "BatchNormalization", "name": "norm"},
    {"type": "Dense", "name": "bounded", "units": 5, "kernel_constraint": "non_neg"},
    {"type": "Dense", "name": "last", "units": 3},
]


def spec(optimizer: Any = "adam", layers: list[dict[str, Any]] = LAYERS, **training: Any) -> dict[str, Any]:
    return {
        "inputs": {"x": {"shape": [6]}},
        "layers": layers,
        "training": {"loss": "mse", "optimizer": optimizer, **training},
    }


def apart(graph: Any) -> Any:
    return graph, {}


def trained(document: dict[str, Any], steps: int = 4) -> tuple[Trainer, list[float]]:
    rng = np.random.default_rng(3)
    trainer = jsonnx.Trainer(document, seed=5)
    batches = [(rng.standard_normal((8, 6), np.float32), rng.standard_normal((8, 3), np.float32)) for _ in range(steps)]
    return trainer, [trainer.step(x, y)["loss"] for x, y in batches]


def both(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses and every variable, joined and apart."""
    joined, losses = trained(document)
    monkeypatch.setattr(execution_plan, "pack_weights", apart)
    single, expected = trained(document)
    assert losses == pytest.approx(expected, rel=1e-6)
    wanted = single._engine.variables()
    found = joined._engine.variables()
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-7, err_msg=name)


OPTIMIZER_NAMES = sorted(OPTIMIZERS.members)


@pytest.mark.parametrize("name", OPTIMIZER_NAMES)
def test_a_step_is_the_same_with_every_optimizer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    both(spec(name), monkeypatch)


@pytest.mark.parametrize(
    "document",
    [
        spec({"type": "adam", "amsgrad": True}),
        spec({"type": "adam", "clipnorm": 0.1}),
        spec({"type": "adam", "global_clipnorm": 0.1}),
        spec({"type": "sgd", "clipvalue": 0.01, "momentum": 0.9, "nesterov": True}),
        spec({"type": "rmsprop", "centered": True, "momentum": 0.5, "weight_decay": 0.1}),
        spec(learning_rates={"second": 0.5, "last": 2.0}),
        spec(freeze=["first"]),
    ],
    ids=["amsgrad", "clipnorm", "global_clipnorm", "nesterov", "centered", "rates", "freeze"],
)
def test_a_step_is_the_same_with_what_changes_updates(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    both(document, monkeypatch)


def test_what_is_renewed_alike_is_joined() -> None:
    graph, packs = pack_weights(plan_training(check_spec(spec(learning_rates={"last": 2.0}))).train)
    members = [set(names) for names in packs.values()]
    assert {
        "first/kernel",
        "first/bias",
        "second/kernel",
        "second/bias",
        "norm/gamma",
        "norm/beta",
        "bounded/bias",
    } in (members)
    assert {"last/kernel", "last/bias"} in members  # their rate is another
    assert "bounded/kernel" in graph.updates  # what a constraint projects stays by itself
    assert not {name for names in members for name in names} & {*graph.parameters, *graph.states, *graph.updates}
    assert len(graph.nodes) < len(plan_training(check_spec(spec())).train.nodes)


def test_large_weights_stay_by_themselves_and_vectors_are_bounded() -> None:
    layers = [{"type": "Dense", "units": units} for units in (6, 64, 64, *[48] * 30, 65, 65, 3)]
    graph, packs = pack_weights(plan_training(check_spec(spec(layers=layers))).train)
    assert all(graph.updates[name].type.elements <= pack_weights_module.MAX_VECTOR_ELEMENTS for name in packs)
    assert len([name for name in packs if "optimizer" not in name]) > 1
    assert max(value.type.elements for name, value in graph.parameters.items() if name not in packs) == 65 * 65


def test_weights_are_written_and_read_by_their_names() -> None:
    trainer, _ = trained(spec())
    weights = {name: np.full_like(array, index) for index, (name, array) in enumerate(trainer.weights().items())}
    trainer.set_weights(weights)
    for name, array in trainer.weights().items():
        np.testing.assert_array_equal(array, weights[name])
    x = np.ones((2, 6), np.float32)
    np.testing.assert_allclose(trainer.predict(x), trainer.model().session().run(x)["last"], rtol=1e-5)


def test_a_run_goes_on_from_a_checkpoint_of_weights_apart(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.ones((8, 6), np.float32), np.ones((8, 3), np.float32)
    joined, _ = trained(spec())
    with monkeypatch.context() as patched:
        patched.setattr(execution_plan, "pack_weights", apart)
        trained(spec())[0].save_checkpoint(tmp_path / "apart")
    other = jsonnx.Trainer(spec(), seed=5)
    assert other.load_checkpoint(tmp_path / "apart") == []
    assert other.step(x, y) == pytest.approx(joined.step(x, y), rel=1e-6)
