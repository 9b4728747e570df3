"""Networks of the blocks of the standard library that KerasHub or keras.applications have as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cases import SGD, Document, Network

FIXTURE = Path(__file__).parent / "fixtures" / "library.json"
MOBILENET = Path(__file__).parents[3] / "samples" / "mobilenet_v2.json"

ENCODER = {"hidden_dim": 8, "intermediate_dim": 12, "num_heads": 2}
DECODER = {**ENCODER, "activation": "gelu"}
LLAMA = {"hidden_dim": 8, "intermediate_dim": 12, "num_query_heads": 4}
BOTTLENECK = {"filters": 3}
MOBILENET_V3 = {"se_ratio": 0.25, "activation": "hard_swish"}

NOT_TRAINED = {"mobilenet-v2"}
"""Networks that are compared in inference only: batch normalization of a batch of 1 x 1 images is ill-conditioned."""


def block(id: str, type_: str, shape: tuple[int | str, ...], arguments: dict[str, Any]) -> Network:
    """Returns a network of one block, which is called `block_1`."""
    entry = {"type": f"std.{type_}", "name": "block_1", **arguments}
    return Network(id, trained({"inputs": {"x": {"shape": list(shape)}}, "layers": [entry]}))


def cross_decoder(id: str, arguments: dict[str, Any]) -> Network:
    entry = {"type": "std.TransformerCrossDecoder", "name": "block_1", "from": ["x", "encoded"], **arguments}
    inputs = {"x": {"shape": [5, 8]}, "encoded": {"shape": [4, 8]}}
    return Network(id, trained({"inputs": inputs, "layers": [entry]}))


def masked_encoders(id: str, arguments: dict[str, Any]) -> Network:
    """Returns a network of two encoders after an embedding that makes a mask."""
    layers = [
        {"type": "Embedding", "name": "embedding", "input_dim": 4, "output_dim": 8, "mask_zero": True},
        {"type": "std.TransformerEncoder", "name": "block", "repeat": 2, **arguments},
        {"type": "GlobalAveragePooling1D", "name": "pooled"},
    ]
    return Network(id, trained({"inputs": {"x": {"shape": [5], "dtype": "int32"}}, "layers": layers}), integers=4)


def mobilenet() -> Network:
    """Returns the sample MobileNetV2 for small images."""
    spec = json.loads(MOBILENET.read_text())
    spec["parameters"] |= {"size": 32, "classes": 5}
    return Network("mobilenet-v2", trained(spec))


def trained(spec: Document) -> Document:
    return {**spec, "training": {"loss": "mse", "optimizer": SGD}}


LIBRARY_NETWORKS = [
    block("encoder", "TransformerEncoder", (5, 8), ENCODER),
    block("encoder-first", "TransformerEncoder", ("time", 8), {**ENCODER, "normalize_first": True}),
    masked_encoders("encoder-masked", ENCODER),
    block("decoder", "TransformerDecoder", (5, 8), DECODER),
    block("decoder-first", "TransformerDecoder", ("time", 8), {**DECODER, "normalize_first": True}),
    cross_decoder("cross-decoder", DECODER),
    cross_decoder("cross-decoder-first", {**DECODER, "normalize_first": True, "layer_norm_epsilon": 1e-3}),
    block("llama", "LlamaBlock", (5, 8), LLAMA),
    block("llama-grouped", "LlamaBlock", ("time", 8), {**LLAMA, "num_key_value_heads": 2, "rope_max_wavelength": 100}),
    block("residual", "Residual", (6, 5, 4), {"filters": 4}),
    block("residual-strided", "Residual", (6, 5, 4), {"filters": 3, "strides": 2}),
    block("residual-wide", "Residual", (6, 5, 4), {"filters": 6, "kernel_size": 5, "conv_shortcut": True}),
    block("bottleneck", "Bottleneck", (6, 5, 4), BOTTLENECK),
    block("bottleneck-strided", "Bottleneck", (6, 5, 4), {**BOTTLENECK, "strides": 2}),
    block("bottleneck-identity", "Bottleneck", (6, 5, 12), {**BOTTLENECK, "conv_shortcut": False}),
    block("inverted", "InvertedResidual", (6, 5, 8), {"in_channels": 8, "filters": 8}),
    block("inverted-strided", "InvertedResidual", (6, 5, 8), {"in_channels": 8, "filters": 16, "strides": 2}),
    block("inverted-even", "InvertedResidual", (6, 4, 8), {"in_channels": 8, "filters": 8, "strides": 2}),
    block(
        "inverted-excited",
        "InvertedResidual",
        (6, 5, 8),
        {"in_channels": 8, "filters": 8, "expansion": 9, **MOBILENET_V3},
    ),
    block(
        "inverted-excited-strided",
        "InvertedResidual",
        (6, 5, 8),
        {"in_channels": 8, "filters": 16, "kernel_size": 5, "strides": 2, **MOBILENET_V3},
    ),
    block("convnext", "ConvNeXtBlock", (6, 5, 4), {"projection_dim": 4}),
    block("convnext-unscaled", "ConvNeXtBlock", (6, 5, 4), {"projection_dim": 4, "layer_scale_init_value": None}),
    mobilenet(),
]
