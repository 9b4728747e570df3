"""Folding of equal runs of layers into blocks and repetitions."""

from __future__ import annotations

import json
from typing import Any

import jsonnx
import pytest
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.keras_import import import_keras

Layer = dict[str, Any]


def layer(kind: str, name: str, sources: list[str], **config: Any) -> Layer:
    """A layer of a functional model as Keras 3 writes it."""
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [source, 0, 0]}} for source in sources]
    args = [tensors] if len(tensors) > 1 else tensors
    calls = [{"args": args, "kwargs": {}}] if sources else []
    about = {"module": "keras.layers", "class_name": kind, "registered_name": None}
    return {**about, "config": {"name": name, **config}, "name": name, "inbound_nodes": calls}


def model(layers: list[Layer], *outputs: str) -> str:
    image = layer("InputLayer", "image", [], batch_shape=[None, 8, 8, 4], dtype="float32")
    ends = [[name, 0, 0] for name in outputs]
    config = {"name": "net", "layers": [image, *layers], "input_layers": ["image", 0, 0], "output_layers": ends}
    return json.dumps({"module": "keras", "class_name": "Functional", "config": config, "build_config": {}})


def residual(stage: str, source: str, filters: int, **more: Any) -> list[Layer]:
    conv = {"kernel_size": 3, "padding": "same", **more}
    return [
        layer("Conv2D", f"{stage}_conv1", [source], filters=2 * filters, **conv),
        layer("ReLU", f"{stage}_relu", [f"{stage}_conv1"]),
        layer("Conv2D", f"{stage}_conv2", [f"{stage}_relu"], filters=filters, **conv),
        layer("Add", f"{stage}_add", [source, f"{stage}_conv2"]),
    ]


def residual_net() -> str:
    """Three equal stages, a convolution, and a stage with more filters."""
    row = [*residual("a1", "image", 4), *residual("a2", "a1_add", 4), *residual("a3", "a2_add", 4)]
    wide = layer("Conv2D", "widen", ["a3_add"], filters=8, kernel_size=1)
    return model([*row, wide, *residual("b1", "widen", 8)], "b1_add")


def calls(spec: Any) -> dict[str, Any]:
    return {call.name: (call.layer, call.sources) for call in check_spec(spec).network.calls}


def test_equal_runs_become_uses_of_a_block_with_parameters() -> None:
    spec = import_keras(residual_net()).spec
    assert spec["blocks"] == {
        "block": {
            "parameters": {"filters": 4},
            "layers": [
                {"type": "Conv2D", "name": "conv1", "filters": "${2 * filters}", "kernel_size": 3, "padding": "same"},
                {"type": "ReLU", "name": "relu"},
                {"type": "Conv2D", "name": "conv2", "filters": "${filters}", "kernel_size": 3, "padding": "same"},
                {"type": "Add", "from": ["input", "conv2"]},
            ],
        }
    }
    assert spec["layers"] == [
        {"type": "block", "name": "a${index + 1}", "repeat": 3},
        {"type": "Conv2D", "name": "widen", "filters": 8, "kernel_size": 1},
        {"type": "block", "name": "b1", "filters": 8},
    ]


def test_expanded_spec_equals_the_flat_spec() -> None:
    text = residual_net()
    assert calls(import_keras(text).spec) == calls(import_keras(text, fold=False).spec)


def test_runs_of_different_structure_are_not_folded() -> None:
    layers = [*residual("a1", "image", 4), *residual("a2", "a1_add", 4)]
    layers[-1] = layer("Add", "a2_add", ["image", "a2_conv2"])
    spec = import_keras(model(layers, "a2_add")).spec
    assert "blocks" not in spec


def test_run_with_two_results_is_not_folded() -> None:
    layers = [*residual("a1", "image", 4), *residual("a2", "a1_add", 4)]
    spec = import_keras(model([*layers, layer("Add", "end", ["a1_relu", "a2_relu"])], "a2_add", "end")).spec
    assert "blocks" not in spec
    assert spec["outputs"] == ["a2_add", "end"]


def test_equal_layers_with_numbered_names_become_one_repeated_entry() -> None:
    names = [f"conv{number}" for number in range(3, 8)]
    chain = [
        layer("Conv2D", name, [before], filters=4, kernel_size=3, padding="same")
        for before, name in zip(["image", *names], names, strict=False)
    ]
    assert import_keras(model(chain, "conv7")).spec["layers"] == [
        {
            "type": "Conv2D",
            "name": "conv${index + 3}",
            "filters": 4,
            "kernel_size": 3,
            "padding": "same",
            "repeat": 5,
        }
    ]


