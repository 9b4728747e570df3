"""Functions of keras.ops that create tensors, against NumPy."""

from __future__ import annotations

from typing import Any

import jsonnx
import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import Size
from support.harness import lower, one_layer, run

TIME = Size.named("time")
AXIS = {"axis": 1}
"""The size of axis 1 of the input, which is 6."""


def result(function: str, time: Any = 6, **arguments: Any) -> np.ndarray:
    """The result of a function whose input has the shape [2, 6, 3]."""
    graph = lower(one_layer({"type": f"ops.{function}", **arguments}, (time, 3)))
    (y,) = run(graph, {"x0": np.zeros((2, 6, 3), np.float32)}).values()
    return y


def assert_same(actual: np.ndarray, expected: np.ndarray, dtype: str) -> None:
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "arguments", "expected", "dtype"),
    [
        ("zeros", {"shape": [2, 3]}, np.zeros((2, 3)), "float32"),
        ("ones", {"shape": [], "dtype": "int64"}, np.ones(()), "int64"),
        ("full", {"shape": [40, 50], "fill_value": -2.5}, np.full((40, 50), -2.5), "float32"),
        ("full", {"shape": [3], "fill_value": 1, "dtype": "bool"}, np.ones(3), "bool"),
        ("empty", {"shape": [4]}, np.zeros(4), "float32"),
        ("eye", {"N": 3}, np.eye(3), "float32"),
        ("eye", {"N": 300, "M": 301}, np.eye(300, 301), "float32"),
        ("eye", {"N": 2, "M": 4, "k": 1, "dtype": "int32"}, np.eye(2, 4, 1), "int32"),
        ("tri", {"N": 3, "M": 4, "k": -1}, np.tri(3, 4, -1), "float32"),
        ("identity", {"n": 4, "dtype": "bool"}, np.eye(4), "bool"),
        ("arange", {"start": 5}, np.arange(5), "int32"),
        ("arange", {"stop": 5, "dtype": "float32"}, np.arange(5), "float32"),
        ("arange", {"start": 7, "stop": -3, "step": -3}, np.arange(7, -3, -3), "int32"),
        ("arange", {"start": 0.5, "stop": 3}, np.arange(0.5, 3), "float32"),
        ("arange", {"start": 0, "stop": 1, "step": 0.1, "dtype": "float32"}, np.arange(0, 1, 0.1), "float32"),
        ("linspace", {"start": -1, "stop": 1, "num": 7}, np.linspace(-1, 1, 7), "float32"),
        ("linspace", {"start": 0, "stop": 9, "num": 4, "endpoint": False}, np.linspace(0, 9, 4, False), "float32"),
        ("linspace", {"start": 0, "stop": 9, "num": 5, "dtype": "int32"}, [0, 2, 4, 6, 9], "int32"),
        ("linspace", {"start": 3, "stop": 9, "num": 1}, [3], "float32"),
        ("logspace", {"start": 0, "stop": 3, "num": 4}, [1, 10, 100, 1000], "float32"),
        ("logspace", {"start": 0, "stop": 3, "num": 3, "base": 2, "endpoint": False}, [1, 2, 4], "float32"),
    ],
)
def test_functions_create_the_tensors_of_numpy(function: str, arguments: Any, expected: Any, dtype: str) -> None:
    assert_same(result(function, **arguments), np.asarray(expected), dtype)


