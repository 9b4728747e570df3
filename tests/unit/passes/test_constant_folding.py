"""Constant folding: every operator that is computed gives the same as in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder, Constant, Value
from jsonnx.passes import constant_folding
from jsonnx.passes.constant_folding import EVALUATORS, bind_weights, fold_constants
from jsonnx.training.weights.initializers import Zeros
from support.harness import run

ARRAY = np.arange(1, 25, dtype=np.float32).reshape(2, 3, 4)

EXPRESSIONS: dict[str, Callable[[Builder, Value], Value]] = {
    "Add": lambda g, w: g.Add(w, 2.0),
    "Sub": lambda g, w: g.Sub(w, 2.0),
    "Mul": lambda g, w: g.Mul(w, 2.0),
    "Div": lambda g, w: g.Div(w, 2.0),
    "Neg": lambda g, w: g.Neg(w),
    "Sqrt": lambda g, w: g.Sqrt(w),
    "Max": lambda g, w: g.Max(w, 7.0),
    "Reciprocal": lambda g, w: g.Reciprocal(w),
    "Transpose": lambda g, w: g.Transpose(w, perm=[2, 0, 1]),
    "Reshape": lambda g, w: g.Reshape(w, [4, -1]),
    "Unsqueeze": lambda g, w: g.Unsqueeze(w, [0, 2]),
    "Squeeze": lambda g, w: g.Squeeze(g.Reshape(w, [1, 24, 1]), [0]),
    "Concat": lambda g, w: g.Concat(w, w, axis=1),
    "Gather": lambda g, w: g.Gather(w, g.const([2, 0], "int64"), axis=1),
    "Split": lambda g, w: g.Split(w, g.const([1, 3], "int64"), axis=2, outputs=2)[1],
    "Slice": lambda g, w: g.Slice(w, [3], [-100], [2], [-2]),
}


@pytest.mark.parametrize("op", EVALUATORS)
def test_a_node_with_constant_inputs_is_computed(op: str) -> None:
    g = Builder()
    plain = EXPRESSIONS[op](g, g.const(ARRAY))
    x = g.input("x", TensorType("float32", plain.shape))
    graph = g.graph({"y": g.Exp(g.Mul(g.Add(plain, x), 0.1))})
    folded = fold_constants(graph)
    assert [node.op for node in folded.nodes] == ["Add", "Mul", "Exp"]
    feeds = {"x": np.ones(plain.shape, np.float32)}
    np.testing.assert_allclose(run(folded, feeds)["y"], run(graph, feeds, optimize=False)["y"], rtol=1e-6)


def test_large_constants_and_unknown_operators_are_not_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constant_folding, "MAX_FOLDED_ELEMENTS", 23)
    g = Builder()
    graph = g.graph({"large": g.Neg(g.const(ARRAY)), "unknown": g.Exp(g.const(1.0))})
    assert fold_constants(graph) is graph


def test_a_constant_is_not_broadcast_to_a_large_one() -> None:
    """As rows and columns of a causal mask: the file would contain the mask."""
    g = Builder()
    row = g.const(np.arange(2048, dtype=np.int64)[None])
    graph = g.graph({"mask": g.Sub(row, g.const(np.arange(1024, dtype=np.int64)[:, None])), "row": g.Neg(row)})
    assert [node.op for node in fold_constants(graph).nodes] == ["Sub"]


def test_bound_weights_are_constants_and_keep_their_names_when_folded() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (2,)))
    with g.scope("layer"):
        kernel, scale = g.param("kernel", (2, 2), Zeros()), g.state("scale", (2,), Zeros())
    y = g.Mul(g.Add(g.MatMul(x, g.Transpose(kernel, perm=[1, 0])), scale), g.Mul(kernel, scale))
    weights = {"layer/kernel": np.array([[1, 2], [3, 4]]), "layer/scale": np.array([5, 6])}
    graph = bind_weights(g.graph({"y": y}), weights)
    assert not graph.parameters
    assert not graph.states
    constants = {x.name: x.array for node in graph.nodes for x in node.inputs if isinstance(x, Constant)}
    assert constants.keys() == {"layer/kernel", "layer/scale", ""}  # the product of two weights has no name
    np.testing.assert_array_equal(constants["layer/kernel"], [[1, 3], [2, 4]])
    np.testing.assert_array_equal(constants["layer/scale"], [5, 6])
    np.testing.assert_array_equal(constants[""], [[5, 12], [15, 24]])
