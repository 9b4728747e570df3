"""Operators without a gradient rule: an error that names operator, node and layer, if something that is trained lies
behind them."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.core.types import BATCH, TensorType
from jsonnx.gradient import RULES, GradientBuilder, MissingRule, gradients
from jsonnx.ir import Builder, Value
from jsonnx.pipeline.train.trainer import Trainer


def determinants(g: Builder, x: Value) -> Value:
    """A layer at a path of a spec, with a node of a name."""
    with g.scope("net", ("layers", 1)), g.scope("encoder/det"):
        result: Value = g.Det(x)
    return result


def test_the_error_names_operator_node_and_layer() -> None:
    g = GradientBuilder()
    x = g.input("x", TensorType("float32", (BATCH, 2, 2)))
    loss = g.ReduceSum(determinants(g, g.Neg(x)), keepdims=0)
    with pytest.raises(MissingRule, match=r"^operator Det has no gradient rule$") as error:
        gradients(g, g.graph({"loss": loss}), {loss: g.const(1.0)}, [x])
    assert (error.value.node.op, error.value.node.scope, error.value.path) == ("Det", "net/encoder/det", "$.layers[1]")


def test_an_operator_before_everything_that_is_trained_needs_no_rule() -> None:
    g = GradientBuilder()
    x, weight = g.input("x", TensorType("float32", (BATCH, 2, 2))), g.input("w", TensorType("float32", ()))
    loss = g.ReduceSum(g.Mul(determinants(g, x), weight), keepdims=0)
    assert set(gradients(g, g.graph({"loss": loss}), {loss: g.const(1.0)}, [weight])) == {weight}


def test_an_operator_whose_result_does_not_reach_the_loss_needs_no_rule() -> None:
    g = GradientBuilder()
    x = g.input("x", TensorType("float32", (BATCH, 2, 2)))
    other, loss = determinants(g, x), g.ReduceSum(x, keepdims=0)
    assert set(gradients(g, g.graph({"loss": loss, "other": other}), {loss: g.const(1.0)}, [x])) == {x}


@pytest.mark.parametrize("is_trainable", [True, False])
def test_training_needs_rules_only_behind_weights_that_are_trained(
    is_trainable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(RULES, "Tanh")
    hidden = {"type": "Dense", "name": "hidden", "units": 3, "activation": "tanh", "trainable": is_trainable}
    spec = {
        "inputs": {"x": {"shape": [4]}},
        "layers": [hidden, {"type": "Dense", "units": 1}],
        "training": {"loss": "mse", "optimizer": "sgd"},
    }
    if is_trainable:
        with pytest.raises(CompileError, match="'hidden' cannot be trained: operator Tanh has no gradient rule"):
            Trainer(spec)
    else:
        loss = Trainer(spec).step(np.ones((2, 4), np.float32), np.ones((2, 1), np.float32))["loss"]
        assert np.isfinite(loss)
