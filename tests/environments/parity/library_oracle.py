"""KerasHub and keras.applications as the oracle of the standard library: builds the model of a block's network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import keras_hub
import numpy as np
from cases import Network
from keras.src.applications import convnext, mobilenet_v2, mobilenet_v3, resnet
from keras_hub.src.models.llama.llama_decoder import LlamaTransformerDecoder
from keras_hub.src.models.resnet.resnet_backbone import apply_basic_block

Arguments = dict[str, Any]


def keras_model(case: Network) -> keras.Model:
    """Returns the Keras model of a network of `library_cases`; its block is called `block_1`."""
    keras.backend.clear_session()
    if case.id == "mobilenet-v2":
        return mobilenet_v2.MobileNetV2(input_shape=(32, 32, 3), weights=None, classes=5)
    inputs = {
        name: keras.Input(
            [size if isinstance(size, int) else None for size in entry["shape"]],
            name=name,
            dtype=entry.get("dtype", "float32"),
        )
        for name, entry in case.spec["inputs"].items()
    }
    x = inputs["x"]
    if case.integers is not None:
        x = keras.layers.Embedding(4, 8, mask_zero=True, name="embedding")(x)
        arguments = arguments_of(case.spec["layers"][1])
        for number in (1, 2):
            x = keras_hub.layers.TransformerEncoder(**without_hidden_dim(arguments), name=f"block_{number}")(x)
        return keras.Model(inputs["x"], keras.layers.GlobalAveragePooling1D(name="pooled")(x))
    entry = case.spec["layers"][0]
    outputs = BLOCKS[entry["type"].removeprefix("std.")](*inputs.values(), arguments_of(entry))
    return keras.Model(x if len(inputs) == 1 else inputs, outputs)


def arguments_of(entry: Mapping[str, Any]) -> Arguments:
    return {key: value for key, value in entry.items() if key not in ("type", "name", "from", "repeat")}


def without_hidden_dim(arguments: Arguments) -> Arguments:
    """Returns the arguments but the number of features, which Keras takes from the input."""
    return {key: value for key, value in arguments.items() if key != "hidden_dim"}


def transformer_encoder(x: Any, arguments: Arguments) -> Any:
    return keras_hub.layers.TransformerEncoder(**without_hidden_dim(arguments), name="block_1")(x)


def transformer_decoder(x: Any, arguments: Arguments) -> Any:
    return keras_hub.layers.TransformerDecoder(**without_hidden_dim(arguments), name="block_1")(x)


def transformer_cross_decoder(x: Any, encoded: Any, arguments: Arguments) -> Any:
    return keras_hub.layers.TransformerDecoder(**without_hidden_dim(arguments), name="block_1")(x, encoded)


def llama_block(x: Any, arguments: Arguments) -> Any:
    arguments = {"num_key_value_heads": arguments["num_query_heads"], **without_hidden_dim(arguments)}
    return LlamaTransformerDecoder(**arguments, name="block_1")(x)


def residual(x: Any, arguments: Arguments) -> Any:
    stride = arguments.pop("strides", 1)
    return apply_basic_block(x, **{"conv_shortcut": stride > 1, **arguments}, stride=stride, name="block_1")


def bottleneck(x: Any, arguments: Arguments) -> Any:
    return resnet.residual_block_v1(x, stride=arguments.pop("strides", 1), **arguments, name="block_1")


def inverted_residual(x: Any, arguments: Arguments) -> Any:
    arguments = {"expansion": 6, **arguments}
    stride, _ = arguments.pop("strides", 1), arguments.pop("in_channels")
    if "se_ratio" not in arguments:
        return mobilenet_v2._inverted_res_block(x, stride=stride, alpha=1, block_id=1, **arguments)
    activation = {"hard_swish": mobilenet_v3.hard_swish}[arguments.pop("activation")]
    arguments = {"kernel_size": 3, **arguments}
    return mobilenet_v3._inverted_res_block(x, stride=stride, activation=activation, block_id=1, **arguments)


def convnext_block(x: Any, arguments: Arguments) -> Any:
    return convnext.ConvNeXtBlock(**arguments, name="block_1")(x)


BLOCKS: dict[str, Callable[..., Any]] = {
    "TransformerEncoder": transformer_encoder,
    "TransformerDecoder": transformer_decoder,
    "TransformerCrossDecoder": transformer_cross_decoder,
    "LlamaBlock": llama_block,
    "Residual": residual,
    "Bottleneck": bottleneck,
    "InvertedResidual": inverted_residual,
    "ConvNeXtBlock": convnext_block,
}

MOBILENET_V3_NAMES = {
    "_bn/": "_BN/",
    "squeeze_excite_conv_1/": "squeeze_excite_expand/",
    "squeeze_excite_conv/": "squeeze_excite_reduce/",
}
"""Parts of weight paths in MobileNetV3, and in the library, which has the names of MobileNetV2."""


def set_weights(model: keras.Model, values: Mapping[str, np.ndarray]) -> None:
    """Assigns all weights: a path in Keras has `/` where the library joins names by `_`."""
    values_by_name = {name.replace("/", "_"): value for name, value in values.items()}
    for weight in model.weights:
        weight.assign(values_by_name.pop(library_name(weight.path)))
    assert not values_by_name, sorted(values_by_name)


def library_name(path: str) -> str:
    """Returns the name of a weight of the library without `/`."""
    if path.startswith("expanded_conv_1_"):
        path = path.replace("expanded_conv_1_", "block_1_")
        for theirs, ours in MOBILENET_V3_NAMES.items():
            path = path.replace(theirs, ours)
    if "layer_scale" in path:  # the weight has no name in Keras
        path = "block_1_layer_scale/gamma"
    return path.replace("/", "_")
