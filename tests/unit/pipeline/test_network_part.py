"""Parts of networks as models of their own: `jsonnx compile --inputs z --outputs image`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.check.data_spec import index_limits, input_vocabularies
from jsonnx.pipeline.compile.compile import compile_checked, compile_part
from jsonnx.pipeline.compile.network_part import network_part
from jsonnx.runtime.parity.example_feeds import draw_inputs
from support.commands import jsonnx as command

SAMPLES = Path(__file__).parents[3] / "samples"
RNG = np.random.default_rng(0)
DENSE = {"type": "Dense", "units": 4, "activation": "tanh"}

PAIR: dict[str, Any] = {
    "name": "pair",
    "inputs": {"a": {"shape": [3]}, "b": {"shape": [3]}},
    "layers": [
        {**DENSE, "name": "tower", "from": "a"},
        {"use": "tower", "name": "other", "from": "b"},
        {"type": "Multiply", "name": "product", "from": ["tower", "other"]},
        {**DENSE, "name": "hidden"},
        {"type": "Dense", "name": "kind", "units": 2, "activation": "softmax"},
        {"type": "Dense", "name": "size", "units": 1, "from": "hidden"},
    ],
    "outputs": ["kind", "size"],
    "labels": {"kind": ["small", "large"]},
    "training": {
        "loss": {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        "target": {"normalize": ["size"]},
        "optimizer": "adam",
        "epochs": 2,
        "batch_size": 8,
    },
}
FEEDS = {name: RNG.normal(size=(20, 3)).astype(np.float32) for name in "ab"}
TARGETS = {"kind": RNG.integers(0, 2, 20), "size": RNG.normal(50, 9, (20, 1)).astype(np.float32)}


@pytest.fixture(scope="module")
def trainer() -> jsonnx.Trainer:
    trainer = jsonnx.Trainer(PAIR)
    trainer.fit(FEEDS, TARGETS)
    return trainer


def parts(spec: Any, value: str, **options: Any) -> tuple[jsonnx.Model, jsonnx.Model]:
    """The parts of a network up to a value, and from it."""
    return jsonnx.compile(spec, outputs=[value], **options), jsonnx.compile(spec, inputs=[value], **options)


@pytest.mark.parametrize("value", ["product", "hidden"])
def test_two_parts_in_sequence_compute_what_the_network_computes(trainer: jsonnx.Trainer, value: str) -> None:
    weights = trainer.weights()
    front, back = parts(PAIR, value, weights=weights)
    results = back.session().run(front.session().run(FEEDS))
    for name, expected in trainer.model().session().run(FEEDS).items():
        np.testing.assert_allclose(results[name], expected, rtol=1e-4, atol=1e-5)
    assert set(front.weights) | set(back.weights) == set(weights)


def test_a_trainer_gives_a_part_with_its_weights_labels_and_units(trainer: jsonnx.Trainer) -> None:
    model = trainer.model(inputs="hidden", outputs="size")
    assert list(model.inputs) == ["hidden"]
    assert list(model.weights) == ["size/kernel", "size/bias", "size/target/mean", "size/target/variance"]
    hidden = trainer.model(outputs="hidden").session().run(FEEDS)["hidden"]
    size = model.session().run(hidden)["size"]
    np.testing.assert_allclose(size, trainer.model().session().run(FEEDS)["size"], rtol=1e-4)
    assert abs(size.mean() - 50) < 20  # in the unit of the targets
    spec = trainer.model(inputs="hidden").network.document
    assert spec["labels"] == {"kind": ["small", "large"]}
    assert spec["training"] == {"loss": PAIR["training"]["loss"], "target": {"normalize": ["size"]}}


def test_a_call_of_a_shared_layer_alone_has_the_weights_of_the_layer(trainer: jsonnx.Trainer) -> None:
    model = trainer.model(outputs="other")
    assert list(model.inputs) == ["b"]
    assert list(model.weights) == ["other/kernel", "other/bias"]
    np.testing.assert_array_equal(model.weights["other/kernel"], trainer.weights()["tower/kernel"])
    tower = trainer.model(outputs="tower").session()
    np.testing.assert_array_equal(model.session().run(FEEDS["b"])["other"], tower.run(FEEDS["b"])["tower"])
    both = trainer.model(outputs=["other", "tower"])
    assert list(both.weights) == ["tower/kernel", "tower/bias"]
    assert list(both.outputs) == ["other", "tower"]


def test_initial_weights_are_those_of_the_whole_network() -> None:
    whole, part = jsonnx.compile(PAIR, seed=3), jsonnx.compile(PAIR, seed=3, inputs=["product"])
    np.testing.assert_array_equal(part.weights["hidden/kernel"], whole.weights["hidden/kernel"])
    assert part.to_bytes() == jsonnx.compile(PAIR, seed=3, inputs=["product"]).to_bytes()


def test_outputs_of_blocks_and_further_results_are_values() -> None:
    inner = [{**DENSE, "name": "code"}, {"type": "LSTM", "name": "memory", "units": 4, "return_state": True}]
    spec = {
        "inputs": {"x": {"shape": ["time", 3]}},
        "blocks": {"encoder": {"inputs": ["x"], "layers": inner, "outputs": ["memory", "memory.state_c", "code"]}},
        "layers": [
            {"type": "encoder", "name": "enc", "from": "x"},
            {"type": "Concatenate", "name": "both", "from": ["enc", "enc.state_c"]},
            {"type": "GlobalMaxPooling1D", "name": "most", "from": "enc.code"},
            {"type": "Concatenate", "name": "y", "from": ["both", "most"]},
        ],
    }
    part = jsonnx.compile(spec, inputs=["enc.memory", "enc.state_c"], outputs=["both"])
    assert [str(type) for type in part.inputs.values()] == ["float32[batch, 4]"] * 2
    assert list(part.inputs) == ["enc_memory", "enc_memory_state_c"]
    pooled = jsonnx.compile(spec, inputs=["enc.code"], outputs=["most"])
    assert str(pooled.inputs["enc_code"]) == "float32[batch, time, 4]"
    with pytest.raises(UsageError, match=r"name one of its outputs: 'enc\.memory'"):
        jsonnx.compile(spec, outputs=["enc"])


def test_equal_computed_sizes_are_one_symbol() -> None:
    conv = {"type": "Conv1D", "filters": 3, "kernel_size": 2, "strides": 2, "from": "x"}
    spec = {
        "inputs": {"x": {"shape": ["time", 3]}},
        "layers": [
            {**conv, "name": "a"},
            {**conv, "name": "b"},
            {"type": "Add", "name": "y", "from": ["a", "b"]},
        ],
    }
    part = jsonnx.compile(spec, inputs=["a", "b"])
    assert {str(type) for type in part.inputs.values()} == {"float32[batch, size_1, 3]"}
    x = RNG.normal(size=(2, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(part.session().run({"a": x, "b": x})["y"], 2 * x)


def test_columns_of_inputs_go_along_if_the_inputs_stay() -> None:
    spec = json.loads((SAMPLES / "diabetes.json").read_text())
    document = jsonnx.compile(spec, outputs=["progression"]).network.document
    columns = spec["training"]["data"]["x"]
    assert document["training"]["data"] == {"train": "data/diabetes_train.csv", "x": columns}


def test_a_command_writes_a_part_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(PAIR))
    rows = np.hstack([FEEDS["a"], FEEDS["b"], TARGETS["size"], TARGETS["kind"][:, None]])
    header = ",".join([*(f"{name}[{index}]" for name in "ab" for index in range(3)), "size", "kind"])
    np.savetxt(tmp_path / "train.csv", rows, delimiter=",", header=header, comments="")
    spec, run, model = (str(tmp_path / name) for name in ("spec.json", "run", "head.onnx"))
    np.savez(tmp_path / "train.npz", **FEEDS, **TARGETS)
    command("train", spec, "--data", str(tmp_path / "train.npz"), "-o", run)
    result = command("compile", spec, "--weights", run, "--inputs", "hidden", "--outputs", "kind,size", "-o", model)
    assert f"wrote {model} (" in result.stderr
    np.savez(tmp_path / "hidden.npz", hidden=RNG.normal(size=(3, 4)).astype(np.float32))
    lines = command("predict", model, "--data", str(tmp_path / "hidden.npz")).stdout.splitlines()
    assert lines[0] == "kind,kind: small,kind: large,size"
    assert len(lines) == 4
    assert {line.partition(",")[0] for line in lines[1:]} <= {"small", "large"}


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (["hiden"], [], "--inputs: there is no value 'hiden' in the network; did you mean 'hidden'?"),
        ([], ["knd"], "--outputs: there is no value 'knd' in the network; did you mean 'kind'?"),
        (
            ["tower"],
            [],
            "the output 'kind' also needs the input 'b', by 'other', 'product', 'hidden'; add it: --inputs tower,b",
        ),
        (["a"], ["product"], "the output 'product' also needs the input 'b', by 'other'; add it: --inputs a,b"),
        (["tower", "hidden"], ["kind"], "--inputs: no layer before 'kind' reads 'tower'"),
        (["a", "b"], ["a"], "--outputs: 'a' is an input"),
        (["hidden"], ["hidden"], "--outputs: 'hidden' is an input"),
    ],
)
def test_a_part_that_does_not_exist_is_an_error(inputs: list[str], outputs: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        jsonnx.compile(PAIR, inputs=inputs, outputs=outputs)
    assert message in str(error.value)


def test_values_without_a_batch_axis_and_masks_from_outside_are_errors() -> None:
    spec = {
        "inputs": {"x": {"shape": ["time"], "dtype": "int64"}},
        "layers": [
            {"type": "Embedding", "name": "words", "input_dim": 9, "output_dim": 4, "mask_zero": True},
            {"type": "Dropout", "name": "dropped", "rate": 0.5},
            {"type": "LSTM", "name": "memory", "units": 3},
            {"type": "Variable", "name": "bias", "shape": [3]},
            {"type": "ops.add", "name": "y", "from": ["memory", "bias"]},
        ],
    }
    with pytest.raises(UsageError, match="'bias' is float32\\[3\\], whose first axis is not the batch"):
        jsonnx.compile(spec, inputs=["bias", "memory"])
    with pytest.raises(UsageError, match="'memory' reads the mask of 'dropped', which 'words' makes"):
        jsonnx.compile(spec, inputs=["dropped"])
    assert list(jsonnx.compile(spec, inputs=["memory"]).weights) == ["bias/value"]


def test_a_training_step_of_a_part_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(PAIR))
    arguments = ("compile", str(tmp_path / "spec.json"), "--training", "--outputs", "kind", "-o", str(tmp_path / "x"))
    assert "--training writes the whole network" in command(*arguments, status=2).stderr


@pytest.mark.costly(3)
@pytest.mark.parametrize(
    "name", ["digits_contrastive", "digits_residual", "mnist_cnn", "textures", "unet", "transformer"]
)
def test_every_cut_of_a_sample_gives_two_parts_that_compute_the_same(name: str) -> None:
    checked = check_spec(SAMPLES / f"{name}.json")
    typed, model = checked.require(), compile_checked(checked)
    feeds = draw_inputs(typed.network.inference_inputs, 0, 2, index_limits(typed), input_vocabularies(typed))
    expected = model.session().run(feeds)
    cuts = [value for value in typed.types if value not in typed.inputs and value not in typed.outputs]
    divided = []
    for value in cuts:
        try:
            halves = network_part(checked, [], [value]), network_part(checked, [value], [])
        except UsageError:  # the value is not on every path to the outputs
            continue
        divided.append((value, halves))
    assert len(divided) >= 3
    for value, halves in divided[:: max(1, len(divided) // 4)]:
        front, back = (compile_part(checked, half, dict(model.weights)).session() for half in halves)
        (middle,) = front.run({input: feeds[input] for input in front.inputs}).values()
        for output, array in back.run(middle).items():
            np.testing.assert_allclose(array, expected[output], rtol=2e-3, atol=1e-4, err_msg=value)