def test_equal_layers_with_default_names_become_one_repeated_entry() -> None:
    names = ["dense", "dense_1", "dense_2"]
    chain = [layer("Dense", name, [before], units=4) for before, name in zip(["image", *names], names, strict=False)]
    assert import_keras(model(chain, "dense_2")).spec["layers"] == [{"type": "Dense", "units": 4, "repeat": 3}]


@pytest.mark.parametrize("fold", [True, False])
def test_folding_keeps_weight_names(fold: bool) -> None:
    spec = import_keras(residual_net(), fold=fold).spec
    names = [name for name in jsonnx.Trainer(spec | {"training": {"loss": "mse"}}).weights() if "kernel" in name]
    assert names == [
        *(f"a{number}_conv{place}/kernel" for number in (1, 2, 3) for place in (1, 2)),
        *("widen/kernel", "b1_conv1/kernel", "b1_conv2/kernel"),
    ]


KINDS = ("Softmax", "ELU", "LeakyReLU", "UnitNormalization", "LayerNormalization", "Identity", "PReLU", "Masking")
OTHERS = dict(zip((1, 3, 4, 7, 9, 12, 15, 18), KINDS, strict=True))


def plain_net(count: int) -> str:
    """Convolutions with Keras' default names, with other layers in between."""
    layers, before = [], "image"
    for number in range(count):
        end = f"_{number}" if number else ""
        conv = {"filters": 4, "kernel_size": 3 if number % 2 else 1, "padding": "same"}
        layers += [
            layer("Conv2D", f"conv2d{end}", [before], **conv),
            layer("BatchNormalization", f"batch_normalization{end}", [f"conv2d{end}"], scale=False),
            layer("ReLU", f"re_lu{end}", [f"batch_normalization{end}"]),
        ]
        before = f"re_lu{end}"
        if number in OTHERS:
            kind = OTHERS[number]
            layers.append(layer(kind, f"other_{number}", [before]))
            before = f"other_{number}"
    return model(layers, before)


def test_runs_without_common_prefix_become_uses_of_a_block_with_own_names() -> None:
    """The first run has no numbers in its names, and is not folded."""
    text = plain_net(24)
    spec = import_keras(text).spec
    assert spec["blocks"] == {
        "block": {
            "names": "own",
            "parameters": {"n": 1, "kernel_size": 3},
            "layers": [
                {
                    "type": "Conv2D",
                    "name": "conv2d_${n}",
                    "filters": 4,
                    "kernel_size": "${kernel_size}",
                    "padding": "same",
                },
                {"type": "BatchNormalization", "name": "batch_normalization_${n}", "scale": False},
                {"type": "ReLU", "name": "re_lu_${n}"},
            ],
        }
    }
    assert spec["layers"][3:7] == [
        {"type": "block"},
        {"type": "Softmax", "name": "other_1"},
        {"type": "block", "n": 2, "kernel_size": 1},
        {"type": "block", "n": 3},
    ]
    assert calls(spec) == calls(import_keras(text, fold=False).spec)


def test_few_runs_without_common_prefix_are_not_folded() -> None:
    assert "blocks" not in import_keras(plain_net(6)).spec


def test_numbers_in_names_become_parameters_with_offsets() -> None:
    """Two counters per run, one of which advances by three."""
    layers, before = [], "image"
    for number in range(8):
        for place in range(3):
            layers.append(layer("ReLU", f"re_lu_{5 + 3 * number + place}", [before]))
            before = f"cell{number}_{place}"
            layers.append(layer("Conv2D", before, [layers[-1]["name"]], filters=2 + number, kernel_size=1))
    text = model(layers, before)
    spec = import_keras(text).spec
    (block,) = spec["blocks"].values()
    assert block["parameters"] == {"n": 5, "n_2": 0, "filters": 2}
    assert [entry["name"] for entry in block["layers"]] == [
        *("re_lu_${n}", "cell${n_2}_0", "re_lu_${n + 1}", "cell${n_2}_1", "re_lu_${n + 2}", "cell${n_2}_2"),
    ]
    assert [entry["type"] for entry in spec["layers"]] == ["cell"] * 8
    assert calls(spec) == calls(import_keras(text, fold=False).spec)
