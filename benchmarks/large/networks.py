"""The large networks: their specs, their sizes, and random batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Spec = dict[str, Any]
Sizes = Mapping[str, Any]
Batch = tuple[dict[str, np.ndarray], np.ndarray]

TRANSFORMER = Path(__file__).parents[2] / "samples" / "transformer.json"
LEARNING_RATE, EPSILON = 3e-4, 1e-7
GIB = 1 << 30
STATE_BYTES_PER_PARAMETER = 12
"""Bytes of the weight and both slots of Adam."""
MIN_OTHER_GIB = 0.5
"""Least memory of a process besides weights and slots."""


@dataclass(frozen=True)
class Family:
    """Networks of one architecture and different sizes."""

    spec: Callable[[Sizes], Spec]
    batch: Callable[[Sizes, np.random.Generator], Batch]
    tiny: Sizes
    """Sizes of the form that takes milliseconds, without dropout."""
    optimizer: str
    from_logits: bool = True
    """Whether the spec ends with logits; else with probabilities."""


@dataclass(frozen=True)
class Network:
    """A large network and its batch."""

    about: str
    family_name: str
    parameters: int
    """Number of parameters, rounded to millions."""
    sizes: Sizes

    @property
    def family(self) -> Family:
        return FAMILIES[self.family_name]

    @property
    def min_gib(self) -> float:
        """The memory without which no contestant can train the network."""
        return self.parameters * STATE_BYTES_PER_PARAMETER / GIB + MIN_OTHER_GIB

    def sizes_of(self, tiny: bool) -> Sizes:
        return {**self.sizes, **self.family.tiny} if tiny else self.sizes

    def spec(self, tiny: bool, remat: str = "") -> Spec:
        sizes = self.sizes_of(tiny)
        loss = {"type": "sparse_categorical_crossentropy", "from_logits": self.family.from_logits}
        optimizer = {"type": self.family.optimizer, "learning_rate": LEARNING_RATE, "epsilon": EPSILON}
        training = {"loss": loss, "optimizer": optimizer, "batch_size": sizes["batch"]}
        return {**self.family.spec(sizes), "training": training | ({"remat": remat} if remat else {})}

    def batch(self, tiny: bool, seed: int) -> Batch:
        return self.family.batch(self.sizes_of(tiny), np.random.default_rng(seed))


def _gpt_spec(sizes: Sizes) -> Spec:
    spec = json.loads(TRANSFORMER.read_text("utf-8"))
    names = ("vocabulary", "width", "heads", "depth", "drop")
    parameters = spec["parameters"] | {name: sizes[name] for name in names}
    return {"parameters": parameters, **{key: spec[key] for key in ("blocks", "inputs", "layers")}}


def _gpt_batch(sizes: Sizes, rng: np.random.Generator) -> Batch:
    shape = (sizes["batch"], sizes["time"])
    tokens = rng.integers(sizes["vocabulary"], size=shape, dtype=np.int32)
    positions = np.broadcast_to(np.arange(shape[1], dtype=np.int32), shape).copy()
    return {"tokens": tokens, "positions": positions}, rng.integers(sizes["vocabulary"], size=shape, dtype=np.int32)


def _vit_spec(sizes: Sizes) -> Spec:
    blocks = json.loads(TRANSFORMER.read_text("utf-8"))["blocks"]
    (attention,) = (layer for layer in blocks["attention"]["layers"] if layer["type"] == "MultiHeadAttention")
    attention["use_causal_mask"] = False
    patches = (sizes["image"] // sizes["patch"]) ** 2
    width, patch = sizes["width"], sizes["patch"]
    return {
        "blocks": blocks,
        "inputs": {"x": {"shape": [sizes["image"], sizes["image"], 3]}},
        "layers": [
            {"type": "Conv2D", "filters": width, "kernel_size": patch, "strides": patch},
            {"type": "Reshape", "name": "patches", "target_shape": [patches, width]},
            {"type": "PositionEmbedding", "name": "positions", "sequence_length": patches},
            {"type": "Add", "from": ["patches", "positions"]},
            {
                "type": "decoder",
                "name": "block",
                "repeat": sizes["depth"],
                "width": width,
                "heads": sizes["heads"],
                "drop": 0.0,
            },
            {"type": "LayerNormalization", "epsilon": 1e-5},
            {"type": "GlobalAveragePooling1D"},
            {"type": "Dense", "units": sizes["classes"]},
        ],
    }


def _image_batch(sizes: Sizes, rng: np.random.Generator) -> Batch:
    x = rng.standard_normal((sizes["batch"], sizes["image"], sizes["image"], 3), np.float32)
    return {"x": x}, rng.integers(sizes["classes"], size=sizes["batch"], dtype=np.int32)


def _lstm_spec(sizes: Sizes) -> Spec:
    lstm = {"type": "LSTM", "units": sizes["width"], "return_sequences": True}
    return {
        "inputs": {"x": {"shape": [sizes["time"]], "dtype": "int32"}},
        "layers": [
            {"type": "Embedding", "input_dim": sizes["vocabulary"], "output_dim": sizes["width"]},
            *([lstm] * sizes["depth"]),
            {"type": "Dense", "units": sizes["vocabulary"]},
        ],
    }


def _lstm_batch(sizes: Sizes, rng: np.random.Generator) -> Batch:
    shape = (sizes["batch"], sizes["time"])
    x, y = (rng.integers(sizes["vocabulary"], size=shape, dtype=np.int32) for _ in range(2))
    return {"x": x}, y


def _resnet_spec(sizes: Sizes) -> Spec:
    """Returns basic residual blocks behind a stem of patches; each stage begins with a maximum of 2 by 2."""
    norm, relu = {"type": "BatchNormalization"}, {"type": "ReLU"}
    layers: list[Spec] = [_conv(sizes["widths"][0], sizes["patch"], strides=sizes["patch"]), norm, relu]
    before = sizes["widths"][0]
    for stage, (width, count) in enumerate(zip(sizes["widths"], sizes["counts"], strict=True)):
        layers += [{"type": "MaxPooling2D"}] if stage else []
        for number in range(count):
            name = f"stage{stage}_{number}"
            layers.append({"type": "Identity", "name": f"{name}_in"})
            branch = [_conv(width, 3), norm, relu, _conv(width, 3), {**norm, "name": f"{name}_branch"}]
            shortcut = [{**_conv(width, 1), "from": f"{name}_in"}, {**norm, "name": f"{name}_short"}]
            layers += branch + (shortcut if width != before else [])
            joined = [f"{name}_branch", f"{name}_short" if width != before else f"{name}_in"]
            layers += [{"type": "Add", "from": joined}, relu]
            before = width
    layers += [{"type": "GlobalAveragePooling2D"}, {"type": "Dense", "units": sizes["classes"]}]
    return {"inputs": {"x": {"shape": [sizes["image"], sizes["image"], 3]}}, "layers": layers}


def _conv(filters: int, size: int, **more: Any) -> Spec:
    entry = {"type": "Conv2D", "filters": filters, "kernel_size": size, "use_bias": False, **more}
    return entry if "strides" in entry else {**entry, "padding": "same"}


TINY_TRANSFORMER = {"batch": 2, "width": 32, "heads": 4, "depth": 2}
FAMILIES = {
    "gpt": Family(
        _gpt_spec,
        _gpt_batch,
        {**TINY_TRANSFORMER, "vocabulary": 64, "time": 8, "drop": 0.0},
        optimizer="adamw",
        from_logits=False,
    ),
    "vit": Family(
        _vit_spec, _image_batch, {**TINY_TRANSFORMER, "image": 16, "patch": 4, "classes": 10}, optimizer="adamw"
    ),
    "lstm": Family(
        _lstm_spec,
        _lstm_batch,
        {"batch": 2, "width": 16, "depth": 2, "vocabulary": 32, "time": 5},
        optimizer="adam",
    ),
    "resnet": Family(
        _resnet_spec,
        _image_batch,
        {"batch": 4, "widths": (8, 16), "counts": (1, 2), "image": 32, "patch": 4, "classes": 10},
        optimizer="adam",
    ),
}


def _gpt(about: str, parameters: int, batch: int, time: int, width: int, depth: int, drop: float = 0.1) -> Network:
    sizes = {"vocabulary": 50257, "width": width, "heads": width // 64, "depth": depth, "drop": drop}
    return Network(f"GPT-2, {about}", "gpt", parameters * 1_000_000, {**sizes, "batch": batch, "time": time})


NETWORKS = {
    "gpt2-124m": _gpt("batch 2 x 128", 124, 2, 128, 768, 12),
    "gpt2-124m-1024": _gpt("batch 1 x 1,024", 124, 1, 1024, 768, 12),
    "gpt2-124m-1024-no-dropout": _gpt("batch 1 x 1,024, without dropout", 124, 1, 1024, 768, 12, drop=0.0),
    "gpt2-355m": _gpt("batch 1 x 128", 355, 1, 128, 1024, 24),
    "gpt2-774m": _gpt("batch 1 x 64", 774, 1, 64, 1280, 36),
    "vit-l": Network(
        "ViT-L/16 with mean pooling, image 224, batch 4",
        "vit",
        304_000_000,
        {"batch": 4, "image": 224, "patch": 16, "width": 1024, "heads": 16, "depth": 24, "classes": 1000},
    ),
    "lstm-4x1024": Network(
        "embedding, 4 LSTM 1,024, scores of 10,000 words, batch 8 x 64",
        "lstm",
        54_000_000,
        {"batch": 8, "time": 64, "width": 1024, "depth": 4, "vocabulary": 10_000},
    ),
    "resnet-300m": Network(
        "15 residual blocks of 256 to 2,048 channels, image 128, batch 4",
        "resnet",
        304_000_000,
        {
            "batch": 4,
            "image": 128,
            "patch": 4,
            "widths": (256, 512, 1024, 2048),
            "counts": (3, 4, 4, 3),
            "classes": 1000,
        },
    ),
}
