"""Workloads: a network, its batch size, and random data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Spec = dict[str, Any]
CLASSES = 10


@dataclass(frozen=True)
class Workload:
    """A classifier and its batch size."""

    name: str
    about: str
    spec: Spec
    batch: int
    network: str
    """The name of the PyTorch network."""
    batches: int = 8
    """Number of different batches, which are repeated."""
    mirrored: bool = False
    """Whether images and kernels are reversed for PyTorch, which pads the start of an axis where Keras pads its end."""

    @property
    def trains(self) -> bool:
        return "training" in self.spec

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        ((_, about),) = self.spec["inputs"].items()
        return tuple(about["shape"])

    def brief(self) -> dict[str, Any]:
        """Returns what contestants need besides the spec."""
        convolves = len(self.shape) == 3 or any("Conv" in entry.get("type", "") for entry in self.spec["layers"])
        return {"network": self.network, "batch": self.batch, "mirrored": self.mirrored, "convolves": convolves}

    def data(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws samples and labels."""
        rng = np.random.default_rng(seed)
        shape = (self.batches * self.batch, *self.shape)
        vocabulary = next((e["input_dim"] for e in self.spec["layers"] if e.get("type") == "Embedding"), None)
        if vocabulary is None:
            x = rng.standard_normal(shape, np.float32)
        else:
            x = rng.integers(vocabulary, size=shape, dtype=np.int32)
        return x, rng.integers(CLASSES, size=shape[0], dtype=np.int32)


def network(inputs: Spec, layers: list[Spec], classes: int = CLASSES, **more: Any) -> Spec:
    """Returns a spec whose last layer computes logits."""
    return {"inputs": {"x": inputs}, **more, "layers": [*layers, {"type": "Dense", "name": "logits", "units": classes}]}


def trained(spec: Spec, batch: int) -> Spec:
    """Returns the spec with a training section with Adam."""
    training = {
        "loss": {"type": "sparse_categorical_crossentropy", "from_logits": True},
        "optimizer": {"type": "adam", "learning_rate": 0.001, "epsilon": 1e-7},
        "batch_size": batch,
    }
    return {**spec, "training": training}


def workload(name: str, about: str, spec: Spec, batch: int, network: str = "", mirrored: bool = False) -> Workload:
    """Returns a workload in training; `network` is the name of the PyTorch network, by default that of the workload."""
    return Workload(name, f"{about}, batch {batch}", trained(spec, batch), batch, network or name, mirrored=mirrored)


def batches(x: np.ndarray, y: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the samples in batches, endlessly."""
    while True:
        for start in range(0, len(x), size):
            yield x[start : start + size], y[start : start + size]
