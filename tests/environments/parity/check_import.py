"""Models imported from files of Keras are the same networks and give the same outputs.

Not collected by the ordinary suite: `sh tests/environments/parity/run.sh import` runs it where Keras is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jsonnx
import keras
import numpy as np
import oracle
import pytest
from cases import Network, all_networks, trainer_of
from check_layers import OUTPUT_TOLERANCE, difference, shapes, worst
from drawing import Arrays, draw_batch, draw_weights, single_or_named
from jsonnx.pipeline.check.check import check_spec
from keras import layers, ops


def networks() -> list[Network]:
    """Returns the networks that differ in their layers, without those that differ in training only."""
    return [case for case in all_networks() if case.id.startswith(("layer-", "mask-", "graph-"))]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in networks()])
def test_a_network_is_imported_from_its_json(case: Network, record_property: Any) -> None:
    """Compares the calls, or, if Keras writes an argument in another form, the outputs."""
    model = oracle.keras_model(case.spec, initial=False)
    try:
        text = model.to_json()
    except (TypeError, NotImplementedError):
        pytest.skip("Keras cannot write it: a function with arguments")
    spec = jsonnx.from_keras(text)[0]
    if calls(spec) == calls(case.spec):
        return
    imported, original = (trainer_of({**one, "training": {"loss": losses(one)}}) for one in (spec, case.spec))
    assert shapes(imported.weights()) == shapes(original.weights()), "other weights"
    start = draw_weights(original.weights())
    for trainer in (imported, original):
        trainer.set_weights(start)
    x, _ = draw_batch(case, original.plan, 0)
    outputs, expected = (trainer.model().session().run(x) for trainer in (imported, original))
    error = worst(difference(*pair) for pair in zip(outputs.values(), expected.values(), strict=True))
    record_property("output", error)
    assert error < OUTPUT_TOLERANCE


def calls(spec: Mapping[str, Any]) -> dict[str, Any]:
    network = check_spec(dict(spec)).network
    return {call.name: (call.layer, call.sources, call.owner) for call in network.calls}


def losses(spec: Mapping[str, Any]) -> Any:
    """Returns an arbitrary loss, since a Trainer needs one."""
    outputs = check_spec({key: value for key, value in spec.items() if key != "training"}).network.outputs
    return "mse" if len(outputs) == 1 else dict.fromkeys(outputs, "mse")


# -- whole files -------------------------------------------------------------------------------------------------------


def nested() -> keras.Model:
    """Returns a model that calls one model twice and has one in a wrapper, with duplicate layer names."""
    a, b = keras.Input((6, 4), name="a"), keras.Input((6, 4), name="b")
    inner = keras.Input((6, 4))
    tower = keras.Model(inner, layers.Dense(4, activation="relu", name="d")(inner), name="tower")
    head = keras.Sequential([keras.Input((6, 4)), layers.Dense(4, name="d"), layers.BatchNormalization()], name="head")
    steps = layers.TimeDistributed(keras.Sequential([keras.Input((4,)), layers.Dense(5, "relu"), layers.Dense(2)]))
    y = head(layers.Add()([tower(a), tower(b)]))
    return keras.Model({"a": a, "b": b}, {"whole": y, "steps": steps(y)})


def states() -> keras.Model:
    """Returns a model with recurrent states, attention scores and stacked cells."""
    x = keras.Input((5, 4), name="x")
    sequence, h, c = layers.LSTM(3, return_sequences=True, return_state=True)(x)
    both = layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)
    heads, scores = layers.MultiHeadAttention(2, 4)(query=x, value=sequence, return_attention_scores=True)
    stacked = layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)])(x)
    return keras.Model(x, [layers.LSTM(3)(sequence, initial_state=[h, c]), both, heads, scores, stacked])


def functions() -> keras.Model:
    """Returns a model with Python operators and functions of keras.ops."""
    a, b = keras.Input((8,), name="a"), keras.Input((8,), name="b")
    sum_ = ops.mean(a + b * 2.0 - 1, axis=-1, keepdims=True)
    part = layers.Dense(3)(a)[:, :2]
    both = ops.concatenate([a, b], axis=1)
    first, second = ops.split(ops.relu(ops.where(both > 0, both, -both)), 2, axis=-1)
    product = ops.matmul(part[..., None], part[:, None, :])
    inverse = ops.reshape(2.0 / (ops.abs(a) + 1.0), (-1, 4, 2))
    return keras.Model([a, b], [sum_, part, first, second, ops.einsum("bij,bjk->bik", product, product), inverse])


def image() -> keras.Model:
    x = keras.Input((9, 9, 3), name="x")
    y = layers.SeparableConv2D(5, 3)(layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x)))
    y = layers.PReLU(shared_axes=[1, 2])(layers.Conv2DTranspose(3, 2)(y))
    return keras.Model(x, layers.Dense(3, "softmax")(layers.LayerNormalization()(layers.GlobalAveragePooling2D()(y))))


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("build", [nested, states, functions, image])
def test_an_imported_file_gives_the_same_outputs_as_keras(
    build: Callable[[], keras.Model], ending: str, tmp_path: Path, record_property: Any
) -> None:
    keras.backend.clear_session()
    model = build()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype == "float32":
            low, high = (0.5, 1.5) if "variance" in weight.name else (-0.5, 0.5)
            weight.assign(rng.uniform(low, high, weight.shape))
    model.save(tmp_path / f"model.{ending}")
    spec, weights = jsonnx.from_keras(tmp_path / f"model.{ending}")
    x: Arrays = {
        name: rng.normal(size=(3, *entry["shape"])).astype("float32") for name, entry in spec["inputs"].items()
    }
    outputs = jsonnx.compile(spec, weights=weights).session().run(x)
    expected = model.predict(single_or_named(x), verbose=0)
    pairs = (
        [(outputs[name], expected[name]) for name in expected]
        if isinstance(expected, dict)
        else zip(outputs.values(), jax.tree.leaves(expected), strict=True)
    )
    error = worst(difference(*pair) for pair in pairs)
    record_property("output", error)
    assert error < OUTPUT_TOLERANCE
