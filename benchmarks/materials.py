"""What all contestants of a workload are given: the network with the same weights in everyone's format, and data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonnx
import numpy as np

from .workloads import Workload

BATCHES = 8
"""Different batches; then they come again."""


def write(workload: Workload, folder: Path) -> None:
    """Our spec and weights, the same network as Keras writes it, and the data."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "spec.json"
    spec.write_text(json.dumps(workload.spec), "utf-8")
    weights = jsonnx.Trainer(spec, seed=1).weights()
    np.savez(folder / "weights.npz", **weights)
    jsonnx.to_keras(spec, weights=weights).save(folder / "keras")
    x, y = workload.data(BATCHES)
    np.savez(folder / "data.npz", x=x, y=y)
    (folder / "about.json").write_text(json.dumps({"workload": workload.name, "batch": workload.batch}), "utf-8")


class Materials:
    """The folder, read by a contestant."""

    def __init__(self, folder: Path) -> None:
        about: dict[str, Any] = json.loads((folder / "about.json").read_text("utf-8"))
        self.workload: str = about["workload"]
        self.batch: int = about["batch"]
        self.spec = folder / "spec.json"
        self.keras_config = (folder / "keras" / "model.json").read_text("utf-8")
        self.keras_weights = folder / "keras" / "model.weights.h5"
        with np.load(folder / "data.npz") as data:
            self.x, self.y = data["x"], data["y"]
        with np.load(folder / "weights.npz") as weights:
            self.weights = {name: weights[name] for name in weights.files}
