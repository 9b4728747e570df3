"""Import of Keras 1 models. The files follow its source code, because it does not run on current Python versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import pytest
from jsonnx.pipeline.compile.keras_import import import_keras

FILES = Path(__file__).parent / "files"
HARD = {"type": "hard_sigmoid", "slope": 0.2}


def spec_of(name: str) -> dict[str, Any]:
    return jsonnx.from_keras(FILES / f"keras1_{name}.json")[0]


def test_version_is_detected() -> None:
    assert import_keras(FILES / "keras1_cnn.json").keras_version == "Keras 1.2.2"


def test_sequential_model_may_be_a_list() -> None:
    spec = spec_of("cnn")
    assert spec["inputs"] == {"convolution2d_1_input": {"shape": [8, 8, 1]}}
    assert spec["layers"] == [
        {
            "type": "Conv2D",
            "name": "convolution2d_1",
            "filters": 4,
            "kernel_size": 3,
            "activation": "relu",
            "kernel_regularizer": {"type": "l1_l2", "l2": 0.01},
            "kernel_constraint": "max_norm",
        },
        {"type": "MaxPooling2D", "name": "maxpooling2d_1"},
        {"type": "Dropout", "name": "dropout_1", "rate": 0.25},
        {"type": "Flatten", "name": "flatten_1"},
        {
            "type": "Dense",
            "name": "dense_1",
            "units": 3,
            "activation": "softmax",
            "kernel_initializer": "random_uniform",
        },
    ]


def test_recurrent_layers_keep_the_defaults_of_keras_1() -> None:
    embedding, lstm, gru, norm, _ = spec_of("rnn")["layers"]
    assert embedding == {
        "type": "Embedding",
        "name": "embedding_1",
        "input_dim": 20,
        "output_dim": 4,
        "mask_zero": True,
    }
    assert {"units": 5, "recurrent_activation": HARD, "dropout": 0.1, "return_sequences": True}.items() <= lstm.items()
    assert {"units": 5, "recurrent_activation": HARD, "reset_after": False}.items() <= gru.items()
    assert norm == {"type": "BatchNormalization", "name": "batchnormalization_1"}


def test_merge_becomes_the_layer_of_its_mode_and_shared_layers_become_uses() -> None:
    assert spec_of("graph")["layers"] == [
        {
            "type": "Dense",
            "name": "dense_1",
            "from": "a",
            "units": 4,
            "kernel_initializer": "random_uniform",
        },
        {"use": "dense_1", "from": "b"},
        {"type": "Add", "name": "merge_1", "from": ["dense_1", "dense_1_1"]},
        {"type": "Concatenate", "name": "merge_2", "from": ["merge_1", "a"]},
    ]


def test_merge_at_the_start_of_a_sequential_requires_models() -> None:
    dense = {"class_name": "Dense", "config": {"name": "d", "output_dim": 2, "batch_input_shape": [None, 3]}}
    merge = {"class_name": "Merge", "config": {"name": "m", "mode": "sum", "layers": [dense, dense]}}
    with pytest.raises(jsonnx.CompileError, match="combines models") as caught:
        jsonnx.from_keras(json.dumps({"class_name": "Sequential", "config": [merge], "keras_version": "1.2.2"}))
    assert {diagnostic.code for diagnostic in caught.value.diagnostics} == {"keras-wrong-form"}
    assert len(caught.value.diagnostics) == 2
