"""Rejected models: all errors are reported at their positions in the Keras file, and nothing is executed or opened."""

from __future__ import annotations

import json
import sys
from typing import Any

import jsonnx
import pytest

Json = dict[str, Any]


def layer(kind: str, module: str = "keras.layers", registered: str | None = None, **config: Any) -> Json:
    return {"module": module, "class_name": kind, "registered_name": registered, "config": {"name": "it", **config}}


def sequential(*layers: Json) -> Json:
    first = {"batch_shape": [None, 4, 3], "dtype": "float32", "name": "x"}
    start = {"module": "keras.layers", "class_name": "InputLayer", "config": first, "registered_name": None}
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "net", "layers": [start, *layers]},
        "registered_name": None,
        "build_config": {},
    }


def functional(*layers: Json, outputs: list[Any]) -> Json:
    first = {"batch_shape": [None, 4], "dtype": "float32", "name": "x"}
    start = {"class_name": "InputLayer", "config": first, "name": "x", "inbound_nodes": []}
    config = {"name": "net", "layers": [start, *layers], "input_layers": ["x", 0, 0], "output_layers": outputs}
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config, "build_config": {}}


def dense(name: str, *sources: tuple[str, int, int], **kwargs: Any) -> Json:
    """A Dense layer, called once on each source."""
    calls = [
        {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": list(source)}}], "kwargs": kwargs}
        for source in sources
    ]
    return {**layer("Dense", units=4), "name": name, "inbound_nodes": calls}


def errors(model: Json) -> list[jsonnx.Diagnostic]:
    with pytest.raises(jsonnx.CompileError) as caught:
        jsonnx.from_keras(json.dumps(model, indent=1))
    return caught.value.diagnostics


LAMBDA = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}

REJECTED: dict[str, tuple[Json, str, str]] = {
    "a Lambda": (layer("Lambda", function=LAMBDA), "not-expressible", "class_name"),
    "code of another module": (layer("run", "subprocess"), "keras-unknown-class", "class_name"),
    "a builtin": (layer("eval", "builtins"), "keras-unknown-class", "class_name"),
    "a function of Keras that is no layer": (layer("get_file", "keras.utils"), "keras-unknown-class", "class_name"),
    "a custom layer": (layer("MyLayer", "my", "my>MyLayer"), "keras-unknown-class", "class_name"),
    "a custom layer with a name of Keras'": (
        layer("Dense", "my", "my>Dense", units=1),
        "keras-unknown-class",
        "class_name",
    ),
    "a custom layer of Keras 2": (layer("Custom>MyLayer"), "keras-unknown-class", "class_name"),
    "a SavedModel": (layer("TFSMLayer", filepath="/etc"), "not-expressible", "class_name"),
    "a module of torch": (layer("TorchModuleWrapper"), "not-expressible", "class_name"),
    "a vocabulary in a file": (
        layer("StringLookup", vocabulary="/etc/passwd"),
        "keras-outside-file",
        "config.vocabulary",
    ),
    "a vocabulary at an address": (
        layer("TextVectorization", vocabulary="https://example.org/words.txt"),
        "keras-outside-file",
        "config.vocabulary",
    ),
    "half precision": (layer("Dense", units=1, dtype="float16"), "keras-dtype", "config.dtype"),
    "quantized weights": (
        layer("Dense", units=1, dtype={"class_name": "QuantizedDTypePolicy", "config": {"name": "int8_from_float32"}}),
        "keras-dtype",
        "config.dtype",
    ),
    "an argument that is not known": (layer("Dense", units=1, lift=3), "unknown-key", "config.lift"),
    "an argument out of range": (layer("Dense", units=0), "out-of-range", "config.units"),
    "a state that stays": (layer("LSTM", units=2, stateful=True), "unsupported-argument", "config.stateful"),
    "a custom activation": (layer("Dense", units=1, activation="my_act"), "unknown-type", "config.activation"),
    "a custom initializer": (
        layer("Dense", units=1, kernel_initializer={"module": "my", "class_name": "Mine", "config": {}}),
        "keras-unknown-class",
        "config.kernel_initializer.class_name",
    ),
    "a shape that does not fit": (layer("Conv2D", filters=1, kernel_size=2), "shape-mismatch", ""),
}


