"""Networks exported to Keras: what Keras makes of the files computes what the network does.

Not collected by the ordinary suite: `sh tests/parity/run.sh` runs it where Keras is installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
import oracle
import pytest
from cases import GRAPHS, Network, of_layers, of_masks
from check_layers import OUTPUT_TOLERANCE, difference, worst
from drawing import alone, draw_batch, draw_weights
from jsonnx.pipeline.keras_export import to_keras
from jsonnx.pipeline.trainer import Trainer

IN_FILES = ("layer-ops-max-pool-", "layer-ops-average-pool", "layer-ops-clip-rows", "layer-ops-norm-")
"""What Keras computes, but cannot (on JAX at least) once it stands in a file: there tuples are lists."""

UNSAID = (
    "layer-ops-layer-norm",
    "layer-ops-rms-norm",
    "layer-ops-batch-norm",
    "layer-ops-dot-product-attention",
    "layer-ops-repeat-each",
)
"""What Keras does not write as one node."""

UNNAMED = ("layer-layer-scale", "layer-stochastic-depth", "layer-custom-scale")
"""Layers of keras.applications that Keras finds only where it is told of their classes."""

CASES = [
    case
    for case in [*of_layers(), *GRAPHS, *of_masks()]
    if not case.id.startswith(IN_FILES + UNSAID + UNNAMED) and case.id != "layer-ops-norm"
]


@pytest.fixture(scope="module", autouse=True)
def quick_compiler() -> Iterator[None]:
    """Nearly all time goes into compiling for JAX."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def loaded(path: Path) -> keras.Model:
    """The model of a folder, as a user of Keras reads it; initial weights are zeros, so that none may be missing."""
    keras.backend.clear_session(free_memory=False)
    model = keras.models.model_from_json((path / "model.json").read_text())
    model.load_weights(path / "model.weights.h5")
    return model


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_keras_computes_the_same(case: Network, tmp_path: Path, record_property: Any) -> None:
    trainer = Trainer(case.spec)
    trainer.set_weights(draw_weights(trainer.weights()))
    to_keras(case.spec, trainer.weights()).save(tmp_path)
    model = loaded(tmp_path)

    known = trainer.weights()
    paths = {w.path.removeprefix("model/"): np.asarray(w.value) for w in model.weights}
    assert {name: array.shape for name, array in paths.items()} == {name: a.shape for name, a in known.items()}
    assert all(np.array_equal(array, paths[name]) for name, array in known.items())

    x = draw_batch(case, trainer.plan, 0)[0]
    found = trainer.model().session().run(x)
    weights = ([w.value for w in part] for part in (model.trainable_variables, model.non_trainable_variables))
    fed = [x[name] for name in x] if len(x) > 1 else alone(x)
    wanted = keras.tree.flatten(jax.jit(partial(model.stateless_call, training=False))(*weights, fed)[0])
    error = worst(difference(ours, theirs) for ours, theirs in zip(found.values(), wanted, strict=True))
    record_property("output", error)
    assert error < OUTPUT_TOLERANCE


def test_all_arguments_are_those_that_keras_would_write() -> None:
    """A model that Keras made of the same spec has the same configuration, but for what only says how it was made."""
    spec = {
        "name": "digits",
        "inputs": {"image": {"shape": [8, 8, 1]}},
        "layers": [
            {"type": "Conv2D", "filters": 4, "kernel_size": 3, "kernel_regularizer": "l2", "activation": "relu"},
            {"type": "BatchNormalization", "trainable": False},
            {"type": "Flatten"},
            {"type": "Dropout", "rate": 0.5, "seed": 3},
            {"type": "Dense", "units": 3, "kernel_initializer": {"type": "he_normal", "seed": 1}, "use_bias": False},
        ],
    }
    ours = to_keras(spec).config
    theirs = json.loads(oracle.keras_model(spec).to_json())
    written = {layer["name"]: layer for layer in theirs["config"]["layers"]}
    for layer in ours["config"]["layers"]:
        wanted = written[layer["config"]["name"]]
        assert (layer["module"], layer["class_name"]) == (wanted["module"], wanted["class_name"])
        for key, value in layer["config"].items():
            assert wanted["config"][key] == value, key


def test_an_archive_is_loaded_whole(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.id == "layer-lstm")
    trainer = Trainer(case.spec)
    made = to_keras(case.spec, trainer.weights())
    made.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    assert {w.path.removeprefix("model/"): np.asarray(w.value).tolist() for w in model.weights} == {
        name: array.tolist() for name, array in trainer.weights().items()
    }


def wild(seed: int) -> dict[str, Any]:
    """A graph of layers of one size, masked or not, some of them called again: which comes first is hard to tell."""
    rng = np.random.default_rng(seed)
    inputs: dict[str, Any] = {"words": {"shape": [5], "dtype": "int32"}, "series": {"shape": [5, 4]}}
    layers: list[dict[str, Any]] = [
        {"type": "Embedding", "name": "embed", "input_dim": 6, "output_dim": 4, "mask_zero": True, "from": "words"},
        {"type": "Masking", "name": "mask", "from": "series"},
    ]
    names = ["embed", "mask", "series"]
    for number in range(12):
        kind = rng.choice(["Dense", "LSTM", "Add", "Concatenate", "use"])
        name, sources = f"n{number}", [str(source) for source in rng.choice(names, 2)]
        shared = [
            layer["name"] for layer in layers if layer.get("type") in ("Dense", "LSTM") and "_wide" not in layer["from"]
        ]
        if kind == "Add":
            layers.append({"type": "Add", "name": name, "from": sources})
        elif kind == "Concatenate":
            layers.append({"type": "Concatenate", "name": f"{name}_wide", "from": sources})
            layers.append({"type": "Dense", "name": name, "units": 4, "from": f"{name}_wide"})
        elif kind == "use" and shared:
            layers.append({"use": str(rng.choice(shared)), "name": name, "from": sources[0]})
        else:
            more = {"return_sequences": True} if kind == "LSTM" else {}
            layers.append({"type": "LSTM" if more else "Dense", "name": name, "units": 4, "from": sources[0], **more})
        names.append(name)
    used = {source for layer in layers for source in np.atleast_1d(layer["from"])}
    loose = [str(name) for name in rng.permutation([name for name in names if name not in used])]
    layers += [{"type": "LSTM", "name": f"{name}_end", "units": 2, "from": name} for name in loose]
    return {"inputs": inputs, "layers": layers, "outputs": [f"{name}_end" for name in loose]}


@pytest.mark.parametrize("seed", range(40))
def test_the_weights_of_a_wild_graph_arrive_where_they_belong(seed: int, tmp_path: Path) -> None:
    from jsonnx import compile

    spec = wild(seed)
    known = draw_weights(compile(spec).weights)
    to_keras(spec, known).save(tmp_path)
    found = {weight.path: np.asarray(weight.value) for weight in loaded(tmp_path).weights}
    assert found.keys() == known.keys()
    assert [name for name, array in found.items() if not np.array_equal(array, known[name])] == []
