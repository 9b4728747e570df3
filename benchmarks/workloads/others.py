"""Variations of the classic networks, to detect tuning for single networks."""

from __future__ import annotations

from .classic import mlp
from .workload import Spec, network, workload


def depthwise() -> Spec:
    """Returns the first stages of MobileNet for small images."""
    layers = [{"type": "Conv2D", "filters": 32, "kernel_size": 3, "padding": "same", "activation": "relu"}]
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2)):
        layers += [
            {"type": "DepthwiseConv2D", "kernel_size": 3, "strides": stride, "padding": "same", "activation": "relu"},
            {"type": "Conv2D", "filters": filters, "kernel_size": 1, "activation": "relu"},
        ]
    return network({"shape": [32, 32, 3]}, [*layers, {"type": "GlobalAveragePooling2D"}])


def wavenet() -> Spec:
    """Returns causal convolutions with increasing dilation."""
    causal = {"type": "Conv1D", "filters": 64, "kernel_size": 3, "padding": "causal", "activation": "relu"}
    layers = [{**causal, "dilation_rate": 2**step} for step in range(6)]
    return network({"shape": [512, 32]}, [*layers, {"type": "GlobalAveragePooling1D"}])


def gru() -> Spec:
    """Returns a bidirectional GRU."""
    return network({"shape": [50, 32]}, [{"type": "Bidirectional", "layer": {"type": "GRU", "units": 64}}])


def embedding(rows: int = 50_000) -> Spec:
    """Returns an embedding that is so large that its update dominates the step."""
    table = {"type": "Embedding", "input_dim": rows, "output_dim": 64}
    return network({"shape": [32], "dtype": "int32"}, [table, {"type": "GlobalAveragePooling1D"}])


def odd() -> Spec:
    """Returns convolutions of sizes for which kernels are not optimized."""
    layers = [
        {"type": "Conv2D", "filters": 24, "kernel_size": 5, "strides": 2, "activation": "relu"},
        {"type": "Conv2D", "filters": 40, "kernel_size": 3, "dilation_rate": 2, "activation": "relu"},
        {"type": "MaxPooling2D", "pool_size": 3, "strides": 2},
        {"type": "Flatten"},
    ]
    return network({"shape": [31, 29, 3]}, layers)


ALL = (
    workload("mlp-1", "784-512-10", mlp(), 1, "mlp"),
    workload("mlp-8", "784-512-10", mlp(), 8, "mlp"),
    workload("mlp-32", "784-512-10", mlp(), 32, "mlp"),
    workload("mlp-1024", "784-512-10", mlp(), 1024, "mlp"),
    workload("depthwise", "32x32x3: Conv 32, four depthwise separable convolutions", depthwise(), 64, mirrored=True),
    workload("wavenet", "512 steps of 32: six causal Conv1D 64, dilated by 1 to 32", wavenet(), 32),
    workload("gru", "50 steps of 32, GRU 64 both ways", gru(), 64),
    workload("embedding", "vocabulary 50,000, width 64, length 32, mean", embedding(), 256),
    workload("vocabulary", "vocabulary 400,000, width 64, length 32, mean", embedding(400_000), 64),
    workload("odd", "31x29x3: Conv 24 5x5 by 2, Conv 40 dilated by 2, pool 3 by 2", odd(), 50),
)
