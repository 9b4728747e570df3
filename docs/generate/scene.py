"""A scene: files and commands that make the command line print a diagnostic, and short specs for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

CHECK = "jsonnx validate spec.json --data"


class Scene(NamedTuple):
    """A command that prints a diagnostic, in a folder with files, after the commands of `setup`."""

    command: str
    files: dict[str, str | bytes] = {}
    spec: dict[str, Any] | None = None
    """The spec in the file spec.json."""
    setup: tuple[str, ...] = ()

    def all_files(self) -> dict[str, str | bytes]:
        """The files of the folder, the spec included."""
        return {**self.files, **({"spec.json": json.dumps(self.spec, indent=2)} if self.spec is not None else {})}


def rows(header: str, *lines: str) -> str:
    """The text of a table."""
    return "\n".join([header, *lines]) + "\n"


def number_spec(
    data: dict[str, Any] | None = None, *, width: int = 1, inputs: Sequence[str] = ("x",), **training: Any
) -> dict[str, Any]:
    """A spec that predicts a number, with its data and further keys of `training`."""
    merge = [{"type": "Concatenate", "from": [*inputs]}] if len(inputs) > 1 else []
    return {
        "inputs": {name: {"shape": [width]} for name in inputs},
        "layers": [*merge, {"type": "Dense", "name": "y", "units": 1}],
        "training": {"loss": "mse", "epochs": 1, **({"data": data} if data else {}), **training},
    }


def class_spec(data: dict[str, Any], *, classes: int | None = None, **training: Any) -> dict[str, Any]:
    """A spec that tells two classes apart by one output, or several by one each."""
    units, activation, loss = (
        (classes, "softmax", "sparse_categorical_crossentropy") if classes else (1, "sigmoid", "binary_crossentropy")
    )
    return {
        "inputs": {"x": {"shape": [1]}},
        "layers": [{"type": "Dense", "name": "kind", "units": units, "activation": activation}],
        "training": {"loss": loss, "metrics": ["accuracy"], "data": data, **training},
    }


def series_spec(windows: dict[str, Any]) -> dict[str, Any]:
    """A spec that forecasts sales from windows of a table."""
    return {
        "inputs": {"x": {"shape": [7, 1]}},
        "layers": [{"type": "Flatten"}, {"type": "Dense", "name": "y", "units": 1}],
        "training": {
            "loss": "mse",
            "data": {"train": "sales.csv", "x": "sales", "y": "sales", "windows": windows},
        },
    }
