"""Weights that several nodes read are stored once, in one form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np
import onnx
import pytest
from jsonnx.core.providers.known_providers import target_names
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Constant, Graph
from jsonnx.passes.inference.shared_weights import merge_equal_weights
from support import commands

SAMPLES = Path(__file__).parents[4] / "samples"
MIN_BYTES = 4 * 1024
"""Minimum size of the constants that are compared."""

TIED = {"type": "ReversibleEmbedding", "name": "words", "input_dim": 500, "output_dim": 32}


def spec(*layers: dict[str, Any], x: dict[str, Any]) -> dict[str, Any]:
    return {"name": "net", "inputs": {"x": x}, "layers": list(layers)}


TOKENS = {"shape": ["time"], "dtype": "int32"}
SIAMESE_NORMS = [
    {"type": "Conv2D", "name": "conv", "filters": 32, "kernel_size": 3, "from": "a", "use_bias": False},
    {"type": "BatchNormalization", "name": "norm"},
    {"use": "conv", "name": "second", "from": "b"},
]
IMAGES = [
    {"type": "Conv2D", "name": "a", "filters": 64, "kernel_size": 1, "from": "x"},
    {"type": "Conv2D", "name": "b", "filters": 64, "kernel_size": 1, "from": "x"},
]
ADD = {"type": "Add", "name": "sum", "from": ["norm", "norm_2"]}
SPECS: dict[str, dict[str, Any]] = {
    "tied": spec(TIED, {"use": "words", "name": "scores"}, x=TOKENS),
    "tied, two axes": spec(TIED, {"type": "GlobalAveragePooling1D"}, {"use": "words", "name": "scores"}, x=TOKENS),
    "tied, scaled": spec(
        TIED, {"type": "Rescaling", "scale": 2.0}, {"use": "words"}, {"type": "Rescaling", "scale": 0.5}, x=TOKENS
    ),
    "shared, one norm": spec(*IMAGES, *SIAMESE_NORMS, {"use": "norm", "name": "norm_2"}, ADD, x={"shape": [6, 6, 3]}),
    "shared, two norms": spec(
        *IMAGES, *SIAMESE_NORMS, {"type": "BatchNormalization", "name": "norm_2"}, ADD, x={"shape": [6, 6, 3]}
    ),
    "shared after Flatten and elsewhere": spec(
        {"type": "Conv2D", "name": "image", "filters": 8, "kernel_size": 3, "from": "x"},
        {"type": "Flatten", "name": "flat"},
        {"type": "Dense", "name": "dense", "units": 128},
        {"type": "Dense", "name": "back", "units": 128},
        {"use": "dense", "name": "again"},
        x={"shape": [6, 6, 3]},
    ),
}


def forms(model: onnx.ModelProto) -> dict[bytes, list[str]]:
    """The names of the large constants, by their elements in any order."""
    names: dict[bytes, list[str]] = {}
    for constant in model.graph.initializer:
        array = onnx.numpy_helper.to_array(constant)
        if array.nbytes >= MIN_BYTES and array.dtype == np.float32 and array.min() < array.max():
            names.setdefault(np.sort(array.ravel()).tobytes(), []).append(constant.name)
    return names


def drawn(document: dict[str, Any], **options: Any) -> jsonnx.Model:
    """The compiled network with weights that differ in all layers."""
    rng = np.random.default_rng(0)
    types = jsonnx.compile(document, **options).weights
    weights = {
        name: (rng.uniform(0.5, 1.5, w.shape) if "variance" in name else rng.normal(size=w.shape) / 8).astype(w.dtype)
        for name, w in types.items()
    }
    return jsonnx.compile(document, weights, **options)


def feeds(document: dict[str, Any]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    x = document["inputs"]["x"]
    if x.get("dtype") == "int32":
        return {"x": rng.integers(0, 500, (3, 5)).astype(np.int32)}
    return {"x": rng.normal(size=(3, *x["shape"])).astype(np.float32)}


@pytest.mark.parametrize("document", SPECS.values(), ids=SPECS)
def test_a_weight_with_several_readers_is_stored_once(document: dict[str, Any]) -> None:
    model = drawn(document)
    total = sum(weight.nbytes for weight in model.weights.values())
    stored = sum(len(constant.raw_data) for constant in model.proto.graph.initializer)
    assert stored <= total + MIN_BYTES
    assert all(len(names) == 1 for names in forms(model.proto).values())
    (actual,) = model.session().run(feeds(document)).values()
    (expected,) = drawn(document, fold=False).session().run(feeds(document)).values()
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", target_names())
def test_tied_weights_are_stored_once_for_every_target(target: str) -> None:
    model = drawn(SPECS["tied"], target=target)
    assert sum(len(constant.raw_data) for constant in model.proto.graph.initializer) < 4 * 500 * 32 + MIN_BYTES


@pytest.mark.parametrize(
    "sample",
    ["digits_contrastive", "digits_residual", "mnist_cnn", "mobilenet_v2", "transformer", "unet", "vowels_lstm"],
)
def test_no_sample_stores_a_weight_twice(sample: str) -> None:
    file = SAMPLES / f"{sample}.json"
    scales = json.loads(file.read_text(encoding="utf-8")).get("scales", {})
    model = jsonnx.compile(file, scale=next(iter(scales), None))
    assert all(len(names) == 1 for names in forms(model.proto).values())


def test_a_tied_weight_is_stored_once_in_a_keras_file(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPECS["tied"]), encoding="utf-8")
    commands.jsonnx("export", "--keras", str(tmp_path / "spec.json"), "-o", str(tmp_path / "net.keras"))
    assert 4 * 500 * 32 < (tmp_path / "net.keras").stat().st_size < 1.5 * 4 * 500 * 32


def test_equal_constants_of_one_name_are_merged() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH, 4)))
    array = np.ones(4, np.float32)
    weights = [Constant(TensorType("float32", (4,)), array * k, name) for k, name in ((1, "a"), (1, "a"), (2, "a"))]
    graph = g.graph({f"y{index}": g.Mul(x, weight) for index, weight in enumerate(weights)})
    merged: Graph = merge_equal_weights(graph)
    first, second, third = (node.inputs[1] for node in merged.nodes)
    assert first is second
    assert third is not first
    assert merge_equal_weights(merged) is merged
