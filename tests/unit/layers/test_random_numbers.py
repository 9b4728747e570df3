"""Random numbers in inference: inputs of the model that are drawn by a seed, and in training by the step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import onnx
import onnxruntime
import pytest
from jsonnx.core.random_inputs import RANDOM_INPUTS, Distribution, random_inputs_from, random_inputs_json
from jsonnx.data.samples.data_errors import FeedError
from support.commands import jsonnx as command

RNG = np.random.default_rng(0)


def network(*layers: dict[str, Any], shape: tuple[Any, ...] = (3,), **keys: Any) -> dict[str, Any]:
    return {"inputs": {"x": {"shape": list(shape)}}, "layers": list(layers), **keys}


def noisy(**arguments: Any) -> dict[str, Any]:
    """A network that adds normally distributed numbers to its input."""
    noise = {"type": "random.normal", "name": "noise", "from": "x", **arguments}
    return network(noise, {"type": "Add", "name": "y", "from": ["x", "noise"]})


TRAINING = {"loss": "mse", "optimizer": "adam", "epochs": 2, "batch_size": 8, "seed": 4}
TRAINED = network(
    {"type": "Dense", "name": "mean", "units": 2},
    {"type": "random.normal", "name": "noise", "stddev": 0.5},
    {"type": "Add", "name": "z", "from": ["mean", "noise"]},
    {"type": "Dense", "name": "y", "units": 1},
    training=TRAINING,
)
X, Y = RNG.normal(size=(40, 3)).astype(np.float32), RNG.normal(size=(40, 1)).astype(np.float32)


def test_random_numbers_are_an_input_that_other_programs_feed() -> None:
    model = jsonnx.compile(noisy())
    session = onnxruntime.InferenceSession(model.to_bytes())
    assert [(value.name, value.shape) for value in session.get_inputs()] == [
        ("x", ["batch", 3]),
        ("noise", ["batch", 3]),
    ]
    noise = RNG.normal(size=(2, 3)).astype(np.float32)
    (y,) = session.run(None, {"x": X[:2], "noise": noise})
    np.testing.assert_array_equal(y, X[:2] + noise)
    np.testing.assert_array_equal(model.session().run({"x": X[:2], "noise": noise})["y"], y)
    assert str(model.inputs["noise"]) == "float32[batch, 3]"
    (signature,) = (item.value for item in model.proto.metadata_props if item.key == "jsonnx.signature")
    assert list(json.loads(signature)["inputs"]) == ["x", "noise"]


def test_a_session_draws_by_its_seed_and_goes_on_with_each_run() -> None:
    model = jsonnx.compile(noisy())
    first, second = (model.session() for _ in range(2))
    assert list(first.inputs) == ["x"]
    assert list(first.random_inputs) == ["noise"]
    runs = [first.run(X)["y"] for _ in range(2)]
    assert not np.array_equal(*runs)
    np.testing.assert_array_equal(second.run(X)["y"], runs[0])
    np.testing.assert_array_equal(second.run(X)["y"], runs[1])
    assert not np.array_equal(model.session(seed=1).run(X)["y"], runs[0])


def test_numbers_of_a_sample_do_not_depend_on_the_size_of_batches() -> None:
    model = jsonnx.compile(noisy())
    whole, parts = model.session().run(X)["y"], model.session()
    rows = (slice(0, 7), slice(7, 8), slice(8, 40))
    np.testing.assert_array_equal(np.concatenate([parts.run(X[each])["y"] for each in rows]), whole)
    trainer = jsonnx.Trainer(TRAINED)
    np.testing.assert_allclose(trainer.predict(X, batch_size=8), trainer.predict(X, batch_size=40), rtol=1e-5)
    small, large = (trainer.evaluate(X, Y, batch_size=size)["loss"] for size in (8, 40))
    assert small == pytest.approx(large, rel=1e-5)


@pytest.mark.parametrize("samples", [1, 4000])
def test_the_distributions_have_their_parameters(samples: int) -> None:
    x = np.zeros((samples, 3), np.float32)
    normal = jsonnx.compile(noisy(mean=3.0, stddev=0.5)).session().run(x)["y"]
    uniform = noisy() | {
        "layers": [{"type": "random.uniform", "name": "noise", "minval": -1, "maxval": 3}, *noisy()["layers"][1:]]
    }
    drawn = jsonnx.compile(uniform).session().run(x)["y"]
    assert -1 <= drawn.min() <= drawn.max() < 3
    if samples > 1:
        assert normal.mean() == pytest.approx(3.0, abs=0.03)
        assert normal.std() == pytest.approx(0.5, abs=0.02)
        assert drawn.mean() == pytest.approx(1.0, abs=0.05)
        assert drawn.std() == pytest.approx(4 / 12**0.5, abs=0.03)


def test_a_session_shows_what_it_feeds() -> None:
    session = jsonnx.compile(noisy()).session()
    feeds = session.prepare(X)
    np.testing.assert_array_equal(session.run(feeds)["y"], feeds["x"] + feeds["noise"])


@pytest.mark.parametrize("arguments", [("profile", "--steps", "2"), ("parity", "--providers", "cpu")])
def test_tools_feed_random_inputs(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(noisy()))
    jsonnx.compile(noisy()).save(tmp_path / "model.onnx")
    for name in ("spec.json", "model.onnx"):
        command(arguments[0], str(tmp_path / name), *arguments[1:])


def test_a_seed_of_the_layer_replaces_that_of_the_session() -> None:
    model = jsonnx.compile(noisy(seed=5))
    np.testing.assert_array_equal(model.session(seed=1).run(X)["y"], model.session(seed=2).run(X)["y"])


def test_shapes_follow_from_the_sizes_of_the_inputs() -> None:
    spec = network(
        {"type": "Conv1D", "name": "halved", "filters": 2, "kernel_size": 2, "strides": 2},
        {"type": "random.normal", "name": "noise"},
        {"type": "Add", "name": "y", "from": ["halved", "noise"]},
        {"type": "random.uniform", "name": "rows", "shape": [{"axis": 0}, {"axis": 1}, 5], "from": "x"},
        {"type": "Identity", "name": "z"},
        shape=("time", 3),
        outputs=["y", "z"],
    )
    results = jsonnx.compile(spec).session().run(RNG.normal(size=(2, 9, 3)).astype(np.float32))
    assert results["y"].shape == (2, 4, 2)
    assert results["z"].shape == (2, 9, 5)


def test_an_input_keeps_its_layout_in_a_convolutional_network() -> None:
    spec = network(
        {"type": "Conv2D", "name": "a", "filters": 4, "kernel_size": 3},
        {"type": "random.normal", "name": "noise"},
        {"type": "Multiply", "name": "b", "from": ["a", "noise"]},
        {"type": "Conv2D", "name": "c", "filters": 2, "kernel_size": 3},
        shape=(8, 10, 3),
        training=TRAINING,
    )
    model = jsonnx.compile(spec)
    assert str(model.inputs["noise"]) == "float32[batch, 6, 8, 4]"
    x = RNG.normal(size=(2, 8, 10, 3)).astype(np.float32)
    trainer = jsonnx.Trainer(spec)
    noise = model.session().run({"x": x, "noise": np.zeros((2, 6, 8, 4), np.float32)})["c"]
    np.testing.assert_allclose(noise, np.broadcast_to(model.weights["c/bias"], noise.shape), atol=1e-6)
    assert trainer.predict(x).shape == (2, 4, 6, 2)


def test_calls_of_a_block_draw_numbers_of_their_own() -> None:
    spec = {
        "inputs": {"x": {"shape": [3]}},
        "blocks": {"noisy": {"inputs": ["x"], "layers": noisy()["layers"]}},
        "layers": [
            {"type": "noisy", "name": "one", "from": "x"},
            {"use": "one", "name": "two", "from": "x"},
            {"type": "Subtract", "name": "y", "from": ["one", "two"]},
        ],
    }
    session = jsonnx.compile(spec).session()
    assert list(session.random_inputs) == ["one_noise", "two_noise"]
    assert np.abs(session.run(X)["y"]).min() > 0


def test_training_draws_new_numbers_for_every_step_and_resumes_with_the_same(tmp_path: Path) -> None:
    whole, resumed = jsonnx.Trainer(TRAINED), jsonnx.Trainer(TRAINED)
    losses = [whole.step(X[:8], Y[:8])["loss"] for _ in range(3)]
    assert len(set(losses)) == 3
    whole, halves = jsonnx.Trainer(TRAINED), jsonnx.Trainer(TRAINED)
    whole.fit(X, Y)
    halves.fit(X, Y, epochs=1)
    halves.save_checkpoint(tmp_path / "checkpoint")
    resumed.load_checkpoint(tmp_path / "checkpoint")
    resumed.fit(X, Y)
    for name, array in whole.weights().items():
        np.testing.assert_array_equal(resumed.weights()[name], array)


def test_validation_sees_the_same_numbers_after_every_epoch() -> None:
    trainer = jsonnx.Trainer(TRAINED)
    trainer.fit(X, Y, validation_data=(X, Y))
    assert trainer.evaluate(X, Y)["loss"] == pytest.approx(trainer.history.history["val_loss"][-1], rel=1e-6)
    assert trainer.evaluate(X, Y) == trainer.evaluate(X, Y)


def test_a_layer_learns_from_values_with_random_numbers() -> None:
    noise, total = noisy(mean=5.0)["layers"]
    spec = network(
        noise, total, {"type": "Normalization", "name": "scaled"}, {"type": "Dense", "units": 1}, training=TRAINING
    )
    trainer = jsonnx.Trainer(spec)
    trainer.fit(X, Y)
    np.testing.assert_allclose(trainer.weights()["scaled/mean"], X.mean(0) + 5, atol=0.6)


def test_random_numbers_that_only_a_loss_reads_are_no_input() -> None:
    layers = [
        {"type": "Dense", "name": "y", "units": 3},
        {"type": "random.normal", "name": "noise"},
        {"type": "Multiply", "name": "product", "from": ["y", "noise"]},
        {"type": "AddLoss", "name": "term"},
    ]
    model = jsonnx.compile(network(*layers, outputs="y", training=TRAINING))
    assert list(model.session().inputs) == ["x"]
    assert not model.session().random_inputs
    trainer = jsonnx.Trainer(network(*layers, outputs="y", training=TRAINING))
    trainer.fit(X, RNG.normal(size=(40, 3)).astype(np.float32))


def test_an_exported_step_documents_its_random_inputs(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(TRAINED))
    command("compile", str(tmp_path / "spec.json"), "--training", "-o", str(tmp_path / "step"))
    manifest = json.loads((tmp_path / "step" / "manifest.json").read_text())
    entry = {
        "dtype": "float32",
        "shape": ["batch", 2],
        "kind": "normal",
        "keep": 1.0,
        "scale": 0.5,
        "offset": 0.0,
        "seed": 4,
    }
    assert manifest["random"] == {"noise": entry}
    assert manifest["how"]["random"].endswith("An `offset` is added to them.")


# -- models and metadata of others -------------------------------------------------------------------------------------


def test_distributions_are_written_and_read() -> None:
    distributions = {"a": Distribution("normal", 1.0, 2.0, 7), "b": Distribution("uniform", -1.0, 3.0)}
    text = random_inputs_json(distributions)
    assert json.loads(text) == {
        "a": {"distribution": "normal", "mean": 1.0, "stddev": 2.0, "seed": 7},
        "b": {"distribution": "uniform", "minval": -1.0, "maxval": 2.0},
    }
    assert random_inputs_from({RANDOM_INPUTS: text}) == distributions


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", "[" * 100_000, '{"noise": 3}', '{"noise": {}}', '{"noise": {"distribution": ["normal"]}}'),
        '{"noise": {"distribution": "normal", "mean": "0", "stddev": 1}}',
        '{"noise": {"distribution": "normal", "mean": 0, "stddev": 1e999}}',
        '{"noise": {"distribution": "normal", "mean": true, "stddev": 1}}',
        '{"noise": {"distribution": "normal", "mean": 0, "stddev": 1, "seed": 1.5}}',
    ],
)
def test_damaged_metadata_leave_random_inputs_to_the_caller(text: str) -> None:
    session = jsonnx.Session(_with_metadata(jsonnx.compile(noisy()), text))
    assert not session.random_inputs
    with pytest.raises(FeedError, match="input 'noise' is missing"):
        session.run({"x": X})
    assert session.run({"x": X, "noise": np.zeros_like(X)})["y"].shape == X.shape


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("size", ["other", "batch//0", "99999999999*batch", "(" * 10_000, "-batch", "batch.real"])
def test_sizes_that_do_not_follow_from_the_feeds_are_errors(size: str, axis: int) -> None:
    proto = jsonnx.compile(noisy()).proto
    (noise,) = (value for value in proto.graph.input if value.name == "noise")
    noise.type.tensor_type.shape.dim[axis].dim_param = size
    session = jsonnx.Session(proto)
    with pytest.raises(FeedError, match="random inputs noise"):
        session.run({"x": X})


def _with_metadata(model: jsonnx.Model, text: str) -> onnx.ModelProto:
    """The model with a text as the distributions of its random inputs."""
    proto = model.proto
    (entry,) = (item for item in proto.metadata_props if item.key == RANDOM_INPUTS)
    entry.value = text
    return proto
