"""Frozen weights that training keeps in 16 bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx import Trainer
from jsonnx.core.callback import Callback
from jsonnx.core.numpy_types import numpy_dtype
from jsonnx.data.samples.data_errors import FeedError
from jsonnx.interop.bfloat16 import widened
from jsonnx.ir import Parameter
from jsonnx.passes.training_steps.frozen_weights import recast_frozen_weights
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.runtime.execution.engine import Engine
from jsonnx.runtime.session.weight_files import read_weight_file
from support.commands import jsonnx as command

TYPES = ["float16", "bfloat16"]
SIZE = 96
RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, SIZE)).astype(np.float32)
Y = np.tanh(X[:, :1] * X[:, 1:2]).astype(np.float32)
DENSE = {"type": "Dense", "units": SIZE, "activation": "tanh"}


def spec(dtype: str, **training: Any) -> dict[str, Any]:
    """A frozen layer between two others, which is called twice."""
    layers = [
        {**DENSE, "name": "first"},
        {**DENSE, "name": "frozen", "trainable": False},
        {"use": "frozen", "name": "again"},
        {"type": "Dense", "name": "last", "units": 1},
    ]
    section = {"loss": "mse", "optimizer": "adam", "batch_size": 16, "frozen_dtype": dtype, **training}
    return {"inputs": {"x": {"shape": [SIZE]}}, "layers": layers, "training": section}


def stored(trainer: Trainer) -> dict[str, np.ndarray]:
    return dict(trainer.plan_trainer.engine.state_dict())


@pytest.mark.parametrize("remat", [None, "full", "activations"])
@pytest.mark.parametrize("dtype", TYPES)
def test_a_step_computes_with_the_rounded_weight(dtype: str, remat: str | None) -> None:
    trainer = Trainer(spec(dtype, remat=remat))
    weights = trainer.weights()
    exact = Trainer(spec("float32"), weights=weights)
    for _ in range(3):
        assert trainer.step(X, Y)["loss"] == pytest.approx(exact.step(X, Y)["loss"], rel=1e-5)
    for name, weight in exact.weights().items():
        np.testing.assert_allclose(trainer.weights()[name], weight, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(trainer.predict(X), exact.predict(X), rtol=1e-4, atol=1e-5)
    assert trainer.evaluate(X, Y)["loss"] == pytest.approx(exact.evaluate(X, Y)["loss"], rel=1e-4)


@pytest.mark.parametrize("dtype", TYPES)
def test_weights_are_rounded_and_only_large_frozen_ones_are_stored_so(dtype: str) -> None:
    trainer, drawn = Trainer(spec(dtype)), Trainer(spec("float32")).weights()
    rounded = drawn["frozen/kernel"].astype(numpy_dtype(dtype)).astype(np.float32)
    assert np.array_equal(trainer.weights()["frozen/kernel"], rounded)
    assert {name for name, array in stored(trainer).items() if array.dtype == numpy_dtype(dtype)} == {"frozen/kernel"}
    trainer.fit(X, Y, epochs=2)
    assert np.array_equal(trainer.weights()["frozen/kernel"], rounded)
    model = trainer.model()
    assert np.array_equal(model.weights["frozen/kernel"], rounded)
    (outputs,) = model.session().run({"x": X}).values()
    np.testing.assert_allclose(outputs, trainer.predict(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", TYPES)
def test_a_run_resumes_bit_for_bit(dtype: str, tmp_path: Path) -> None:
    document = spec(dtype, restore_best_weights=True, early_stopping={"monitor": "loss", "patience": 9})
    whole, first, resumed = Trainer(document), Trainer(document), Trainer(document)
    whole.fit(X, Y, epochs=3)

    class StopAfterFirstEpoch(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            first.save_checkpoint(tmp_path / "checkpoint")
            first.stop()

    first.fit(X, Y, epochs=3, callbacks=[StopAfterFirstEpoch()])
    resumed.load_checkpoint(tmp_path / "checkpoint")
    resumed.fit(X, Y, epochs=3)
    for name, array in stored(whole).items():
        assert array.tobytes() == stored(resumed)[name].tobytes(), name


def test_the_type_cannot_change_when_a_run_is_resumed(tmp_path: Path) -> None:
    Trainer(spec("float16")).save_checkpoint(tmp_path / "checkpoint")
    with pytest.raises(jsonnx.CompileError, match=r"`training\.frozen_dtype` of the spec has changed"):
        Trainer(spec("bfloat16")).load_checkpoint(tmp_path / "checkpoint")


@pytest.mark.parametrize("dtype", TYPES)
def test_the_backward_pass_casts_again(dtype: str) -> None:
    """The float32 copy of the forward pass is not kept for the backward pass, whatever onnxruntime merges."""
    trainer = Trainer(spec(dtype))
    engine: Engine = trainer.plan_trainer.engine
    graph = engine.loader.optimize(engine.execution.step_graph, len(X))
    weight = graph.parameters["frozen/kernel"]
    reshapes = [node for node in graph.nodes if node.op == "Reshape" and node.inputs[0] is weight]
    casts = [node for node in graph.nodes if node.op == "Cast" and node.outputs[0].shape == weight.shape]
    assert len(reshapes) == 1
    assert len(casts) == 2
    readers = [[node for node in graph.nodes if cast.outputs[0] in node.inputs] for cast in casts]
    assert [len(nodes) for nodes in readers] == [2, 2]
    assert recast_frozen_weights(engine.plan.evaluate) is engine.plan.evaluate


def test_rows_of_a_frozen_table_are_cast_after_the_lookup() -> None:
    table = {"type": "Embedding", "name": "table", "input_dim": 1000, "output_dim": 16, "trainable": False}
    layers = [table, {"type": "Flatten"}, {"type": "Dense", "name": "last", "units": 1}]
    section = {"loss": "mse", "optimizer": "adam", "frozen_dtype": "bfloat16"}
    trainer = Trainer({"inputs": {"x": {"shape": [3], "dtype": "int32"}}, "layers": layers, "training": section})
    train = trainer.plan.train
    (reader,) = [node for node in train.nodes if train.parameters["table/embeddings"] in node.inputs]
    assert reader.op == "Gather"
    trainer.step(np.arange(30, dtype=np.int32).reshape(10, 3), np.ones((10, 1), np.float32))


def test_mixed_precision_reads_a_weight_of_its_type_without_a_cast() -> None:
    document = spec("float16", precision="mixed_float16")
    train = plan_training(check_spec(document)).train
    weight: Parameter = train.parameters["frozen/kernel"]
    readers = [node for node in train.nodes if weight in node.inputs]
    assert weight.dtype == "float16"
    assert {node.outputs[0].dtype for node in readers} == {"float16"}


def test_a_weight_that_float16_cannot_hold_is_an_error() -> None:
    trainer = Trainer(spec("float16"))
    weights = trainer.weights()
    weights["frozen/kernel"][0, 0] = 1e6
    with pytest.raises(FeedError, match="'frozen/kernel' has values too large for float16"):
        trainer.set_weights(weights)
    with pytest.raises(FeedError, match="'frozen/kernel' has values too large for float16"):
        Trainer(spec("float16"), weights=weights)
    assert Trainer(spec("bfloat16"), weights=weights).weights()["frozen/kernel"][0, 0] == pytest.approx(1e6, rel=0.01)


def test_an_initial_weight_that_float16_cannot_hold_is_an_error() -> None:
    document = spec("float16")
    document["layers"][1]["kernel_initializer"] = {"type": "Constant", "value": 1e6}
    with pytest.raises(jsonnx.CompileError, match="'frozen/kernel' has numbers that float16 cannot hold"):
        Trainer(document)


@pytest.mark.parametrize("dtype", TYPES)
def test_an_exported_step_reads_16_bits(dtype: str, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(spec(dtype)), encoding="utf-8")
    command("compile", str(tmp_path / "spec.json"), "--training", "-o", str(tmp_path / "folder"))
    variables = json.loads((tmp_path / "folder" / "manifest.json").read_text(encoding="utf-8"))["variables"]
    assert variables["frozen/kernel"]["dtype"] == dtype
    kernel = widened(read_weight_file(tmp_path / "folder" / "weights.safetensors")["frozen/kernel"])
    assert np.array_equal(kernel, kernel.astype(numpy_dtype(dtype)).astype(kernel.dtype))
