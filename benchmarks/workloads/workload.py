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
    """A network that tells ten classes apart, and how many samples a step takes."""

    name: str
    about: str
    spec: Spec
    batch: int
    core: bool = False
    """Whether it is one of the five that the tables begin with."""

    def data(self, batches: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Samples and labels, drawn."""
        rng = np.random.default_rng(seed)
        ((_, about),) = self.spec["inputs"].items()
        shape = (batches * self.batch, *about["shape"])
        vocabulary = next((e["input_dim"] for e in self.spec["layers"] if e.get("type") == "Embedding"), None)
        if vocabulary is None:
            x = rng.standard_normal(shape, np.float32)
        else:
            x = rng.integers(vocabulary, size=shape, dtype=np.int32)
        return x, rng.integers(CLASSES, size=shape[0], dtype=np.int32)


def trained(inputs: Spec, layers: list[Spec], batch: int, **more: Any) -> Spec:
    """A spec that ends in ten logits, trained by Adam."""
    return {
        "inputs": {"x": inputs},
        **more,
        "layers": [*layers, {"type": "Dense", "name": "logits", "units": CLASSES}],
        "training": {
            "loss": {"type": "sparse_categorical_crossentropy", "from_logits": True},
            "optimizer": {"type": "adam", "learning_rate": 0.001, "epsilon": 1e-7},
            "batch_size": batch,
        },
    }


def batches(x: np.ndarray, y: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The samples in batches, over and over."""
    while True:
        for start in range(0, len(x), size):
            yield x[start : start + size], y[start : start + size]
