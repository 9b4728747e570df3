"""Warnings about weights that no gradient reaches, and the refusal of a training that changes none."""

from __future__ import annotations

from typing import Any

import pytest
from jsonnx import Trainer
from jsonnx.core.diagnostics import CompileError
from jsonnx.lowering.lower import lower
from jsonnx.pipeline.check.check import check_spec
from support.harness import one_layer
from unit.layers.cases import all_cases

DENSE = {"type": "Dense", "units": 3}


def spec(*layers: dict[str, Any], outputs: list[str] | None = None, **training: Any) -> dict[str, Any]:
    named = {} if outputs is None else {"outputs": outputs}
    return {"inputs": {"x": {"shape": [4]}}, "layers": list(layers), **named, "training": {"loss": "mse"} | training}


def warnings(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item.code, item.path) for item in check_spec(document).diagnostics]


def test_a_layer_says_whether_it_has_weights_to_train() -> None:
    wrong = []
    for case in all_cases():
        try:
            typed = one_layer(case.layer, *case.inputs)
            graph = lower(typed, training=True)
        except CompileError:  # of other element types
            continue
        layer = typed.network.calls[0].layer
        assert layer is not None
        if layer.has_trainable_weights != any(weight.trainable for weight in graph.parameters.values()):
            wrong.append(case.layer)
    assert not wrong


@pytest.mark.parametrize("layer", ["ops.stop_gradient", "ops.sign", "ops.round", "ops.argmax"])
def test_training_is_refused_if_no_weight_has_a_gradient(layer: str) -> None:
    back = [] if layer != "ops.argmax" else [{"type": "ops.cast", "dtype": "float32"}]
    keep = {"keepdims": True, "axis": -1} if layer == "ops.argmax" else {}
    document = spec(DENSE, {"type": layer, **keep}, *back)
    assert warnings(document) == [("nothing-trains", "$.layers[0]")]
    with pytest.raises(CompileError, match="nothing trains: no gradient reaches any of the weights"):
        Trainer(document)


def test_frozen_layers_are_a_warning_and_no_error() -> None:
    document = spec(DENSE, DENSE, freeze=["*"])
    assert warnings(document) == [("nothing-trains", "$.training.freeze")]
    Trainer(document)
    frozen = DENSE | {"trainable": False}
    assert warnings(spec(frozen, frozen)) == [("nothing-trains", "$.layers[0].trainable")]


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "random.normal"},
        {"type": "random.uniform"},
        {"type": "ops.zeros_like"},
        {"type": "ops.ones_like"},
        {"type": "ops.full_like", "fill_value": 2},
        {"type": "ops.ones", "shape": [{"axis": 0}, 3]},
        {"type": "Variable", "shape": [3]},
        {"type": "PositionEmbedding", "sequence_length": 3},
        {"type": "SinePositionEncoding"},
        {"type": "RelativePositionBias", "num_heads": 2},
    ],
    ids=lambda layer: layer["type"],
)
def test_no_gradient_reaches_the_layers_whose_shape_alone_is_read(layer: dict[str, Any]) -> None:
    steps = {"type": "Reshape", "target_shape": [3, 1], "name": "dense_1"}
    before = [DENSE, steps] if "osition" in layer["type"] else [DENSE]
    source = "dense_1" if len(before) == 2 else "dense"
    read = layer | {"name": "read", "from": source}
    (warning,) = check_spec(spec(*before, read, DENSE | {"name": "last"})).diagnostics
    assert (warning.code, warning.path) == ("untrained-layers", "$.layers[0]")
    assert f"{layer['type']} 'read' reads only the shape of '{source}'" in str(warning.help)
    if layer["type"] != "RelativePositionBias":  # of another shape
        assert warnings(spec(*before, read, {"type": "ops.add", "from": [source, "read"]})) == []


def test_a_gradient_reaches_computed_positions() -> None:
    inputs = {"x": {"shape": [4]}, "sequence": {"shape": [3, 2]}}
    layers = [
        DENSE | {"from": "x", "name": "positions"},
        {"type": "SinePositionEncoding", "from": ["sequence", "positions"]},
        DENSE,
    ]
    assert warnings(spec(*layers) | {"inputs": inputs}) == []


def test_an_output_without_a_loss_is_named() -> None:
    head = DENSE | {"name": "kind", "from": "dense"}
    document = spec(DENSE, DENSE | {"name": "price"}, head, outputs=["price", "kind"], loss={"price": "mse"})
    (warning,) = check_spec(document).diagnostics
    assert (warning.code, warning.path) == ("untrained-layers", "$.layers[2]")
    assert warning.help == "give a loss to 'kind', or write \"trainable\": false"


@pytest.mark.parametrize(
    "document",
    [
        spec({"type": "ops.square"}),
        spec(DENSE, {"type": "AddLoss", "name": "extra"}, DENSE | {"from": "dense", "name": "y"}, outputs=["y"]),
        spec(DENSE, DENSE, DENSE | {"activity_regularizer": "l2"}),
        spec({"type": "Dense", "units": 4, "name": "a"}, {"use": "a"}, {"use": "a"}),
        spec({"type": "Dropout", "rate": 0.1}),
    ],
    ids=["no weights", "added loss", "penalty", "shared", "dropout"],
)
def test_networks_whose_weights_are_trained_have_no_warning(document: dict[str, Any]) -> None:
    assert warnings(document) == []


def test_a_layer_that_only_a_regularizer_changes_is_named_so() -> None:
    first = DENSE | {"kernel_regularizer": "l2"}
    cut = [{"type": "ops.argmax", "axis": -1, "keepdims": True}, {"type": "ops.cast", "dtype": "float32"}]
    (warning,) = check_spec(spec(first, *cut, DENSE | {"name": "last"})).diagnostics
    assert warning.code == "untrained-layers"
    assert warning.message.endswith("but by their regularizers")