@pytest.mark.parametrize("time", [6, TIME])
@pytest.mark.parametrize(
    ("function", "arguments", "expected", "dtype"),
    [
        ("zeros", {"shape": [{"axis": 0}, AXIS, 2]}, np.zeros((2, 6, 2)), "float32"),
        ("full", {"shape": [AXIS], "fill_value": 3, "dtype": "int32"}, np.full(6, 3), "int32"),
        ("eye", {"N": AXIS, "M": 4, "k": 1}, np.eye(6, 4, 1), "float32"),
        ("tri", {"N": AXIS, "dtype": "int64"}, np.tri(6), "int64"),
        ("identity", {"n": AXIS}, np.eye(6), "float32"),
        ("arange", {"stop": AXIS}, np.arange(6), "int32"),
        ("arange", {"start": AXIS}, np.arange(6), "int32"),
        ("arange", {"start": 1, "stop": AXIS, "step": 2, "dtype": "int64"}, [1, 3, 5], "int64"),
        ("arange", {"start": AXIS, "stop": 0, "step": -1}, [6, 5, 4, 3, 2, 1], "int32"),
        ("linspace", {"start": -1, "stop": 1, "num": AXIS}, np.linspace(-1, 1, 6), "float32"),
        ("linspace", {"start": 0, "stop": 3, "num": AXIS, "endpoint": False}, np.arange(6) / 2, "float32"),
        ("logspace", {"start": 0, "stop": 5, "num": AXIS, "base": 2}, 2 ** np.arange(6), "float32"),
        ("shape", {}, [2, 6, 3], "int32"),
    ],
)
def test_a_size_may_be_that_of_an_axis(function: str, arguments: Any, expected: Any, dtype: str, time: Any) -> None:
    assert_same(result(function, time, **arguments), np.asarray(expected), dtype)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("arange", {}, "which has no elements"),
        ("arange", {"start": 3, "step": 0}, "has the step 0"),
        ("arange", {"stop": {"axis": 3}}, "has axis 3, which"),
        ("arange", {"stop": 3000000000}, "has the stop 3e\\+09, which int32 cannot hold"),
        ("arange", {"stop": 1.0, "step": 1e-30}, "has more than"),
        ("arange", {"stop": AXIS, "step": 0.5}, "needs integers beside the size of an axis"),
        ("arange", {"start": -0.5, "stop": AXIS}, "needs integers beside the size of an axis"),
        ("zeros", {"shape": [100000, 100000]}, "elements a sample"),
        ("full", {"shape": [2], "fill_value": 300, "dtype": "uint8"}, "which uint8 cannot hold"),
        ("eye", {"N": 100000}, "elements a sample"),
        ("linspace", {"start": 0, "stop": 1, "num": 100000000}, "needs a constant"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(function: str, arguments: Any, message: str) -> None:
    layers = [{"type": f"ops.{function}", **arguments}, {"type": "ops.sum", "name": "total"}]
    layers.append({"type": "ops.add", "from": ["x", "total"]})
    with pytest.raises(CompileError, match=message):
        jsonnx.compile({"inputs": {"x": {"shape": ["time", 3]}}, "layers": layers})


def test_learned_positions_are_an_embedding_of_arange() -> None:
    """As functional models of Keras write it: tokens + Embedding(arange(length))."""
    spec = {
        "inputs": {"tokens": {"shape": ["time"], "dtype": "int32"}},
        "layers": [
            {"type": "Embedding", "name": "words", "input_dim": 11, "output_dim": 4},
            {"type": "ops.arange", "name": "indices", "from": "tokens", "stop": AXIS},
            {"type": "Embedding", "name": "positions", "input_dim": 9, "output_dim": 4},
            {"type": "ops.add", "from": ["words", "positions"]},
            {"type": "GlobalAveragePooling1D"},
            {"type": "Dense", "units": 1},
        ],
        "training": {"loss": "mse", "optimizer": "sgd"},
    }
    assert jsonnx.validate(spec) == []
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 11, (8, 5))
    trainer = jsonnx.Trainer(spec)
    before = trainer.weights()
    losses = [trainer.step(tokens, np.ones((8, 1)))["loss"] for _ in range(5)]
    assert losses[-1] < losses[0]
    changed = np.abs(trainer.weights()["positions/embeddings"] - before["positions/embeddings"]).max(axis=1) > 0
    assert changed.tolist() == [True] * 5 + [False] * 4
    session = trainer.model().session()
    (y,) = session.run({"tokens": tokens}).values()
    np.testing.assert_allclose(trainer.predict(tokens), y, atol=1e-6)
