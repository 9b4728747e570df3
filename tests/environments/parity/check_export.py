"""Networks exported to Keras give the same outputs in Keras.

Not collected by the ordinary suite: `sh tests/environments/parity/run.sh` runs it where Keras is installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial, reduce
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
import oracle
import pytest
from cases import GRAPHS, Network, layer_networks, mask_networks, trainer_of
from check_layers import OUTPUT_TOLERANCE, difference, worst
from drawing import draw_batch, draw_weights, single_or_named
from jsonnx.core.components import Registry
from jsonnx.layers import LAYERS
from jsonnx.pipeline.keras_export import to_keras
from jsonnx.render.reference.component_reference import KINDS

NOT_LOADABLE = ("layer-ops-max-pool-", "layer-ops-average-pool", "layer-ops-clip-rows", "layer-ops-norm-")
"""Functions that Keras cannot compute (at least on JAX) after loading, since tuples are lists in a file."""

NOT_ONE_OPERATION = (
    "layer-ops-layer-norm",
    "layer-ops-rms-norm",
    "layer-ops-batch-norm",
    "layer-ops-dot-product-attention",
    "layer-ops-repeat-each",
)
"""Functions that Keras does not write as one operation."""

CUSTOM_OBJECTS = ("layer-layer-scale", "layer-stochastic-depth", "layer-custom-scale")
"""Layers of keras.applications that Keras loads only with custom_objects."""

CASES = [
    case
    for case in [*layer_networks(), *GRAPHS, *mask_networks()]
    if not case.id.startswith(NOT_LOADABLE + NOT_ONE_OPERATION + CUSTOM_OBJECTS) and case.id != "layer-ops-norm"
]


@pytest.fixture(scope="module", autouse=True)
def quick_compiler() -> Iterator[None]:
    """Disables optimizations of JAX, since compilation dominates the time."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def loaded(path: Path) -> keras.Model:
    """Loads the model of a folder as a user of Keras does."""
    keras.backend.clear_session(free_memory=False)
    model = keras.models.model_from_json((path / "model.json").read_text())
    model.load_weights(path / "model.weights.h5")
    return model


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_an_exported_network_gives_the_same_outputs_in_keras(
    case: Network, tmp_path: Path, record_property: Any
) -> None:
    trainer = trainer_of(case.spec)
    trainer.set_weights(draw_weights(trainer.weights()))
    to_keras(case.spec, trainer.weights()).save(tmp_path)
    model = loaded(tmp_path)

    weights_by_name = trainer.weights()
    paths = {w.path.removeprefix("model/"): np.asarray(w.value) for w in model.weights}
    assert {name: array.shape for name, array in paths.items()} == {
        name: a.shape for name, a in weights_by_name.items()
    }
    assert all(np.array_equal(array, paths[name]) for name, array in weights_by_name.items())

    x = draw_batch(case, trainer.plan, 0)[0]
    outputs = trainer.model().session().run(x)
    weights = ([w.value for w in part] for part in (model.trainable_variables, model.non_trainable_variables))
    inputs = [x[name] for name in x] if len(x) > 1 else single_or_named(x)
    expected = keras.tree.flatten(jax.jit(partial(model.stateless_call, training=False))(*weights, inputs)[0])
    error = worst(difference(ours, theirs) for ours, theirs in zip(outputs.values(), expected, strict=True))
    record_property("output", error)
    assert error < OUTPUT_TOLERANCE


def test_the_exported_configuration_equals_that_of_keras() -> None:
    """Compares with the configuration of a model built in Keras, except for keys that only Keras writes."""
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
    keras_layers = {layer["name"]: layer for layer in theirs["config"]["layers"]}
    for layer in ours["config"]["layers"]:
        expected = keras_layers[layer["config"]["name"]]
        assert (layer["module"], layer["class_name"]) == (expected["module"], expected["class_name"])
        for key, value in layer["config"].items():
            assert expected["config"][key] == value, key


def test_an_exported_archive_is_loaded_with_all_weights(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.id == "layer-lstm")
    trainer = trainer_of(case.spec)
    exported = to_keras(case.spec, trainer.weights())
    exported.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    assert {w.path.removeprefix("model/"): np.asarray(w.value).tolist() for w in model.weights} == {
        name: array.tolist() for name, array in trainer.weights().items()
    }


@pytest.mark.parametrize("registry", [LAYERS, *KINDS.values()], ids=lambda registry: registry.kind)
def test_the_names_of_components_are_names_of_keras(registry: Registry) -> None:
    names = [component.keras_name for component in registry if component.keras_name.startswith("keras.")]
    assert [name for name in names if not exists(name)] == []


def exists(name: str) -> bool:
    """Whether a name with modules, such as `keras.layers.Dense`, is one of Keras."""
    try:
        reduce(getattr, name.split(".")[1:], keras)
    except AttributeError:
        return False
    return True


def random_graph(seed: int) -> dict[str, Any]:
    """Returns a random graph of layers of one size, some masked and some shared, with an ambiguous layer order."""
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
    unread = [str(name) for name in rng.permutation([name for name in names if name not in used])]
    layers += [{"type": "LSTM", "name": f"{name}_end", "units": 2, "from": name} for name in unread]
    return {"inputs": inputs, "layers": layers, "outputs": [f"{name}_end" for name in unread]}


@pytest.mark.parametrize("seed", range(40))
def test_the_weights_of_a_random_graph_are_assigned_to_their_layers(seed: int, tmp_path: Path) -> None:
    from jsonnx import compile

    spec = random_graph(seed)
    weights = draw_weights(compile(spec).weights)
    to_keras(spec, weights).save(tmp_path)
    loaded_weights = {weight.path: np.asarray(weight.value) for weight in loaded(tmp_path).weights}
    assert loaded_weights.keys() == weights.keys()
    assert [name for name, array in loaded_weights.items() if not np.array_equal(array, weights[name])] == []
