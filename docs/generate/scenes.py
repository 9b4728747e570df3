"""Scenes for the pages of codes: files and commands that make the command line print a diagnostic of a code."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


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


def _table_spec(data: dict[str, Any], **training: Any) -> dict[str, Any]:
    """A spec of one number from one number, with the data and further keys of `training`."""
    return {
        "inputs": {"x": {"shape": [1]}},
        "layers": [{"type": "Dense", "name": "y", "units": 1}],
        "training": {"loss": "mse", "data": data, "seed": 1, **training},
    }


def _class_spec(data: dict[str, Any], **training: Any) -> dict[str, Any]:
    """A spec that tells classes apart by one number."""
    layers = [{"type": "Dense", "name": "kind", "units": 1, "activation": "sigmoid"}]
    own = {"loss": "binary_crossentropy", "metrics": ["accuracy"], "data": data, "seed": 1, **training}
    return {"inputs": {"x": {"shape": [1]}}, "layers": layers, "training": own}


def _rows(header: str, *lines: str) -> str:
    return "\n".join([header, *lines]) + "\n"


CHECK = "jsonnx validate spec.json --data"

SCENES: dict[str, Scene] = {}
"""The scenes by code; a code without one has the example of its explanation."""
