"""Import of models written by tf.keras and Keras 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.pipeline.compile.keras_import import import_keras

FILES = Path(__file__).parent / "files"


def spec_of(name: str) -> dict[str, Any]:
    return jsonnx.from_keras(FILES / f"{name}.json")[0]


def test_version_is_detected() -> None:
    assert import_keras(FILES / "keras2_mask.json").keras_version == "Keras 2.21.0"


def test_renamed_classes_and_arguments_are_upgraded() -> None:
    spec = spec_of("keras2_sequential")
    assert spec["inputs"] == {"conv2d_input": {"shape": [8, 8, 1]}}
    assert [layer["type"] for layer in spec["layers"]] == [
        *("Conv2D", "BatchNormalization", "LeakyReLU", "MaxPooling2D", "Flatten", "Dropout", "Dense"),
    ]
    assert spec["layers"][0]["kernel_regularizer"] == {"type": "l2", "l2": 0.0001}
    assert spec["layers"][1] == {"type": "BatchNormalization"}
    assert spec["layers"][2] == {"type": "LeakyReLU", "negative_slope": 0.2}


def test_calls_of_nested_models_are_numbered_from_one() -> None:
    spec = spec_of("keras2_nested")
    assert spec["layers"][:3] == [
        {"type": "Dense", "name": "d", "from": "p", "units": 4, "activation": "relu"},
        {"use": "d", "from": "q"},
        {"type": "Add", "from": ["d", "d_1"]},
    ]
    assert spec["outputs"] == ["o", "k"]


def test_hard_sigmoid_keeps_its_slope() -> None:
    embedding, lstm = spec_of("keras2_mask")["layers"]
    assert embedding["mask_zero"] is True
    assert lstm["recurrent_activation"] == {"type": "hard_sigmoid", "slope": 0.2}


def test_states_and_call_arguments_become_inputs_and_attributes() -> None:
    layers = spec_of("keras2_states")["layers"]
    assert layers[1]["from"] == ["lstm", "lstm.state_h", "lstm.state_c"]
    assert {"type": "MultiHeadAttention", "from": "input_1", "use_causal_mask": True}.items() <= layers[2].items()
    assert layers[3]["return_attention_scores"] is True


def test_mixed_precision_becomes_float32_with_a_warning() -> None:
    (notice,) = import_keras(FILES / "keras2_mixed.json").notices
    assert notice.severity == "warning"
    assert "mixed_float16" in notice.message


def test_tensorflow_functions_become_keras_functions() -> None:
    layers = {layer.get("name", layer["type"]): layer for layer in spec_of("keras2_ops")["layers"] if "type" in layer}
    assert layers["multiply"] == {"type": "Rescaling", "name": "multiply", "from": "b", "scale": 2.0}
    assert layers["reduce_mean"] == {"type": "ops.mean", "name": "reduce_mean", "axis": -1, "keepdims": True}
    assert layers["getitem"] == {"type": "ops.get_item", "name": "getitem", "key": [":", ":2"]}


@pytest.mark.parametrize("name", ["nested", "ops", "rnn"])
def test_imported_model_gives_the_recorded_outputs(name: str) -> None:
    """Inputs `x0`, ... and outputs `y0`, ... were recorded with tf.keras 2.21."""
    spec, weights = jsonnx.from_keras(FILES / f"keras2_whole_{name}.h5")
    recorded = np.load(FILES / f"keras2_whole_{name}.npz")
    x = {name: recorded[f"x{index}"] for index, name in enumerate(spec["inputs"])}
    outputs = jsonnx.compile(spec, weights=weights).session().run(x)
    assert len(outputs) == len([key for key in recorded if key.startswith("y")])
    for index, value in enumerate(outputs.values()):
        assert np.allclose(value, recorded[f"y{index}"], rtol=1e-5, atol=2e-6)


def test_call_with_training_false_causes_a_warning() -> None:
    assert any("training=False" in notice.message for notice in import_keras(FILES / "keras2_nested.json").notices)


@pytest.mark.parametrize("name", ["sequential", "nested", "states", "mask", "mixed", "ops"])
def test_imported_spec_compiles(name: str) -> None:
    spec = spec_of(f"keras2_{name}")
    assert set(jsonnx.compile(spec).inputs) == set(spec["inputs"])


# -- handwritten models ------------------------------------------------------------------------------------------------


def by_keras2(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    first = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4], "name": "x"}}
    model = {
        "class_name": "Sequential",
        "keras_version": "2.15.0",
        "config": {"name": "seq", "layers": [first, *layers]},
    }
    return jsonnx.from_keras(json.dumps({**model, **more}))[0]


def test_thresholded_relu_becomes_an_activation() -> None:
    relu = {"class_name": "ThresholdedReLU", "config": {"name": "thresholded_re_lu", "theta": 0.2}}
    dense = {"class_name": "Dense", "config": {"name": "dense", "units": 2, "activation": relu}}
    function = {"type": "threshold", "threshold": 0.2, "default_value": 0.0}
    layer, inner = by_keras2(relu, dense)["layers"]
    assert layer == {"type": "Activation", "name": "thresholded_re_lu", "activation": function}
    assert inner == {"type": "Dense", "units": 2, "activation": function}


def test_custom_prefix_of_builtin_optimizer_is_removed() -> None:
    optimizer = {"class_name": "Custom>Adam", "config": {"name": "Adam", "learning_rate": 0.01}}
    dense = {"class_name": "Dense", "config": {"name": "dense", "units": 2}}
    spec = by_keras2(dense, compile_config={"optimizer": optimizer, "loss": "mse"})
    assert spec["training"] == {"loss": "mean_squared_error", "optimizer": {"type": "Adam", "learning_rate": 0.01}}


def test_a_learning_rate_schedule_is_read() -> None:
    decay = {"initial_learning_rate": 0.1, "decay_steps": 50, "alpha": 0.0, "name": "CosineDecay", "warmup_steps": 0}
    schedule = {"module": "keras.optimizers.schedules", "class_name": "CosineDecay", "config": decay}
    optimizer = {"class_name": "SGD", "config": {"name": "SGD", "learning_rate": schedule, "momentum": 0.9}}
    dense = {"class_name": "Dense", "config": {"name": "dense", "units": 2}}
    spec = by_keras2(dense, compile_config={"optimizer": optimizer, "loss": "mse"})
    rate = {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 50}
    assert spec["training"]["optimizer"] == {"type": "SGD", "learning_rate": rate, "momentum": 0.9}


@pytest.mark.parametrize("axis", [1, -1, None])
def test_l2_normalize_divides_by_the_norm(axis: int | None) -> None:
    nodes = [["x", 0, 0, {"axis": axis, "epsilon": 1e-12}]]
    layers = [
        {"class_name": "InputLayer", "name": "x", "config": {"batch_input_shape": [None, 2], "name": "x"}},
        {"class_name": "TFOpLambda", "name": "l2", "config": {"name": "l2", "function": "math.l2_normalize"}},
    ]
    layers = [{**layer, "inbound_nodes": nodes if layer["name"] == "l2" else []} for layer in layers]
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["l2", 0, 0]]}
    text = json.dumps({"class_name": "Functional", "keras_version": "2.15.0", "config": {"layers": layers, **ends}})
    if axis is None:
        with pytest.raises(jsonnx.CompileError, match="normalizes across the whole batch"):
            jsonnx.from_keras(text)
        return
    x = np.array([[3, 4], [0, 0], [3e-7, 4e-7]], "float32")
    (y,) = jsonnx.compile(jsonnx.from_keras(text)[0]).session().run({"x": x}).values()
    np.testing.assert_allclose(y, [[0.6, 0.8], [0, 0], [0.3, 0.4]], rtol=1e-5)


def test_softmax_with_mask_is_rejected() -> None:
    """If all positions are masked, Keras 2 ignores the mask, which a spec cannot express."""
    inputs = [
        {"class_name": "InputLayer", "name": name, "inbound_nodes": [], "config": {"name": name, **options}}
        for name, options in {
            "x": {"batch_input_shape": [None, 3], "dtype": "float32"},
            "mask": {"batch_input_shape": [None, 3], "dtype": "bool"},
        }.items()
    ]
    calls = [[["x", 0, 0, {"mask": ["mask", 0, 0]}]]]
    softmax = {"class_name": "Softmax", "name": "s", "inbound_nodes": calls}
    softmax["config"] = {"name": "s", "trainable": True, "dtype": "float32", "axis": -1}
    ends = {"input_layers": [["x", 0, 0], ["mask", 0, 0]], "output_layers": [["s", 0, 0]]}
    model = {"class_name": "Functional", "config": {"name": "m", "layers": [*inputs, softmax], **ends}}
    with pytest.raises(jsonnx.CompileError, match="another mask than its input has"):
        jsonnx.from_keras(json.dumps({**model, "keras_version": "2.12.0"}))