@pytest.mark.parametrize("case", REJECTED)
def test_unsupported_layer_is_reported_at_its_position(case: str) -> None:
    layer_json, code, where = REJECTED[case]
    modules = set(sys.modules)
    (diagnostic,) = errors(sequential(layer_json))
    assert diagnostic.code == code
    assert diagnostic.path == f"$.config.layers[1]{'.' if where else ''}{where}"
    assert diagnostic.line is not None
    assert not {"subprocess", "my", "torch", "tensorflow"} & (set(sys.modules) - modules)


def test_all_errors_are_reported_together() -> None:
    diagnostics = errors(sequential(layer("Lambda"), layer("Dense", units=0), layer("MyLayer", "my")))
    assert [diagnostic.code for diagnostic in diagnostics] == ["not-expressible", "out-of-range", "keras-unknown-class"]


BROKEN: dict[str, tuple[Json, str]] = {
    "a cycle": (
        functional(dense("a", ("b", 0, 0)), dense("b", ("a", 0, 0)), outputs=[["b", 0, 0]]),
        "cycle",
    ),
    "a layer of itself": (functional(dense("a", ("a", 0, 0)), outputs=[["a", 0, 0]]), "cycle"),
    "a layer that is not there": (functional(dense("a", ("c", 0, 0)), outputs=[["a", 0, 0]]), "keras-wrong-form"),
    "a call too many": (functional(dense("a", ("x", 0, 0)), outputs=[["a", 3, 0]]), "keras-wrong-form"),
    "an output too many": (functional(dense("a", ("x", 0, 0)), outputs=[["a", 0, 1]]), "keras-wrong-form"),
    "no outputs": (functional(dense("a", ("x", 0, 0)), outputs=[]), "keras-wrong-form"),
    "an argument of a call": (functional(dense("a", ("x", 0, 0), lift=2), outputs=[["a", 0, 0]]), "keras-call"),
    "a subclass": ({"class_name": "MyModel", "config": {}, "module": "my"}, "keras-unknown-class"),
    "no model": ({"layers": []}, "keras-wrong-form"),
    "layers that are none": (sequential({"name": "it"}), "keras-wrong-form"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_invalid_graph_is_reported(case: str) -> None:
    model, code = BROKEN[case]
    assert [diagnostic.code for diagnostic in errors(model)] == [code]


def test_nesting_depth_is_limited() -> None:
    model: Json = sequential()
    for _ in range(300):
        model = {"class_name": "Sequential", "config": {"name": "net", "layers": [model]}}
    assert [diagnostic.code for diagnostic in errors(model)] == ["too-deep"]


def test_unsupported_compile_arguments_are_left_out_with_a_warning() -> None:
    from jsonnx.pipeline.compile.keras_import import import_keras

    model = sequential(layer("Flatten"), {**layer("Dense", units=2)})
    model["config"]["layers"][2]["config"]["name"] = "end"
    model["compile_config"] = {"optimizer": "adam", "loss": {"class_name": "function", "config": "my_loss"}}
    imported = import_keras(json.dumps(model))
    assert "training" not in imported.spec
    (notice,) = imported.notices
    assert (notice.code, notice.severity) == ("keras-differs", "warning")
    assert "my_loss" in notice.message


MISSPELT: dict[str, tuple[Json, str, str]] = {
    "a class": ({"class_name": "Sequental", "config": {}}, "class_name", "Sequential"),
    "the configuration": ({"class_name": "Sequential", "confg": {"layers": []}}, "confg", "config"),
    "the layers": ({"class_name": "Sequential", "config": {"layer": []}}, "config.layer", "layers"),
    "an argument": (sequential(layer("Dense", unitz=1)), "config.layers[1].config.unitz", "units"),
    "a layer's class": (sequential(layer("Dens", units=1)), "config.layers[1].class_name", "Dense"),
    "a layer's key": (sequential({"class_nam": "Dense", "config": {}}), "config.layers[1].class_nam", "class_name"),
    "an initializer": (
        sequential(layer("Dense", units=1, kernel_initializer={"class_name": "Zeroes", "config": {}})),
        "config.layers[1].config.kernel_initializer.class_name",
        "Zeros",
    ),
    "an end": (
        {
            "class_name": "Functional",
            "config": {"layers": [layer("Dense", units=1)], "input_layer": [], "output_layers": []},
        },
        "config.input_layer",
        "input_layers",
    ),
}


@pytest.mark.parametrize("case", MISSPELT)
def test_misspelt_name_is_reported_with_a_suggestion(case: str) -> None:
    model, where, near = MISSPELT[case]
    (diagnostic,) = errors(model)
    assert (diagnostic.path, diagnostic.help) == (f"$.{where}", f"did you mean {near!r}?")
