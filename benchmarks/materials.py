"""The input of all contestants of a workload: the network with equal weights in several formats, and data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .workloads.workload import Workload

SEED = 1


def write(workload: Workload, folder: Path) -> None:
    """Writes the spec and weights, the same network in the format of Keras, and the data."""
    import jsonnx

    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "spec.json"
    spec.write_text(json.dumps(workload.spec), "utf-8")
    weights = by_layer(jsonnx.compile(spec, seed=SEED).weights)
    if not workload.trains:
        weights = as_trained(weights)
    np.savez(folder / "weights.npz", **weights)
    jsonnx.to_keras(spec, weights=weights).save(folder / "keras")
    x, y = workload.data(SEED)
    np.savez(folder / "data.npz", x=x, y=y)
    (folder / "about.json").write_text(json.dumps(workload.brief()), "utf-8")


def by_layer(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the weights in the order of Keras: grouped by layer, parameters before states."""
    layers = list(dict.fromkeys(name.rpartition("/")[0] for name in weights))
    return {name: weights[name] for name in sorted(weights, key=lambda name: layers.index(name.rpartition("/")[0]))}


def as_trained(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the weights with drawn statistics and gains in place of constant initial ones, as after training."""
    rng = np.random.default_rng(SEED)
    drawn = {
        "gamma": lambda shape: rng.uniform(0.8, 1.2, shape),
        "beta": lambda shape: rng.normal(0, 0.1, shape),
        "moving_mean": lambda shape: rng.normal(0, 0.1, shape),
        "moving_variance": lambda shape: rng.uniform(0.8, 1.2, shape),
    }
    kinds = {name: name.rpartition("/")[2] for name in weights}
    return {
        name: drawn[kinds[name]](array.shape).astype(np.float32) if kinds[name] in drawn else array
        for name, array in weights.items()
    }


class Materials:
    """The files of a workload as read by a contestant."""

    def __init__(self, folder: Path) -> None:
        about: dict[str, Any] = json.loads((folder / "about.json").read_text("utf-8"))
        self.network: str = about["network"]
        self.batch: int = about["batch"]
        self.mirrored: bool = about["mirrored"]
        self.convolves: bool = about["convolves"]
        self.folder = folder
        self.spec = folder / "spec.json"
        self.keras_config = (folder / "keras" / "model.json").read_text("utf-8")
        self.keras_weights = folder / "keras" / "model.weights.h5"
        with np.load(folder / "data.npz") as data:
            self.x, self.y = data["x"], data["y"]
        with np.load(folder / "weights.npz") as weights:
            self.weights = {name: weights[name] for name in weights.files}

    def channels_first(self) -> np.ndarray:
        """Returns the samples in the layout of PyTorch."""
        x = np.moveaxis(self.x, -1, 1) if self.convolves else self.x
        return np.ascontiguousarray(x[..., ::-1, ::-1] if self.mirrored else x)
