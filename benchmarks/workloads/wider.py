"""Further networks of many kinds in training."""

from __future__ import annotations

from typing import Any

from .classic import pre_norm
from .workload import Spec, network, workload

MEAN = {"type": "GlobalAveragePooling2D"}
POOL = {"type": "MaxPooling2D"}
NORM = {"type": "BatchNormalization"}
RELU = {"type": "ReLU"}
RELU6 = {"type": "ReLU", "max_value": 6}


def conv(filters: int, size: int = 3, activation: str | None = "relu", **more: Any) -> Spec:
    """Returns a Conv2D layer with padding `same`."""
    entry = {"type": "Conv2D", "filters": filters, "kernel_size": size, "padding": "same", **more}
    return entry if activation is None else {**entry, "activation": activation}


def dense(units: int, activation: str = "relu", **more: Any) -> Spec:
    return {"type": "Dense", "units": units, "activation": activation, **more}


def image(size: int, channels: int, layers: list[Spec], **more: Any) -> Spec:
    return network({"shape": [size, size, channels]}, layers, **more)


def words(length: int, layers: list[Spec], **more: Any) -> Spec:
    return network({"shape": [length], "dtype": "int32"}, layers, **more)


def lenet() -> Spec:
    last = {"type": "Flatten"}, dense(120), dense(84)
    return image(28, 1, [conv(6, 5), POOL, conv(16, 5, padding="valid"), POOL, *last])


def volumes() -> Spec:
    layers: list[Spec] = []
    for filters in (16, 32):
        convolution = {"type": "Conv3D", "filters": filters, "kernel_size": 3, "padding": "same", "activation": "relu"}
        layers += [convolution, {"type": "MaxPooling3D"}]
    return network({"shape": [16, 16, 16, 1]}, [*layers, {"type": "GlobalAveragePooling3D"}])


def autoencoder() -> Spec:
    """Returns strided convolutions followed by transposed ones."""
    smaller = [conv(filters, 4, strides=2) for filters in (32, 64)]
    larger = [{**conv(filters, 4, strides=2), "type": "Conv2DTranspose"} for filters in (32, 16)]
    return image(32, 3, [*smaller, *larger, MEAN])


def unet() -> Spec:
    """Returns a small U-Net (Ronneberger et al. 2015)."""

    def pair(filters: int, name: str) -> list[Spec]:
        return [conv(filters), {**conv(filters), "name": name}]

    layers = [*pair(16, "top"), POOL, *pair(32, "middle"), POOL, *pair(64, "bottom")]
    for filters, level in ((32, "middle"), (16, "top")):
        up = {"type": "Conv2DTranspose", "filters": filters, "kernel_size": 2, "strides": 2, "name": f"{level}_up"}
        layers += [up, {"type": "Concatenate", "from": [up["name"], level]}, *pair(filters, f"{level}_out")]
    return image(64, 1, [*layers, MEAN])


def groupnorm() -> Spec:
    stage = [conv(32, activation=None), {"type": "GroupNormalization", "groups": 8}, RELU]
    return image(32, 3, [*stage, *stage, MEAN])


def senet() -> Spec:
    """Returns squeeze-and-excitation blocks (Hu et al. 2018)."""
    block = {
        "inputs": ["x"],
        "layers": [
            conv(32),
            {**conv(32, activation=None), "name": "seen"},
            {**MEAN, "keepdims": True},
            dense(8),
            {**dense(32, "sigmoid"), "name": "share"},
            {"type": "Multiply", "name": "weighed", "from": ["seen", "share"]},
            {"type": "Add", "from": ["x", "weighed"]},
            RELU,
        ],
    }
    return image(32, 3, [conv(32), {"type": "block", "name": "block", "repeat": 2}, MEAN], blocks={"block": block})


def wide_mlp() -> Spec:
    return network({"shape": [1000]}, [dense(2048), dense(2048)])


def norm_mlp() -> Spec:
    stage = [{"type": "Dense", "units": 512}, {"type": "LayerNormalization"}]
    stage.append({"type": "Activation", "activation": "gelu"})
    return network({"shape": [784]}, [*stage, *stage])


def vit() -> Spec:
    """Returns a small vision transformer."""
    layers = [
        {"type": "Conv2D", "filters": 128, "kernel_size": 4, "strides": 4},
        {"type": "Reshape", "target_shape": [64, 128]},
        {"type": "block", "name": "block", "repeat": 2},
        {"type": "LayerNormalization"},
        {"type": "GlobalAveragePooling1D"},
    ]
    return image(32, 3, layers, blocks={"block": pre_norm()})


def discriminator() -> Spec:
    """Returns a small discriminator of a DCGAN (Radford et al. 2016)."""
    slope = {"type": "LeakyReLU", "negative_slope": 0.2}
    second = [conv(128, 4, None, strides=2, use_bias=False), NORM, slope]
    return image(32, 3, [conv(64, 4, None, strides=2), slope, *second, {"type": "Flatten"}])


def conv_lstm() -> Spec:
    """Returns a convolution followed by an LSTM."""
    seen = {"type": "Conv1D", "filters": 64, "kernel_size": 5, "padding": "same", "activation": "relu"}
    return network({"shape": [128, 16]}, [seen, {"type": "MaxPooling1D"}, {"type": "LSTM", "units": 64}])


