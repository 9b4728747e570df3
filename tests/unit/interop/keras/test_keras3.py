"""Import of models written by Keras 3."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import jsonnx
import numpy as np
import pytest
from jsonnx.pipeline.compile.keras_import import import_keras

FILES = Path(__file__).parent / "files"


def spec_of(name: str) -> dict[str, Any]:
    return jsonnx.from_keras(FILES / f"{name}.json")[0]


def test_sequential_model_is_imported_without_defaults() -> None:
    assert spec_of("keras3_sequential") == {
        "name": "seq",
        "inputs": {"input_layer_2": {"shape": [8]}},
        "layers": [
            {"type": "Dense", "name": "dense_2", "units": 4, "activation": "leaky_relu", "kernel_regularizer": "l2"},
            {
                "type": "Dense",
                "name": "dense_3",
                "units": 4,
                "activation": {"type": "leaky_relu", "negative_slope": 0.3},
            },
            {"type": "Dense", "name": "dense_4", "units": 3},
        ],
        "training": {"loss": "mean_squared_error", "optimizer": "Adam", "metrics": ["mae"]},
    }


def test_nested_models_are_flattened_and_further_calls_become_uses() -> None:
    spec = spec_of("keras3_nested")
    assert spec["layers"] == [
        {"type": "Dense", "name": "d", "from": "p", "units": 4, "activation": "relu"},
        {"use": "d", "from": "q"},
        {"type": "Add", "name": "add_1", "from": ["d", "d_1"]},
        {"type": "Dense", "name": "s_d", "units": 4},
        {"type": "Dropout", "rate": 0.2},
        {"type": "Dense", "name": "dense_1", "units": 2},
        {"type": "Identity", "name": "o", "from": "dropout"},
        {"type": "Identity", "name": "k", "from": "dense_1"},
    ]
    assert spec["outputs"] == ["o", "k"]


def test_changed_layer_name_causes_a_warning() -> None:
    (notice,) = import_keras(FILES / "keras3_nested.json").notices
    assert (notice.code, notice.severity) == ("keras-differs", "warning")
    assert "'d' is 's_d'" in notice.message


def test_states_and_call_arguments_become_inputs_and_attributes() -> None:
    layers = spec_of("keras3_states_and_arguments")["layers"]
    assert layers[1] == {"type": "LSTM", "from": ["lstm", "lstm.state_h", "lstm.state_c"], "units": 3}
    assert layers[2]["use_causal_mask"] is True
    assert layers[3]["return_attention_scores"] is True
    assert layers[4]["layer"] == {"type": "GRU", "units": 3, "return_sequences": True}
    assert "backward_layer" not in layers[4]


def test_explicit_mask_equal_to_the_attached_mask_is_omitted() -> None:
    assert [layer["type"] for layer in spec_of("keras3_mask")["layers"]] == ["Embedding", "LSTM"]


def test_functions_become_equivalent_layers() -> None:
    layers = spec_of("keras3_functions")["layers"]
    assert layers[:4] == [
        {"type": "Rescaling", "name": "multiply", "from": "b", "scale": 2.0},
        {"type": "Add", "from": ["a", "multiply"]},
        {"type": "Rescaling", "name": "subtract", "scale": 1.0, "offset": -1.0},
        {"type": "ops.mean", "axis": -1, "keepdims": True},
    ]
    assert {"type": "ops.get_item", "key": [":", ":2"]} in layers
    assert {"type": "Activation", "name": "relu", "activation": "relu"} in layers


def test_adapted_vocabularies_are_in_the_spec() -> None:
    strings, text = (jsonnx.from_keras(FILES / f"learned_{name}.keras") for name in ("strings", "text"))
    assert strings[0]["layers"][0] == {"type": "StringLookup", "vocabulary": ["a", "b"]}
    assert text[0]["layers"][0]["vocabulary"] == ["the", "sat", "dog", "cat"]
    spec, weights = strings
    output = jsonnx.compile(spec, weights=weights).session().run(np.array([["b"], ["a"], ["what"]]))["dense"]
    assert weights is not None
    table = weights["embedding/embeddings"][[2, 1, 0]]
    assert np.allclose(output, table @ weights["dense/kernel"] + weights["dense/bias"], atol=1e-6)


def test_model_without_input_shape_is_rejected() -> None:
    with pytest.raises(jsonnx.CompileError) as caught:
        spec_of("keras3_unbuilt")
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == ["keras-no-shape"]


def test_json_text_is_accepted() -> None:
    assert jsonnx.from_keras((FILES / "keras3_mask.json").read_text())[0] == spec_of("keras3_mask")


@pytest.mark.parametrize("name", ["sequential", "nested", "states_and_arguments", "mask", "functions"])
def test_imported_spec_compiles(name: str) -> None:
    spec = spec_of(f"keras3_{name}")
    assert not [diagnostic for diagnostic in jsonnx.validate(json.dumps(spec)) if diagnostic.severity == "error"]
    assert set(jsonnx.compile(spec).inputs) == set(spec["inputs"])


def test_text_that_looks_like_an_expression_is_escaped() -> None:
    tokens = ["${x}", "$${y}", "a"]
    layers = [{"type": "StringLookup", "vocabulary": tokens}, {"type": "Embedding", "input_dim": 5, "output_dim": 2}]
    spec: Any = {"inputs": {"word": {"shape": [2], "dtype": "string"}}}
    written = [{**layers[0], "vocabulary": ["$${x}", "$$${y}", "a"]}, layers[1]]
    model = jsonnx.to_keras({**spec, "layers": written}).config
    assert (
        next(layer for layer in model["config"]["layers"] if "vocabulary" in layer["config"])["config"]["vocabulary"]
        == tokens
    )
    imported, _ = jsonnx.from_keras(json.dumps(model))
    assert imported["layers"][0]["vocabulary"] == written[0]["vocabulary"]
    assert jsonnx.validate(imported) == []


# -- functions ---------------------------------------------------------------------------------------------------------


def tensor(name: str, *shape: int) -> dict[str, Any]:
    config = {"shape": [None, *shape], "dtype": "float32", "keras_history": [name, 0, 0]}
    return {"class_name": "__keras_tensor__", "config": config}


def layer(kind: str, name: str, config: dict[str, Any], *args: Any, module: str | None = "keras.layers") -> Any:
    nodes = [{"args": list(args), "kwargs": {}}] if args else []
    return {
        "class_name": kind,
        "name": name,
        "config": {"name": name, **config},
        "inbound_nodes": nodes,
    } | ({"module": module} if module else {})


def functional(*layers: Any, outputs: tuple[str, ...]) -> str:
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [[name, 0, 0] for name in outputs]}
    config = {"name": "model", "layers": list(layers), **ends}
    return json.dumps({"class_name": "Functional", "keras_version": "3.15.1", "config": config})


def test_operator_on_masked_tensors_drops_masks() -> None:
    """A layer would propagate the masks to the following layers."""
    x = tensor("x", 3, 2)
    text = functional(
        layer("InputLayer", "x", {"batch_shape": [None, 3, 2]}),
        layer("Masking", "masking", {"mask_value": 0.0}, x),
        layer("Add", "add", {}, tensor("masking", 3, 2), tensor("masking", 3, 2), module="keras.src.ops.numpy"),
        layer("GlobalAveragePooling1D", "mean", {}, tensor("add", 3, 2)),
        outputs=("mean",),
    )
    values = np.array([[[1, 2], [0, 0], [4, 6]]], "float32")
    (mean,) = jsonnx.compile(jsonnx.from_keras(text)[0]).session().run({"x": values}).values()
    np.testing.assert_allclose(mean, 2 * values.mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize("module", ["keras.src.ops.core", None], ids=["archive", "h5"])
def test_function_with_dtype_is_not_taken_for_a_layer(module: str | None) -> None:
    """Keras 3 writes no module names in .h5 files."""
    text = functional(
        layer("InputLayer", "x", {"batch_shape": [None, 3]}),
        layer("Cast", "cast", {"dtype": "int32"}, tensor("x", 3), module=module),
        outputs=("cast",),
    )
    assert jsonnx.from_keras(text)[0]["layers"] == [{"type": "ops.cast", "dtype": "int32"}]


def test_unstack_takes_the_number_of_results_from_the_shape() -> None:
    text = functional(
        layer("InputLayer", "x", {"batch_shape": [None, 3, 2]}),
        layer("Unstack", "unstack", {"num": None, "axis": 1}, tensor("x", 3, 2), module="keras.src.ops.core"),
        outputs=("unstack",),
    )
    assert jsonnx.from_keras(text)[0]["layers"] == [{"type": "ops.unstack", "num": 3, "axis": 1}]


def test_unused_outputs_of_a_nested_model_are_left_out(tmp_path: Path) -> None:
    """The second output is used only in the second call, the third in no call, so its weights are not required."""
    start = layer("InputLayer", "x", {"batch_shape": [None, 2]})
    heads = [layer("Dense", name, {"units": 1}, tensor("x", 2)) for name in ("a", "b", "c")]
    inner = json.loads(functional(start, *heads, outputs=("a", "b", "c")))
    nested = {**inner, "name": "inner", "config": {**inner["config"], "name": "inner"}}
    nested["inbound_nodes"] = [{"args": [tensor("x", 2)], "kwargs": {}}] * 2
    first, second = tensor("inner", 1), tensor("inner", 1)
    second["config"]["keras_history"] = ["inner", 1, 1]
    text = functional(
        start,
        nested,
        layer("Subtract", "subtract", {}, [first, second]),
        outputs=("subtract",),
    )
    (tmp_path / "config.json").write_text(text)
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        for number, name in enumerate(("dense", "dense_1", "dense_2")):
            group = file.create_group(f"layers/functional/layers/{name}/vars")
            group.attrs["name"] = "abc"[number]
            group["0"], group["1"] = np.full((2, 1), number + 1, "float32"), np.zeros(1, "float32")
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        for name in ("config.json", "model.weights.h5"):
            archive.write(tmp_path / name, name)
    imported = import_keras(tmp_path / "model.keras")
    assert [entry["name"] for entry in imported.spec["layers"] if "name" in entry] == ["a", "b"]
    assert any("'c'" in notice.message for notice in imported.notices)
    (y,) = jsonnx.compile(imported.spec, imported.weights).session().run({"x": np.ones((1, 2), "float32")}).values()
    assert y.tolist() == [[-2.0]]


MASKED: list[list[dict]] = [
    [{"type": "LSTM", "from": ["x", "mask"], "units": 2, "return_sequences": True}, {"type": "GRU", "units": 3}],
    [{"type": "GRU", "from": ["x", "state", "mask"], "units": 2}],
    [{"type": "LSTM", "from": ["x", "state", "state", "mask"], "units": 2}],
    [{"type": "Bidirectional", "from": ["x", "mask"], "layer": {"type": "SimpleRNN", "units": 2}}],
    [{"type": "Softmax", "from": ["x", "wide"]}],
]


@pytest.mark.parametrize("layers", MASKED, ids=[layers[0]["type"] for layers in MASKED])
def test_explicit_mask_is_the_last_input(layers: list[dict]) -> None:
    """Export and import; the following layers use the attached mask, which is not written again."""
    shapes = {"x": [4, 3], "state": [2], "mask": [4], "wide": [1, 3]}
    used = {name for layer in layers for name in layer.get("from", ())}
    inputs = {name: {"shape": shape} for name, shape in shapes.items() if name in used}
    for name in inputs.keys() & {"mask", "wide"}:
        inputs[name]["dtype"] = "bool"
    spec = {"inputs": inputs, "layers": layers}
    assert jsonnx.from_keras(json.dumps(jsonnx.to_keras(spec).config))[0] == spec


@pytest.mark.parametrize("mask_zero", [False, True])
def test_mask_for_attention_in_a_nested_model_causes_a_warning(mask_zero: bool) -> None:
    """In Keras the layers after the attention ignore the mask, because the nested model was built without one."""
    x = layer("InputLayer", "x", {"batch_shape": [None, 3, 4]})
    call = {"args": [tensor("x", 3, 4)] * 2, "kwargs": {}}
    heads = {**layer("MultiHeadAttention", "heads", {"num_heads": 1, "key_dim": 2}), "inbound_nodes": [call]}
    inner = json.loads(functional(x, heads, outputs=("heads",)))
    nested = {**inner, "name": "inner", "config": {**inner["config"], "name": "inner"}}
    nested["inbound_nodes"] = [{"args": [tensor("words", 3, 4)], "kwargs": {}}]
    words = {"input_dim": 5, "output_dim": 4, "mask_zero": mask_zero}
    text = functional(
        layer("InputLayer", "x", {"batch_shape": [None, 3], "dtype": "int32"}),
        layer("Embedding", "words", words, tensor("x", 3)),
        nested,
        layer("GlobalAveragePooling1D", "mean", {}, tensor("inner", 3, 4)),
        outputs=("mean",),
    )
    notices = [notice.message for notice in import_keras(text).notices]
    assert any("MultiHeadAttention" in message for message in notices) == mask_zero
