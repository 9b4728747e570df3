"""A network, its batch, and data for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Spec = dict[str, Any]
CLASSES = 10


@dataclass(frozen=True)
class Workload:
    """A network that tells classes apart, and how many samples a step takes."""

    name: str
    about: str
    spec: Spec
    batch: int
    network: str
    """What it is called among PyTorch's networks."""
    batches: int = 8
    """Different ones; then they come again."""
    mirrored: bool = False
    """Whether PyTorch's images and kernels are turned around: it pads at the near edge what Keras pads at the far."""

    @property
    def trains(self) -> bool:
        return "training" in self.spec

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        ((_, about),) = self.spec["inputs"].items()
        return tuple(about["shape"])

    def brief(self) -> dict[str, Any]:
        """What contestants are told besides the spec."""
        convolves = len(self.shape) == 3 or any("Conv" in entry.get("type", "") for entry in self.spec["layers"])
        return {"network": self.network, "batch": self.batch, "mirrored": self.mirrored, "convolves": convolves}

    def data(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Samples and labels, drawn."""
        rng = np.random.default_rng(seed)
        shape = (self.batches * self.batch, *self.shape)
        vocabulary = next((e["input_dim"] for e in self.spec["layers"] if e.get("type") == "Embedding"), None)
        if vocabulary is None:
            x = rng.standard_normal(shape, np.float32)
        else:
            x = rng.integers(vocabulary, size=shape, dtype=np.int32)
        return x, rng.integers(CLASSES, size=shape[0], dtype=np.int32)


def network(inputs: Spec, layers: list[Spec], classes: int = CLASSES, **more: Any) -> Spec:
    """A spec that ends in logits."""
    return {"inputs": {"x": inputs}, **more, "layers": [*layers, {"type": "Dense", "name": "logits", "units": classes}]}


def trained(spec: Spec, batch: int) -> Spec:
    """The spec, trained by Adam."""
    training = {
        "loss": {"type": "sparse_categorical_crossentropy", "from_logits": True},
        "optimizer": {"type": "adam", "learning_rate": 0.001, "epsilon": 1e-7},
        "batch_size": batch,
    }
    return {**spec, "training": training}


def workload(name: str, about: str, spec: Spec, batch: int, network: str = "", mirrored: bool = False) -> Workload:
    """A spec in training; PyTorch's network is called like it, unless another is."""
    return Workload(name, f"{about}, batch {batch}", trained(spec, batch), batch, network or name, mirrored=mirrored)


def batches(x: np.ndarray, y: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The samples in batches, over and over."""
    while True:
        for start in range(0, len(x), size):
            yield x[start : start + size], y[start : start + size]
