"""Free sizes of several inputs, which all have the size None in a Keras file."""

from __future__ import annotations

import json
from typing import Any

import jsonnx
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.pipeline.compile.keras_import import import_keras


def text() -> str:
    """The JSON of a model that adds two sequences of vectors."""
    spec: Any = {
        "inputs": {"a": {"shape": ["time", 3]}, "b": {"shape": ["time", 3]}},
        "layers": [{"type": "Add", "name": "both", "from": ["a", "b"]}, {"type": "Dense", "units": 2}],
    }
    config = jsonnx.to_keras(spec).config
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "InputLayer":  # as written for Input((None, 3))
            layer["config"]["batch_shape"] = [None, None, 3]
    return json.dumps(config)


def test_free_sizes_of_combined_inputs_are_shared() -> None:
    imported = import_keras(text())
    assert imported.spec["inputs"] == {"a": {"shape": ["axis_1", 3]}, "b": {"shape": ["axis_1", 3]}}
    assert [(notice.code, notice.severity) for notice in imported.notices] == [("keras-differs", "warning")]
    jsonnx.compile(imported.spec)


def test_free_sizes_of_independent_inputs_are_separate() -> None:
    spec: Any = {
        "inputs": {"a": {"shape": [None, 3]}, "b": {"shape": [None, 3]}},
        "layers": [
            {"type": "GlobalAveragePooling1D", "name": "one", "from": "a"},
            {"type": "GlobalAveragePooling1D", "name": "other", "from": "b"},
            {"type": "Add", "from": ["one", "other"]},
        ],
    }
    imported = import_keras(json.dumps(jsonnx.to_keras(spec).config))
    assert imported.spec["inputs"] == spec["inputs"]
    assert not imported.notices


def test_shape_mismatch_on_fixed_axes_is_reported() -> None:
    config = json.loads(text())
    for layer in config["config"]["layers"]:
        if layer["config"]["name"] == "b":
            layer["config"]["batch_shape"] = [None, None, 4]
    with pytest.raises(CompileError) as caught:
        import_keras(json.dumps(config))
    errors = [diagnostic.code for diagnostic in caught.value.diagnostics if diagnostic.severity == "error"]
    assert errors == ["shape-mismatch"]
