"""Small models for tests of the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonnx
import onnx
from onnx import TensorProto, helper

COLOURS: dict[str, Any] = {
    "inputs": {"colour": {"shape": [], "dtype": "string"}, "size": {"shape": [2]}},
    "layers": [
        {
            "type": "StringLookup",
            "name": "known",
            "from": "colour",
            "vocabulary": ["red", "green", "cat"],
            "output_mode": "one_hot",
        },
        {"type": "Concatenate", "name": "both", "from": ["known", "size"]},
        {"type": "Dense", "name": "kind", "units": 3, "activation": "softmax"},
    ],
    "labels": ["apple", "pear", "plum"],
}
"""Strings and numbers, and an output of named classes."""
REVIEWS: dict[str, Any] = {
    "inputs": {"review": {"shape": [], "dtype": "string"}},
    "layers": [
        {"type": "TextVectorization", "vocabulary": ["a", "cat", "dog"], "output_sequence_length": 6},
        {"type": "Embedding", "input_dim": 5, "output_dim": 4},
        {"type": "GlobalAveragePooling1D"},
        {"type": "Dense", "name": "sentiment", "units": 1, "activation": "sigmoid"},
    ],
    "labels": ["negative", "positive"],
}
"""Text, and one number for two classes."""


def save_model(spec: dict[str, Any], file: Path) -> Path:
    """A model with its initial weights."""
    jsonnx.compile(spec).save(file)
    return file


def save_several(folder: Path) -> Path:
    """A foreign model with three inputs and outputs of several datatypes: scaled = x * (k + flag)."""
    batch = ["N", 4]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, batch),
        helper.make_tensor_value_info("k", TensorProto.INT64, ["N", 1]),
        helper.make_tensor_value_info("flag", TensorProto.BOOL, ["N", 1]),
    ]
    outputs = [
        helper.make_tensor_value_info("scaled", TensorProto.FLOAT, batch),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, batch),
        helper.make_tensor_value_info("same", TensorProto.INT64, ["N", 1]),
    ]
    nodes = [
        helper.make_node("Cast", ["k"], ["factor"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["flag"], ["summand"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["factor", "summand"], ["sum"]),
        helper.make_node("Mul", ["x", "sum"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=-1),
        helper.make_node("Identity", ["k"], ["same"]),
    ]
    graph = helper.make_graph(nodes, "several", inputs, outputs)
    file = folder / "several.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), file)
    return file
