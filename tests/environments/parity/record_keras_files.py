"""Records files of Keras 3 for the tests of its readers: `python record_keras_files.py FOLDER`.

The values of a weight are determined by its name (`numbers`), so that tests can compute them.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import h5py
import keras
import numpy as np
import oracle
from keras import layers
from unit.layers.cases import all_cases  # tests/unit/layers


def numbers(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the values of the weight of a name."""
    return np.random.default_rng(zlib.crc32(name.encode())).uniform(0.1, 1, shape).astype("float32")


def every_kind() -> keras.Model:
    """Returns a model with every kind of layer that has weights in inner layers."""
    x = keras.Input((6, 4), name="x")
    encoder = keras.Sequential(
        [
            keras.Input((6, 4)),
            layers.Conv1D(3, 2, padding="same", name="first"),
            layers.BatchNormalization(name="normal"),
            layers.Conv1D(4, 2, padding="same", name="second"),
        ],
        name="encoder",
    )
    y = layers.Bidirectional(layers.GRU(2, return_sequences=True), name="both")(encoder(x))
    y = layers.MultiHeadAttention(2, 3, use_gate=True, name="heads")(y, y)
    y = layers.TimeDistributed(layers.Dense(4, name="dense"), name="each")(y)
    cells = [layers.LSTMCell(3), layers.GRUCell(2), layers.LSTMCell(3)]
    y = layers.RNN(cells, name="stack")(y)
    y = layers.SpectralNormalization(layers.Dense(3, name="dense"), name="spectral")(y)
    y = layers.Normalization(name="scaled")(y)
    y = layers.Dropout(0.5, seed=1, name="dropout")(y)
    model = keras.Model(x, layers.Dense(2, name="end")(y), name="every_kind")
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((2, 6, 4)), np.ones((2, 2)), verbose=0)
    return model


def half() -> keras.Model:
    """Returns a model with weights of 16-bit element types."""
    dense = [layers.Dense(2, name=name, dtype=name) for name in ("bfloat16", "float16")]
    model = keras.Sequential([keras.Input((3,)), *dense], name="half")
    model.compile("sgd", "mse")
    return model


def fill(model: keras.Model) -> None:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            fill(layer)
            continue
        for weight in layer.weights:
            name = weight.path[weight.path.index(f"{layer.name}/") :]
            weight.assign(keras.ops.cast(numbers(name, weight.shape), weight.dtype))


def weight_paths(folder: Path) -> dict[str, list[str]]:
    """Returns for every layer case the paths of the layer's weights in a weights file, from the layer's group on."""
    paths_by_case = {}
    for case in all_cases():
        names = [f"x{index}" for index in range(len(case.inputs))]
        inputs = {name: {"shape": shape, "dtype": case.dtype} for name, shape in zip(names, case.inputs, strict=True)}
        spec = {"inputs": inputs, "layers": [{**case.layer, "name": "layer", "from": names}]}
        try:
            model = oracle.keras_model(spec, initial=False)
        except Exception as error:  # Keras has no such layer, or with other arguments
            print(case.id, error)
            continue
        if model.weights:
            model.save_weights(folder / "some.weights.h5")
            paths_by_case[case.id] = dataset_paths(folder / "some.weights.h5")
    (folder / "some.weights.h5").unlink()
    return paths_by_case


def dataset_paths(path: Path) -> list[str]:
    paths: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: paths.append(name) if isinstance(item, h5py.Dataset) else None)
    return [path.split("/", 2)[2] for path in paths]


def main(folder: Path) -> None:
    (folder / "keras3_places.json").write_text(json.dumps(weight_paths(folder), separators=(",", ":")) + "\n")
    keras.backend.clear_session()
    for model in (every_kind(), half()):
        fill(model)
        model.save(folder / f"keras3_{model.name}.keras")
        model.save(folder / f"keras3_{model.name}.h5", include_optimizer=model.name == "half")
    model.save_weights(folder / "keras3_shards.weights.json", max_shard_size=2e-8)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
