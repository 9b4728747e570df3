"""Networks whose quantization is tested, as specs and as graphs with arbitrary weights."""

from __future__ import annotations

from typing import Any

import jsonnx
import numpy as np
from jsonnx.ir import Graph
from jsonnx.pipeline.check.check import CheckedSpec, check_spec
from support.harness import draw_weights

Layers = list[dict[str, Any]]


def spec(*layers: dict[str, Any], shape: list[int] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": "net", "inputs": {"x": {"shape": shape or [8, 8, 3]}}, "layers": list(layers), **more}


def conv(name: str, filters: int = 8, size: int = 3, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "Conv2D", "filters": filters, "kernel_size": size, "padding": "same", **more}


def norm(name: str) -> dict[str, Any]:
    return {"name": name, "type": "BatchNormalization"}


def dense(name: str, units: int = 8, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "Dense", "units": units, **more}


def layer(type: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": type, "name": name, **more}


POOL = layer("GlobalAveragePooling2D", "mean")
NETWORKS: dict[str, dict[str, Any]] = {
    "cnn": spec(
        layer("Rescaling", "scaled", scale=0.5),
        conv("a", use_bias=False),
        norm("a_norm"),
        layer("ReLU", "a_relu"),
        layer("MaxPooling2D", "a_pool", pool_size=2),
        layer("Dropout", "drop", rate=0.3),
        layer("DepthwiseConv2D", "b", kernel_size=3),
        norm("b_norm"),
        conv("c", 6, 1, activation="relu"),
        layer("Flatten", "flat"),
        dense("hidden", 16, activation="relu"),
        dense("label", 4, activation="softmax"),
    ),
    "residual": spec(
        conv("stem", activation="relu"),
        conv("a"),
        norm("a_norm"),
        layer("Add", "sum", **{"from": ["a_norm", "stem"]}),
        layer("ReLU", "sum_relu"),
        conv("b", activation="relu"),
        layer("Add", "sum_2", **{"from": ["b", "sum_relu"]}),
        POOL,
        dense("label", 4),
    ),
    "squeeze_excitation": spec(
        conv("a", activation="silu"),
        POOL | {"keepdims": True},
        conv("down", 2, 1, activation="relu"),
        conv("up", 8, 1, activation="sigmoid"),
        layer("Multiply", "scaled", **{"from": ["a", "up"]}),
        conv("b"),
        layer("GlobalAveragePooling2D", "mean_2"),
        dense("label", 4),
    ),
    "unet": spec(
        conv("a", activation="relu"),
        layer("MaxPooling2D", "pool", pool_size=2),
        conv("b", activation="relu"),
        layer("Conv2DTranspose", "up", filters=8, kernel_size=2, strides=2),
        layer("Concatenate", "both", **{"from": ["up", "a"]}),
        conv("c", activation="relu"),
        layer("UpSampling2D", "larger"),
        layer("Concatenate", "all", **{"from": ["larger", "larger"]}),
        conv("mask", 1, 1, activation="sigmoid"),
    ),
    "mlp": spec(
        layer("Normalization", "scaled", mean=[1.0] * 6, variance=[2.0] * 6),
        dense("a", 16, activation="relu"),
        layer("Dropout", "drop", rate=0.5),
        dense("b", 16, activation="tanh"),
        dense("c", 16),
        norm("c_norm"),
        layer("ReLU", "c_relu"),
        dense("label", 3),
        shape=[6],
    ),
    "transformer": {
        "name": "net",
        "inputs": {"tokens": {"shape": ["time"], "dtype": "int32"}},
        "layers": [
            layer("Embedding", "words", input_dim=50, output_dim=32),
            layer("std.TransformerEncoder", "encoder", hidden_dim=32, num_heads=2, intermediate_dim=64, dropout=0.1),
            layer("GlobalAveragePooling1D", "mean"),
            dense("label", 3, activation="softmax"),
        ],
    },
    "recurrent": spec(
        layer("LSTM", "lstm", units=24, return_sequences=True),
        layer("GRU", "gru", units=24),
        dense("label", 3),
        shape=[5, 12],
    ),
    "conv_1d": spec(
        layer("Conv1D", "a", filters=8, kernel_size=3, activation="relu"),
        layer("MaxPooling1D", "pool", pool_size=2),
        layer("Conv1D", "b", filters=8, kernel_size=3),
        layer("GlobalMaxPooling1D", "largest"),
        dense("label", 3),
        shape=[16, 4],
    ),
}


def checked(network: dict[str, Any]) -> CheckedSpec:
    return check_spec(network)


def bound_graph(network: dict[str, Any], seed: int = 0) -> Graph:
    """The graph that is quantized, with arbitrary weights."""
    model = jsonnx.compile(network)
    arrays = draw_weights(model._graph, np.random.default_rng(seed))
    return jsonnx.compile(network, arrays).quantizable_graph


def feeds_of(graph: Graph, samples: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    feeds = {}
    for name, value in graph.inputs.items():
        shape = [samples, *(size if isinstance(size, int) else 7 for size in value.shape[1:])]
        is_real = value.dtype.startswith("float")
        feeds[name] = (rng.normal(size=shape) if is_real else rng.integers(0, 20, shape)).astype(value.dtype)
    return feeds
