"""Free sizes of several inputs, which Keras does not tell from one another."""

from __future__ import annotations

import json
from typing import Any

import jsonnx
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.pipeline.keras_import import import_keras


def text() -> str:
    """A model of two sequences of vectors that are put together, as Keras writes it."""
    spec: Any = {
        "inputs": {"a": {"shape": ["time", 3]}, "b": {"shape": ["time", 3]}},
        "layers": [{"type": "Add", "name": "both", "from": ["a", "b"]}, {"type": "Dense", "units": 2}],
    }
    config = jsonnx.to_keras(spec).config
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "InputLayer":  # as a person has them who wrote Input((None, 3)) twice
            layer["config"]["batch_shape"] = [None, None, 3]
    return json.dumps(config)


def test_sizes_that_a_model_puts_together_are_one() -> None:
    found = import_keras(text())
    assert found.spec["inputs"] == {"a": {"shape": ["axis_1", 3]}, "b": {"shape": ["axis_1", 3]}}
    assert [(notice.code, notice.severity) for notice in found.notices] == [("keras-differs", "warning")]
    jsonnx.compile(found.spec)


def test_sizes_that_a_model_keeps_apart_are_two() -> None:
    spec: Any = {
        "inputs": {"a": {"shape": [None, 3]}, "b": {"shape": [None, 3]}},
        "layers": [
            {"type": "GlobalAveragePooling1D", "name": "one", "from": "a"},
            {"type": "GlobalAveragePooling1D", "name": "other", "from": "b"},
            {"type": "Add", "from": ["one", "other"]},
        ],
    }
    found = import_keras(json.dumps(jsonnx.to_keras(spec).config))
    assert found.spec["inputs"] == spec["inputs"]
    assert not found.notices


def test_what_does_not_fit_otherwise_either_is_told_as_it_is() -> None:
    config = json.loads(text())
    for layer in config["config"]["layers"]:
        if layer["config"]["name"] == "b":
            layer["config"]["batch_shape"] = [None, None, 4]
    with pytest.raises(CompileError) as caught:
        import_keras(json.dumps(config))
    errors = [fault.code for fault in caught.value.diagnostics if fault.severity == "error"]
    assert errors == ["shape-mismatch"]
