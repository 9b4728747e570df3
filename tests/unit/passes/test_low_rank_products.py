"""Products with adapted weights: the same values as with the adapted weight itself, which is not computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.ir import Graph
from jsonnx.lowering.lower import lower
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.passes.low_rank_products import distribute_adapters
from jsonnx.pipeline.check.check import check_spec
from support.harness import check_gradients, draw_weights, reference

SEQUENCE, IMAGE, TOKENS = {"shape": [5, 12]}, {"shape": [7, 7, 4]}, {"shape": [5], "dtype": "int64"}
CASES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "Dense": (SEQUENCE, [{"type": "Dense", "units": 16}]),
    "EinsumDense as a product": (
        SEQUENCE,
        [{"type": "EinsumDense", "equation": "abc,cde->abde", "output_shape": [None, 4, 6], "bias_axes": "de"}],
    ),
    "EinsumDense by samples' axes": (
        SEQUENCE,
        [{"type": "EinsumDense", "equation": "abc,bcd->abd", "output_shape": [None, 6]}],
    ),
    "EinsumDense transposed": (
        SEQUENCE,
        [{"type": "EinsumDense", "equation": "abc,dc->abd", "output_shape": [None, 14]}],
    ),
    "Embedding": (TOKENS, [{"type": "Embedding", "input_dim": 20, "output_dim": 9}]),
    "tied embedding": (
        TOKENS,
        [{"type": "ReversibleEmbedding", "name": "table", "input_dim": 20, "output_dim": 9}, {"use": "table"}],
    ),
    "MultiHeadAttention": (
        SEQUENCE,
        [{"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 7, "from": ["x", "x"]}],
    ),
    "GroupQueryAttention": (
        SEQUENCE,
        [
            {
                "type": "GroupQueryAttention",
                "head_dim": 7,
                "num_query_heads": 4,
                "num_key_value_heads": 2,
                "from": ["x", "x"],
            }
        ],
    ),
    "Conv1D": (SEQUENCE, [{"type": "Conv1D", "filters": 7, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}]),
    "Conv2D": (IMAGE, [{"type": "Conv2D", "filters": 7, "kernel_size": [3, 2], "padding": "same", "strides": 2}]),
    "Conv2D in groups": (IMAGE, [{"type": "Conv2D", "filters": 6, "kernel_size": 3, "groups": 2}]),
    "TimeDistributed": (SEQUENCE, [{"type": "TimeDistributed", "layer": {"type": "Dense", "units": 16}}]),
}
NOT_DISTRIBUTED = {"Conv2D in groups"}
"""Layers that compute with the adapted weight."""


def graphs(case: str, use_dora: bool) -> tuple[Graph, Graph]:
    """The graph in float64 as it is lowered, and with products distributed."""
    x, layers = CASES[case]
    lora = {"weights": ["*"], "rank": 3, "alpha": 4, "use_dora": use_dora}
    checked = check_spec({"inputs": {"x": x}, "layers": layers, "training": {"loss": "mse", "lora": lora}})
    lowered = lower(checked.require(), float_dtype="float64")
    return canonicalize(lowered), canonicalize(distribute_adapters(lowered))


def feeds_of(graph: Graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    value = graph.inputs["x"]
    shape = (3, *value.shape[1:])
    x = rng.integers(0, 20, shape) if value.dtype == "int64" else rng.normal(size=shape)
    return {"x": x, **draw_weights(graph, rng)}


@pytest.mark.parametrize("use_dora", [False, True], ids=["lora", "dora"])
@pytest.mark.parametrize("case", CASES)
def test_distributed_products_give_the_same_values(case: str, use_dora: bool) -> None:
    lowered, distributed = graphs(case, use_dora)
    feeds = feeds_of(lowered)
    expected, actual = reference(lowered, feeds), reference(distributed, feeds)
    assert expected.keys() == actual.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, rtol=1e-9, atol=1e-9)
    read = {x for node in distributed.nodes for x in node.inputs}
    assert read.isdisjoint(distributed.adapters) == (case not in NOT_DISTRIBUTED)


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_adapters(case: str) -> None:
    _, distributed = graphs(case, use_dora=False)
    variables = {weight.name for adapter in distributed.adapters.values() for weight in adapter.variables}
    assert variables
    assert check_gradients(distributed, feeds_of(distributed), sorted(variables)) < 1e-6
    assert not any(adapter.weight.trainable for adapter in distributed.adapters.values())


def test_magnitudes_have_the_gradients_of_fixed_norms() -> None:
    """The norms of the columns count as constants, so only the magnitude's gradient is that of the function."""
    _, distributed = graphs("Dense", use_dora=True)
    (adapter,) = {adapter.weight.name: adapter for adapter in distributed.adapters.values()}.values()
    assert adapter.magnitude is not None
    assert check_gradients(distributed, feeds_of(distributed), [adapter.magnitude.name]) < 1e-6
