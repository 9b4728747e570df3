"""Relative positions in attention, against the formulas of their papers in NumPy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import Size
from jsonnx.layers.attention.relative_positions import T5, alibi_slopes
from support.harness import draw_weights, lower, one_layer, run

HEADS, SIZE, FEATURES = 3, 4, 6
MASKS = {"use_causal_mask": True}


def attention(
    weights: Mapping[str, np.ndarray], query: np.ndarray, value: np.ndarray, relative: dict[str, Any], causal: bool
) -> np.ndarray:
    """Multi-head attention, pair of positions by pair of positions."""
    weights = {name.removeprefix("layer/"): weight for name, weight in weights.items()}

    def projection(name: str, x: np.ndarray) -> np.ndarray:
        return np.einsum("btf,fhd->bhtd", x, weights[f"{name}/kernel"]) + weights[f"{name}/bias"][None, :, None]

    q, k, v = projection("query", query), projection("key", value), projection("value", value)
    key_vectors, value_vectors = (
        weights.get(f"relative_position/{name}_embeddings", np.zeros((1, SIZE))) for name in ("key", "value")
    )
    y = np.zeros_like(q)
    for i in range(q.shape[2]):
        scores = np.full((*q.shape[:2], k.shape[2]), -np.inf)
        for j in range(k.shape[2]):
            clipped = min(max(j - i, -(len(key_vectors) // 2)), len(key_vectors) // 2) + len(key_vectors) // 2
            scores[..., j] = np.sum(q[:, :, i] * (k[:, :, j] + key_vectors[clipped]), axis=-1) / math.sqrt(SIZE)
            if relative["type"] == "alibi":
                scores[..., j] -= np.array(alibi_slopes(HEADS)) * abs(i - j)
            if relative["type"] == "t5":
                bucket = original_bucket(j - i, not causal, relative["num_buckets"], relative["max_distance"])
                scores[..., j] += weights["relative_position/embeddings"][bucket]
        if causal:
            scores[..., i + 1 :] = -np.inf
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        for j in range(k.shape[2]):
            limit = len(value_vectors) // 2
            vector = value_vectors[min(max(j - i, -limit), limit) + limit]
            y[:, :, i] += shares[..., j, None] * (v[:, :, j] + vector)
    kernel = weights["attention_output/kernel"]
    return np.einsum("bhtd,hdf->btf", y, kernel) + weights["attention_output/bias"]


def original_bucket(distance: int, bidirectional: bool, num_buckets: int, max_distance: int) -> int:
    """The bucket by the formula of T5's code, in its precision."""
    result, n = 0, -distance
    if bidirectional:
        num_buckets //= 2
        result += (n < 0) * num_buckets
        n = abs(n)
    else:
        n = max(n, 0)
    exact = num_buckets // 2
    if n < exact:
        return result + n
    large = np.log(np.float32(n) / np.float32(exact)) / np.float32(math.log(max_distance / exact))
    return result + min(exact + int(large * np.float32(num_buckets - exact)), num_buckets - 1)


@pytest.mark.parametrize("time", [None, 5])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "relative",
    [
        {"type": "alibi"},
        {"type": "t5", "num_buckets": 8, "max_distance": 6},
        {"type": "shaw", "max_distance": 2},
        {"type": "shaw", "max_distance": 9, "use_values": True},
    ],
)
def test_attention_follows_the_formulas_of_the_papers(relative: dict[str, Any], causal: bool, time: int | None) -> None:
    layer = {
        **{"type": "MultiHeadAttention", "num_heads": HEADS, "key_dim": SIZE},
        **{"relative_position": relative, "use_causal_mask": causal},
    }
    rng = np.random.default_rng(0)
    for keys in (5, 8):
        names = [Size.named(name) if time is None else size for name, size in (("queries", 5), ("keys", keys))]
        graph = lower(one_layer(layer, *((size, FEATURES) for size in names)))
        weights = draw_weights(graph, rng)
        query, value = (rng.normal(size=(2, size, FEATURES)).astype(np.float32) for size in (5, keys))
        actual = run(graph, {"x0": query, "x1": value, **weights})["layer"]
        np.testing.assert_allclose(actual, attention(weights, query, value, relative, causal), atol=3e-5)


@pytest.mark.parametrize("relative", ["alibi", "t5", {"type": "shaw", "max_distance": 3, "use_values": True}])
def test_symbolic_lengths_train_as_fixed_ones(relative: Any) -> None:
    layer = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3, "relative_position": relative}
    training = {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.5}}
    trainers = [
        jsonnx.Trainer({"inputs": {"x": {"shape": [time, 4]}}, "layers": [layer], "training": training})
        for time in (6, None)
    ]
    trainers[1].set_weights(trainers[0].weights())
    x, y = np.random.default_rng(0).normal(size=(2, 3, 6, 4)).astype(np.float32)
    for _ in range(2):
        losses = [trainer.step(x, y)["loss"] for trainer in trainers]
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    for name, weight in trainers[0].weights().items():
        np.testing.assert_allclose(trainers[1].weights()[name], weight, atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (64, 256), (16, 32), (6, 40)])
