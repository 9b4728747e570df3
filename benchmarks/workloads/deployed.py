"""Networks in inference, at batch 1 and 32."""

from __future__ import annotations

import json
from pathlib import Path

from .classic import lstm, transformer
from .workload import Spec, Workload, network

SAMPLES = Path(__file__).parents[2] / "samples"
NORM = {"type": "BatchNormalization", "epsilon": 1e-3, "momentum": 0.999}


def resnet50() -> Spec:
    """Returns the sample without softmax and without biases before normalizations, as in torchvision."""
    spec: Spec = json.loads((SAMPLES / "resnet50.json").read_text("utf-8"))
    for entry in (*spec["layers"], *spec["blocks"]["bottleneck"]["layers"]):
        if entry["type"] == "Conv2D":
            entry["use_bias"] = False
    del spec["layers"][-1]["activation"]
    spec["inputs"]["image"]["shape"] = [224, 224, 3]
    del spec["parameters"]["size"]
    return spec


def mobilenet_v2() -> Spec:
    """Returns MobileNetV2 (Sandler et al. 2018) as in keras.applications."""
    relu6 = {"type": "ReLU", "max_value": 6}
    plain = {"type": "Conv2D", "use_bias": False}
    layers: list[Spec] = [{**plain, "filters": 32, "kernel_size": 3, "strides": 2, "padding": "same"}, NORM, relu6]
    before, last = 32, ""
    for expansion, filters, count, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for index in range(count):
            strides = stride if index == 0 else 1
            if expansion > 1:
                layers += [{**plain, "filters": expansion * before, "kernel_size": 1}, NORM, relu6]
            if strides == 2:
                layers.append({"type": "ZeroPadding2D", "padding": [[0, 1], [0, 1]]})
            padding = "valid" if strides == 2 else "same"
            depthwise = {"type": "DepthwiseConv2D", "kernel_size": 3, "strides": strides, "padding": padding}
            layers += [{**depthwise, "use_bias": False}, NORM, relu6]
            name = f"project_{filters}_{index}"
            layers += [{**plain, "filters": filters, "kernel_size": 1}, {**NORM, "name": name}]
            if index:
                layers.append({"type": "Add", "name": f"{name}_sum", "from": [last, name]})
                name += "_sum"
            before, last = filters, name
    layers += [{**plain, "filters": 1280, "kernel_size": 1}, NORM, relu6, {"type": "GlobalAveragePooling2D"}]
    return network({"shape": [224, 224, 3]}, layers, classes=1000)


def workloads(name: str, about: str, spec: Spec, mirrored: bool = False) -> list[Workload]:
    return [Workload(f"{name}-{batch}", f"{about}, batch {batch}", spec, batch, name, 1, mirrored) for batch in (1, 32)]


ALL = (
    *workloads("mobilenet_v2", "MobileNetV2, 224x224x3", mobilenet_v2(), mirrored=True),
    *workloads("resnet50", "ResNet50, 224x224x3", resnet50()),
    *workloads("lstm", "28 steps of 28, LSTM 128, Dense 10", lstm()),
    *workloads("transformer", "length 64, width 128, 4 heads, 2 pre-norm blocks", transformer()),
)
