"""Five common networks in training."""

from __future__ import annotations

from .workload import Spec, network, workload


def mlp() -> Spec:
    return network({"shape": [784]}, [{"type": "Dense", "units": 512, "activation": "relu"}])


def cnn() -> Spec:
    return network(
        {"shape": [28, 28, 1]},
        [
            {"type": "Conv2D", "filters": 32, "kernel_size": 3, "activation": "relu"},
            {"type": "MaxPooling2D"},
            {"type": "Conv2D", "filters": 64, "kernel_size": 3, "activation": "relu"},
            {"type": "MaxPooling2D"},
            {"type": "Flatten"},
        ],
    )


def lstm() -> Spec:
    return network({"shape": [28, 28]}, [{"type": "LSTM", "units": 128}])


def pre_norm(**attention: bool) -> Spec:
    """Returns a pre-norm transformer block of width 128."""
    heads = {"num_heads": 4, "key_dim": 32, **attention}
    return {
        "inputs": ["x"],
        "layers": [
            {"type": "LayerNormalization", "name": "norm1"},
            {"type": "MultiHeadAttention", "name": "heads", "from": ["norm1", "norm1"], **heads},
            {"type": "Add", "name": "seen", "from": ["x", "heads"]},
            {"type": "LayerNormalization", "name": "norm2"},
            {"type": "Dense", "name": "expand", "units": 512, "activation": "gelu"},
            {"type": "Dense", "name": "contract", "units": 128},
            {"type": "Add", "name": "out", "from": ["seen", "contract"]},
        ],
    }


def transformer() -> Spec:
    layers = [
        {"type": "Embedding", "input_dim": 1000, "output_dim": 128},
        {"type": "block", "name": "block", "repeat": 2},
        {"type": "GlobalAveragePooling1D"},
    ]
    return network({"shape": [64], "dtype": "int32"}, layers, blocks={"block": pre_norm()})


def resnet() -> Spec:
    same = {"kernel_size": 3, "padding": "same", "use_bias": False}
    block = {
        "parameters": {"filters": 16, "stride": 1, "project": 0},
        "inputs": ["x"],
        "layers": [
            {"type": "Conv2D", "name": "conv1", "filters": "${filters}", "strides": "${stride}", **same},
            {"type": "BatchNormalization", "name": "bn1"},
            {"type": "ReLU", "name": "relu1"},
            {"type": "Conv2D", "name": "conv2", "filters": "${filters}", **same},
            {"type": "BatchNormalization", "name": "bn2"},
            {"type": "Conv2D", "name": "short", "from": "x", "repeat": "${project}", "filters": "${filters}",
             "kernel_size": 1, "strides": "${stride}", "use_bias": False},
            {"type": "BatchNormalization", "name": "short_bn", "repeat": "${project}"},
            {"type": "Add", "name": "sum", "from": ["bn2", "short_bn"]},
            {"type": "ReLU", "name": "out"},
        ],
    }  # fmt: skip
    layers = [
        {"type": "Conv2D", "name": "stem", "filters": 16, **same},
        {"type": "BatchNormalization", "name": "stem_bn"},
        {"type": "ReLU", "name": "stem_relu"},
        {"type": "block", "name": "a", "repeat": 3},
        {"type": "block", "name": "b", "filters": 32, "stride": 2, "project": 1},
        {"type": "block", "name": "c", "filters": 32, "repeat": 2},
        {"type": "block", "name": "d", "filters": 64, "stride": 2, "project": 1},
        {"type": "block", "name": "e", "filters": 64, "repeat": 2},
        {"type": "GlobalAveragePooling2D"},
    ]
    return network({"shape": [32, 32, 3]}, layers, blocks={"block": block})


ALL = (
    workload("mlp", "784-512-10", mlp(), 128),
    workload("cnn", "28x28x1: Conv 32, pool, Conv 64, pool, Dense 10", cnn(), 128),
    workload("lstm", "28 steps of 28, LSTM 128, Dense 10", lstm(), 64),
    workload(
        "transformer",
        "vocabulary 1000, length 64, width 128, 4 heads, 2 pre-norm blocks, mean, Dense 10",
        transformer(),
        32,
    ),
    workload("resnet", "CIFAR ResNet-20 with batch normalization", resnet(), 64),
)
