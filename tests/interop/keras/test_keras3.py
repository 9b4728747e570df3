"""Models that Keras 3 wrote, as specs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.imports import imported

FILES = Path(__file__).parent / "files"


def spec_of(name: str) -> dict[str, Any]:
    return jsonnx.from_keras(FILES / f"{name}.json")[0]


def test_a_sequential_model_is_a_stack_without_defaults() -> None:
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


def test_nested_models_are_laid_flat_and_called_again_by_use() -> None:
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


def test_a_name_that_had_to_change_is_told() -> None:
    (notice,) = imported(FILES / "keras3_nested.json").notices
    assert (notice.code, notice.severity) == ("keras-differs", "warning")
    assert "'d' is 's_d'" in notice.message


def test_states_and_arguments_of_calls_are_inputs_and_attributes() -> None:
    layers = spec_of("keras3_states_and_arguments")["layers"]
    assert layers[1] == {"type": "LSTM", "from": ["lstm", "lstm.state_h", "lstm.state_c"], "units": 3}
    assert layers[2]["use_causal_mask"] is True
    assert layers[3]["return_attention_scores"] is True
    assert layers[4]["layer"] == {"type": "GRU", "units": 3, "return_sequences": True}
    assert "backward_layer" not in layers[4]


def test_a_mask_that_goes_beside_its_input_anyway_is_not_written() -> None:
    assert [layer["type"] for layer in spec_of("keras3_mask")["layers"]] == ["Embedding", "LSTM"]


def test_functions_are_layers_where_those_compute_the_same() -> None:
    layers = spec_of("keras3_functions")["layers"]
    assert layers[:4] == [
        {"type": "Rescaling", "name": "multiply", "from": "b", "scale": 2.0},
        {"type": "Add", "from": ["a", "multiply"]},
        {"type": "Rescaling", "name": "subtract", "scale": 1.0, "offset": -1.0},
        {"type": "ops.mean", "axis": -1, "keepdims": True},
    ]
    assert {"type": "ops.get_item", "key": [":", ":2"]} in layers
    assert {"type": "Activation", "name": "relu", "activation": "relu"} in layers


def test_vocabularies_that_were_learned_are_in_the_spec() -> None:
    strings, text = (jsonnx.from_keras(FILES / f"learned_{name}.keras") for name in ("strings", "text"))
    assert strings[0]["layers"][0] == {"type": "StringLookup", "vocabulary": ["a", "b"]}
    assert text[0]["layers"][0]["vocabulary"] == ["the", "sat", "dog", "cat"]
    spec, weights = strings
    found = jsonnx.compile(spec, weights=weights).session().run(np.array([["b"], ["a"], ["what"]]))["dense"]
    assert weights is not None
    table = weights["embedding/embeddings"][[2, 1, 0]]
    assert np.allclose(found, table @ weights["dense/kernel"] + weights["dense/bias"], atol=1e-6)


def test_a_model_without_a_shape_is_refused() -> None:
    with pytest.raises(jsonnx.CompileError) as caught:
        spec_of("keras3_unbuilt")
    assert [fault.code for fault in caught.value.diagnostics] == ["keras-no-shape"]


def test_the_text_itself_can_be_given() -> None:
    assert jsonnx.from_keras((FILES / "keras3_mask.json").read_text())[0] == spec_of("keras3_mask")


@pytest.mark.parametrize("name", ["sequential", "nested", "states_and_arguments", "mask", "functions"])
def test_what_comes_out_compiles(name: str) -> None:
    spec = spec_of(f"keras3_{name}")
    assert not [fault for fault in jsonnx.validate(json.dumps(spec)) if fault.severity == "error"]
    assert set(jsonnx.compile(spec).inputs) == set(spec["inputs"])


def test_what_looks_like_an_expression_is_text() -> None:
    tokens = ["${x}", "$${y}", "a"]
    layers = [{"type": "StringLookup", "vocabulary": tokens}, {"type": "Embedding", "input_dim": 5, "output_dim": 2}]
    spec: Any = {"inputs": {"word": {"shape": [2], "dtype": "string"}}}
    written = [{**layers[0], "vocabulary": ["$${x}", "$$${y}", "a"]}, layers[1]]
    model = jsonnx.to_keras({**spec, "layers": written}).config
    assert (
        next(layer for layer in model["config"]["layers"] if "vocabulary" in layer["config"])["config"]["vocabulary"]
        == tokens
    )
    found, _ = jsonnx.from_keras(json.dumps(model))
    assert found["layers"][0]["vocabulary"] == written[0]["vocabulary"]
    assert jsonnx.validate(found) == []
