"""Models of Keras, read back from its files: the same networks, and the same outputs.

Not collected by the ordinary suite: `sh tests/parity/run.sh import` runs it where Keras is installed.
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
from cases import Network, all_networks
from check_layers import OUTPUT_TOLERANCE, difference, shapes, worst
from drawing import Arrays, alone, draw_batch, draw_weights
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.trainer import Trainer
from keras import layers, ops


def networks() -> list[Network]:
    """Those of the table that differ in their layers, not in how they are trained."""
    return [case for case in all_networks() if case.id.startswith(("layer-", "mask-", "graph-"))]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in networks()])
def test_a_network_comes_back_from_its_json(case: Network, record_property: Any) -> None:
    """As the very same calls, or, where Keras writes an argument in another form, with the same outputs."""
    model = oracle.keras_model(case.spec, initial=False)
    try:
        text = model.to_json()
    except (TypeError, NotImplementedError):
        pytest.skip("Keras cannot write it: a function with arguments")
    spec = jsonnx.from_keras(text)[0]
    if calls(spec) == calls(case.spec):
        return
    back, there = (Trainer({**one, "training": {"loss": losses(one)}}) for one in (spec, case.spec))
    assert shapes(back.weights()) == shapes(there.weights()), "other weights"
    start = draw_weights(there.weights())
    for trainer in (back, there):
        trainer.set_weights(start)
    x, _ = draw_batch(case, there.plan, 0)
    found, wanted = (trainer.model().session().run(x) for trainer in (back, there))
    error = worst(difference(*pair) for pair in zip(found.values(), wanted.values(), strict=True))
    record_property("output", error)
    assert error < OUTPUT_TOLERANCE


def calls(spec: Mapping[str, Any]) -> dict[str, Any]:
    network = check_spec(dict(spec)).network
    return {call.name: (call.layer, call.sources, call.owner) for call in network.calls}


def losses(spec: Mapping[str, Any]) -> Any:
    """Any loss: it is not asked for."""
    outputs = check_spec({key: value for key, value in spec.items() if key != "training"}).network.outputs
    return "mse" if len(outputs) == 1 else dict.fromkeys(outputs, "mse")


# -- whole files -------------------------------------------------------------------------------------------------------


def nested() -> keras.Model:
    """A model called twice, one inside a wrapper, and names that stand for two layers."""
    a, b = keras.Input((6, 4), name="a"), keras.Input((6, 4), name="b")
    inner = keras.Input((6, 4))
    tower = keras.Model(inner, layers.Dense(4, activation="relu", name="d")(inner), name="tower")
    head = keras.Sequential([keras.Input((6, 4)), layers.Dense(4, name="d"), layers.BatchNormalization()], name="head")
    steps = layers.TimeDistributed(keras.Sequential([keras.Input((4,)), layers.Dense(5, "relu"), layers.Dense(2)]))
    y = head(layers.Add()([tower(a), tower(b)]))
    return keras.Model({"a": a, "b": b}, {"whole": y, "steps": steps(y)})


def states() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    sequence, h, c = layers.LSTM(3, return_sequences=True, return_state=True)(x)
    both = layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)
    heads, scores = layers.MultiHeadAttention(2, 4)(query=x, value=sequence, return_attention_scores=True)
    stacked = layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)])(x)
    return keras.Model(x, [layers.LSTM(3)(sequence, initial_state=[h, c]), both, heads, scores, stacked])


def functions() -> keras.Model:
    """Python's operators and functions of keras.ops between layers."""
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
def test_a_file_computes_what_keras_does(
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
    found = jsonnx.compile(spec, weights=weights).session().run(x)
    wanted = model.predict(alone(x), verbose=0)
    pairs = (
        [(found[name], wanted[name]) for name in wanted]
        if isinstance(wanted, dict)
        else zip(found.values(), jax.tree.leaves(wanted), strict=True)
    )
    error = worst(difference(*pair) for pair in pairs)
    record_property("output", error)
    assert error < OUTPUT_TOLERANCE