def test_buckets_are_those_of_t5(bidirectional: bool, num_buckets: int, max_distance: int) -> None:
    position = T5(num_buckets=num_buckets, max_distance=max_distance)
    distances = range(-400, 401)
    expected = [original_bucket(distance, bidirectional, num_buckets, max_distance) for distance in distances]
    assert [position.bucket(distance, bidirectional) for distance in distances] == expected


def test_slopes_are_those_of_alibi() -> None:
    assert alibi_slopes(8) == [0.5**exponent for exponent in range(1, 9)]
    assert alibi_slopes(1) == [2**-8]
    # the published code for 12 heads: those of 8 heads, then every other one of 16 heads
    np.testing.assert_allclose(
        alibi_slopes(12), [0.5**n for n in range(1, 9)] + [0.5 ** (n - 0.5) for n in range(1, 5)]
    )


def test_layers_share_the_numbers_of_a_relative_position_bias() -> None:
    entry = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 4}
    own = {"type": "t5", "num_buckets": 8, "max_distance": 10}
    bias = {**own, "type": "RelativePositionBias", "num_heads": 2, "name": "bias"}
    shared = {**entry, "arguments": ["query", "attention_bias"]}
    inputs, training = {"x": {"shape": [None, 6]}}, {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.1}}
    layers = [
        bias,
        {**shared, "name": "first", "from": ["x", "bias"]},
        {**shared, "name": "second", "from": ["first", "bias"]},
    ]
    trainer = jsonnx.Trainer({"inputs": inputs, "layers": layers, "training": training})
    assert trainer.weights()["bias/embeddings"].shape == (8, 2)
    separate = jsonnx.Trainer(
        {
            **{"inputs": inputs, "training": training},
            "layers": [{**entry, "name": name, "relative_position": own} for name in ("first", "second")],
        }
    )
    weights = trainer.weights()
    tables = {f"{name}/relative_position/embeddings": weights["bias/embeddings"] for name in ("first", "second")}
    separate.set_weights({name: array for name, array in weights.items() if name != "bias/embeddings"} | tables)
    x, y = np.random.default_rng(1).normal(size=(2, 3, 7, 6)).astype(np.float32)
    np.testing.assert_allclose(trainer.predict(x), separate.predict(x), atol=1e-6)
    trainer.step(x, y), separate.step(x, y)
    changes = [separate.weights()[name] - weights["bias/embeddings"] for name in tables]
    change = trainer.weights()["bias/embeddings"] - weights["bias/embeddings"]
    assert np.abs(change).max() > 1e-4
    np.testing.assert_allclose(change, sum(changes), atol=1e-6)


def test_masked_positions_have_no_influence() -> None:
    for relative in ("alibi", "t5", "shaw"):
        layer = {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3, "relative_position": relative}
        graph = lower(one_layer({**layer, "arguments": ["query", "value_mask"]}, (5, 4), (5,)))
        weights = draw_weights(graph, np.random.default_rng(0))
        x = np.random.default_rng(1).normal(size=(1, 5, 4)).astype(np.float32)
        padded = {"x0": x, "x1": np.float32([[1, 1, 1, 0, 0]])}
        alone = lower(one_layer(layer, (3, 4)))
        expected = run(alone, {"x0": x[:, :3], **weights})["layer"]
        np.testing.assert_allclose(run(graph, {**padded, **weights})["layer"][:, :3], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "shapes", "message"),
    [
        ({"relative_position": "alibi"}, [(5, 4, 3)], "has relative positions, which need a single axis"),
        ({"relative_position": {"type": "t5", "num_buckets": 3}}, [(5, 4)], "needs at least 4 buckets, got 3"),
        ({"relative_position": {"type": "t5", "max_distance": 8}}, [(5, 4)], "has a bucket for each distance below 8"),
        ({"arguments": ["query", "attention_bias"]}, [(5, 4), (2, 5, 4)], "needs an attention_bias that broadcasts"),
        ({"arguments": ["query", "attention_bias"]}, [(5, 4), (5, 5)], r"the scores \[batch, 2, 5, 5\], got"),
        ({"arguments": ["query", "attention_bias"]}, [(5, 4, 3), (2, 5, 4)], "needs a single axis of attention"),
    ],
)
def test_arguments_and_inputs_that_do_not_fit_are_errors(
    arguments: dict[str, Any], shapes: list[Any], message: str
) -> None:
    with pytest.raises(CompileError, match=message):
        one_layer({"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3, **arguments}, *shapes)


def test_keras_has_no_relative_positions() -> None:
    layer = {"type": "MultiHeadAttention", "num_heads": 1, "key_dim": 2}
    inputs = {"x": {"shape": [3, 2]}, "bias": {"shape": [1, 3, 3]}}
    biased = {**layer, "arguments": ["query", "attention_bias"], "from": ["x", "bias"]}
    for entry, name in (
        ({**layer, "relative_position": "t5", "from": "x"}, "relative_position"),
        (biased, "attention_bias"),
    ):
        used = {key: value for key, value in inputs.items() if key in entry["from"]}
        with pytest.raises(CompileError, match=f"{name}' has no counterpart in Keras"):
            jsonnx.to_keras({"inputs": used, "layers": [entry]})
