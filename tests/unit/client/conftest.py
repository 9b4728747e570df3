"""Models, and a server of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonnx
import pytest
from support.serving import running_server

PETS: dict[str, Any] = {
    "name": "pets",
    "inputs": {"kind": {"shape": [], "dtype": "string"}, "sizes": {"shape": [2]}},
    "layers": [
        {"type": "StringLookup", "name": "k", "from": "kind", "vocabulary": ["cat", "dog"], "output_mode": "one_hot"},
        {"type": "Concatenate", "from": ["k", "sizes"]},
        {"type": "Dense", "name": "mood", "units": 3, "activation": "softmax"},
    ],
    "labels": ["calm", "merry", "wild"],
    "training": {
        "loss": "sparse_categorical_crossentropy",
        "data": {"train": "d.csv", "x": {"sizes": ["height (cm)", "weight"]}},
    },
}
PICTURES: dict[str, Any] = {
    "name": "pictures",
    "inputs": {"image": {"shape": [4, 4, 1]}},
    "layers": [{"type": "Flatten"}, {"type": "Dense", "name": "light", "units": 1}],
}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of models, by name."""
    folder = tmp_path_factory.mktemp("models")
    paths = {str(spec["name"]): folder / f"{spec['name']}.onnx" for spec in (PETS, PICTURES)}
    for spec in (PETS, PICTURES):
        jsonnx.compile(spec, seed=3).save(paths[spec["name"]])
    return paths


@pytest.fixture(scope="session")
def url(models: dict[str, Path]) -> Iterator[str]:
    """The URL of a server of the models."""
    with running_server(models) as server:
        yield server.url


@pytest.fixture(scope="session")
def pets_url(models: dict[str, Path]) -> Iterator[str]:
    """The URL of a server of one model."""
    with running_server({"pets": models["pets"]}) as server:
        yield server.url


@pytest.fixture
def free_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