def vgg() -> Spec:
    return image(32, 3, [conv(64), conv(64), POOL, conv(128), conv(128), POOL, conv(256), MEAN])


def text_cnn() -> Spec:
    """Returns a convolutional text classifier (Kim 2014)."""
    layers: list[Spec] = [{"type": "Embedding", "name": "words", "input_dim": 5000, "output_dim": 64}]
    for size in (3, 4, 5):
        seen = {"type": "Conv1D", "filters": 64, "kernel_size": size, "activation": "relu", "from": "words"}
        layers += [seen, {"type": "GlobalMaxPooling1D", "name": f"most_{size}"}]
    return words(100, [*layers, {"type": "Concatenate", "from": ["most_3", "most_4", "most_5"]}])


def inverted() -> Spec:
    """Returns inverted residual blocks of MobileNetV2 for small images."""
    layers = [conv(32, activation=None, use_bias=False), NORM, RELU6]
    before, last = 32, ""
    for filters, stride in ((24, 1), (24, 1), (32, 2)):
        layers += [conv(6 * before, 1, None, use_bias=False), NORM, RELU6]
        layers.append({"type": "DepthwiseConv2D", "kernel_size": 3, "strides": stride, "padding": "same"})
        layers[-1]["use_bias"] = False
        name = f"block_{len(layers)}"
        layers += [NORM, RELU6, conv(filters, 1, None, use_bias=False), {**NORM, "name": name}]
        if filters == before and stride == 1:
            layers.append({"type": "Add", "name": f"{name}_sum", "from": [last, name]})
            name += "_sum"
        before, last = filters, name
    return image(32, 3, [*layers, MEAN])


def gpt() -> Spec:
    """Returns a transformer with causal attention."""
    layers = [
        {"type": "Embedding", "input_dim": 1000, "output_dim": 128},
        {"type": "block", "name": "block", "repeat": 2},
        {"type": "GlobalAveragePooling1D"},
    ]
    return words(128, layers, blocks={"block": pre_norm(use_causal_mask=True)})


def lstm_2() -> Spec:
    first = {"type": "LSTM", "units": 64, "return_sequences": True}
    return network({"shape": [100, 32]}, [first, {"type": "LSTM", "units": 64}])


def tabular() -> Spec:
    stage = [{"type": "Dense", "units": 64, "use_bias": False}, NORM, RELU]
    return network({"shape": [32]}, [*stage, *stage])


def bn_cnn() -> Spec:
    layers: list[Spec] = []
    for filters in (32, 64):
        layers += [conv(filters, activation=None, use_bias=False), NORM, RELU] * 2 + [POOL]
    return image(32, 3, [*layers, {"type": "Flatten"}, dense(128)])


def large_lstm() -> Spec:
    return network({"shape": [50, 64]}, [{"type": "LSTM", "units": 256}])


ALL = (
    workload("lenet", "28x28x1: LeNet-5 with ReLU and maxima", lenet(), 128),
    workload("volumes", "16x16x16x1: Conv3D 16, pool, Conv3D 32, pool, mean", volumes(), 32),
    workload("autoencoder", "32x32x3: two Conv 4x4 by 2, two Conv2DTranspose 4x4 by 2, mean", autoencoder(), 64),
    workload("unet", "64x64x1: U-Net with 16, 32, 64, 32, 16 filters, mean", unet(), 16),
    workload("groupnorm", "32x32x3: two Conv 32, each with group normalization, mean", groupnorm(), 32),
    workload("senet", "32x32x3: Conv 32, two squeeze-and-excitation blocks, mean", senet(), 32),
    workload("wide-mlp", "1000-2048-2048-10", wide_mlp(), 64),
    workload("norm-mlp", "784-512-512-10, layer normalization and GELU", norm_mlp(), 128),
    workload("vit", "32x32x3: patches of 4x4, width 128, 4 heads, 2 pre-norm blocks, mean", vit(), 64),
    workload("discriminator", "32x32x3: Conv 64 and 128, 4x4 by 2, LeakyReLU, batch norm", discriminator(), 64),
    workload("conv-lstm", "128 steps of 16: Conv1D 64, pool, LSTM 64", conv_lstm(), 64),
    workload("vgg", "32x32x3: Conv 64, 64, pool, 128, 128, pool, 256, mean", vgg(), 32),
    workload("text-cnn", "vocabulary 5000, length 100, width 64: Conv1D 64 of 3, 4 and 5, maxima", text_cnn(), 64),
    workload("inverted", "32x32x3: Conv 32, three inverted residual blocks, mean", inverted(), 32, mirrored=True),
    workload("gpt", "vocabulary 1000, length 128, width 128, 4 heads, 2 causal pre-norm blocks, mean", gpt(), 16),
    workload("lstm-2", "100 steps of 32, two LSTM 64", lstm_2(), 32),
    workload("tabular", "32-64-64-10, batch normalization", tabular(), 256),
    workload("bn-cnn", "32x32x3: Conv 32, 32, pool, 64, 64, pool, batch normalization, Dense 128", bn_cnn(), 64),
    workload("large-lstm", "50 steps of 64, LSTM 256", large_lstm(), 32),
)
