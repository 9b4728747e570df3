"""Exports a network to ONNX by one of several routes: python -m benchmarks.exports ROUTE FOLDER FILE"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .materials import Materials


def jsonnx(materials: Materials, path: Path) -> None:
    from jsonnx import compile

    compile(materials.spec, materials.weights).save(path)


def keras(backend: str, materials: Materials, path: Path) -> None:
    """Exports with Keras: tf2onnx on TensorFlow, torch.onnx on PyTorch."""
    os.environ["KERAS_BACKEND"] = backend
    import keras as keras3

    model = keras3.models.model_from_json(materials.keras_config)
    model.load_weights(materials.keras_weights)
    shape, dtype = materials.x[: materials.batch].shape, str(materials.x.dtype)
    model.export(path, format="onnx", input_signature=[keras3.InputSpec(shape=shape, dtype=dtype)], verbose=False)


def torch(materials: Materials, path: Path) -> None:
    """Exports the PyTorch network with torch.onnx for a fixed batch size."""
    import torch as pytorch

    from .contestants.pytorch import tensors
    from .contestants.torch_networks import network_of

    ((x, _), *_) = tensors(materials)
    pytorch.onnx.export(network_of(materials).eval(), (x,), path, dynamo=True, external_data=False, verbose=False)


def main(route: str, folder: str, file: str) -> None:
    materials, path = Materials(Path(folder)), Path(file)
    if route == "jsonnx":
        jsonnx(materials, path)
    elif route == "torch":
        torch(materials, path)
    else:
        keras(route.removeprefix("keras-"), materials, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
