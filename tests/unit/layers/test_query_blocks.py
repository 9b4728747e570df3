"""Attention by blocks of queries: equal to attention at once, in results and gradients, for all lengths and masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import Size, evaluate_size
from jsonnx.gradient import GradientBuilder, gradients
from jsonnx.ir import Graph
from jsonnx.layers.attention import query_blocks
from jsonnx.passes.canonicalize import canonicalize
from support.harness import check_gradients, draw_weights, lower, one_layer, reference, run, with_gradients

from .cases import Case
from .cases.attention import CASES as ATTENTION_CASES
from .cases.attention import CAUSAL, DOT, GROUPS, HEADS, LIST_MASKS, MASKED

TIME, OTHER_TIME = Size.named("time"), Size.named("other")
SEQUENCE, OTHER = (TIME, 3), (OTHER_TIME, 3)
BIAS = {"arguments": ["query", "attention_bias"]}
CASES = [
    *(case for case in ATTENTION_CASES if not case.layer.get("return_attention_scores")),
    Case("long", HEADS, [(9, 3)]),
    Case("long-causal", {**HEADS, **CAUSAL}, [(9, 3)]),
    Case("long-causal-dropout", {**HEADS, **CAUSAL, "dropout": 0.4}, [(10, 3)]),
    Case("long-causal-mask", {**HEADS, **CAUSAL, **MASKED}, [(9, 3), (9, 3), (9, 9)], masks=(2,)),
    Case("long-groups", {**GROUPS, **CAUSAL, "rotary": True}, [(9, 3)]),
    Case("long-window", {**HEADS, "sliding_window": 2}, [(12, 3)]),
    Case("long-window-causal", {**GROUPS, **CAUSAL, "sliding_window": 2, "dropout": 0.3}, [(12, 3)]),
    Case("wide-window-causal", {**HEADS, **CAUSAL, "sliding_window": 7}, [(9, 3)]),
    Case("wide-window", {**HEADS, "sliding_window": 7}, [(9, 3)]),
    Case("long-cap", {**GROUPS, **CAUSAL, "score_soft_cap": 0.7, "score_scale": 0.5}, [(9, 3)]),
    Case("bias", {**HEADS, **BIAS}, [(6, 3), (2, 6, 6)]),
    Case("bias-causal", {**HEADS, **CAUSAL, **BIAS}, [(6, 3), (1, 6, 6)]),
    Case("bias-of-keys", {**HEADS, **CAUSAL, **BIAS}, [(6, 3), (2, 1, 6)]),
    Case("bias-of-queries", {**HEADS, **CAUSAL, **BIAS}, [(6, 3), (2, 6, 1)]),
    Case("dot-causal", {**DOT, **CAUSAL, "use_scale": True, "dropout": 0.2}, [(9, 3)]),
    Case("symbolic", HEADS, [SEQUENCE]),
    Case("symbolic-cross", {**HEADS, **CAUSAL}, [SEQUENCE, OTHER]),
    Case("symbolic-causal", {**HEADS, **CAUSAL, "dropout": 0.4}, [SEQUENCE]),
    Case("symbolic-groups", {**GROUPS, **CAUSAL, "dropout": 0.4}, [SEQUENCE]),
    Case("symbolic-mask", {**HEADS, **CAUSAL, **MASKED}, [SEQUENCE, SEQUENCE, (TIME, TIME)], masks=(2,)),
    Case("symbolic-window", {**HEADS, "sliding_window": 2}, [SEQUENCE]),
    Case("symbolic-window-causal", {**HEADS, **CAUSAL, "sliding_window": 2}, [SEQUENCE]),
    Case("symbolic-bias", {**HEADS, **CAUSAL, **BIAS}, [SEQUENCE, (2, TIME, TIME)]),
    Case("symbolic-dot", {**DOT, **CAUSAL, **LIST_MASKS}, [SEQUENCE, SEQUENCE, (TIME,), (TIME,)], masks=(2, 3)),
]
BATCH_SIZE = 3
EXPECTED = {"batch": BATCH_SIZE, "time": 12, "other": 10}


@pytest.fixture(autouse=True)
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_blocks, "MIN_SCORES_BYTES", 1)
    monkeypatch.setattr(query_blocks, "MAX_BLOCK_BYTES", 1)
    monkeypatch.setattr(query_blocks, "MAX_BLOCKS", 4)
    monkeypatch.setattr(query_blocks, "MIN_BLOCK_QUERIES", 1)


def graphs(case: Case, dtype: str) -> tuple[Graph, Graph]:
    """The layer's graph at once, and by blocks."""
    typed = one_layer(case.layer, *case.inputs)
    return tuple(
        canonicalize(lower(typed, training=True, float_dtype=dtype, expected_sizes=sizes)) for sizes in ({}, EXPECTED)
    )  # type: ignore[return-value]


def feeds_of(case: Case, graph: Graph, sizes: dict[str, int], dtype: str) -> dict[str, Any]:
    """Inputs, weights and dropout masks; no query has all its keys masked."""
    rng = np.random.default_rng(2)
    feeds = {}
    for index, value in enumerate(graph.inputs.values()):
        shape = [evaluate_size(size, sizes) for size in value.shape]
        drawn = rng.integers(0, 2, shape) if index in case.masks else rng.normal(size=shape)
        if index in case.masks:
            drawn[..., 0] = 1
        feeds[value.name] = drawn.astype(dtype)
    for name, random in graph.randoms.items():
        kept = rng.random([evaluate_size(size, sizes) for size in random.shape]) < random.keep
        feeds[name] = np.where(kept, random.scale, 0).astype(dtype)
    return feeds | draw_weights(graph, rng)


def differentiated(case: Case, graph: Graph) -> list[str]:
    masks = {f"x{index}" for index in case.masks}
    return [*(name for name in graph.inputs if name not in masks), *graph.parameters]


each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


@pytest.mark.costly(4)
@each_case
def test_results_and_gradients_equal_those_at_once(case: Case) -> None:
    at_once, by_blocks = (with_gradients(graph, differentiated(case, graph)) for graph in graphs(case, "float64"))
    is_concat = case.layer.get("score_mode") == "concat" or case.layer["type"] == "AdditiveAttention"
    assert any(node.region for node in by_blocks.nodes) != (is_concat or case.id == "heads-smallest")
    expected = reference(at_once, feeds := feeds_of(case, at_once, EXPECTED | {"time": 3, "other": 3}, "float64"))
    results = reference(by_blocks, feeds)
    assert results.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(results[name], expected[name], rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.costly(4)
@each_case
def test_gradients_equal_finite_differences(case: Case) -> None:
    if case.smooth:
        graph = graphs(case, "float64")[1]
        feeds = feeds_of(case, graph, {"batch": 3, "time": 3, "other": 3}, "float64")
        assert check_gradients(graph, feeds, differentiated(case, graph)) < 1e-6


def with_squared_loss(graph: Graph, wrt: list[str]) -> Graph:
    """The gradients of half the sum of all squared results, and the results."""
    g = GradientBuilder.extending(graph)
    (y,) = graph.outputs.values()
    values = {**graph.inputs, **graph.parameters}
    by_value = gradients(g, graph, {y: y}, [values[name] for name in wrt])
    return canonicalize(g.graph({"y": y, **{f"d/{name}": by_value[values[name]] for name in wrt}}))


@pytest.mark.parametrize("time", [1, 2, 4, 5, 12, 23])
@pytest.mark.parametrize("case", [case for case in CASES if case.id.startswith("symbolic")], ids=lambda case: case.id)
def test_onnxruntime_computes_all_lengths(case: Case, time: int) -> None:
    at_once, by_blocks = (with_squared_loss(graph, differentiated(case, graph)) for graph in graphs(case, "float32"))
    feeds = feeds_of(case, at_once, {"batch": 2, "time": time, "other": 7}, "float32")
    expected, results = run(at_once, feeds), run(by_blocks, feeds)
    for name in expected:
        np.testing.assert_allclose(results[name], expected[name], rtol=1e-4, atol=2e-5, err_msg=name)


def test_a_causal_block_computes_no_later_keys() -> None:
    _, graph = graphs(Case("causal", {**HEADS, **CAUSAL}, [(8, 3)]), "float32")
    shapes = [node.outputs[0].shape[1:] for node in graph.nodes if node.op == "Softmax"]
    assert shapes == [(2, 2, 2), (2, 2, 4), (2, 2, 6), (2, 2, 8)]


def test_a_window_reads_the_neighbouring_blocks() -> None:
    _, graph = graphs(Case("window", {**HEADS, "sliding_window": 2}, [(16, 3)]), "float32")
    assert [node.outputs[0].shape[-1] for node in graph.nodes if node.op == "Softmax"] == [8, 12, 12, 8]
    _, graph = graphs(Case("window", {**HEADS, **CAUSAL, "sliding_window": 2}, [(16, 3)]), "float32")
    assert [node.outputs[0].shape[-1] for node in graph.nodes if node.op == "Softmax"] == [4, 8, 8, 8]


def test_few_scores_and_scores_that_are_returned_are_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = graphs(Case("scores", {**HEADS, "return_attention_scores": True}, [(8, 3)]), "float32")
    monkeypatch.setattr(query_blocks, "MIN_SCORES_BYTES", 1 << 14)
    for at_once, expected in (scores, graphs(Case("few", HEADS, [(8, 3)]), "float32")):
        assert [node.op for node in at_once.nodes] == [node.op for node in expected.nodes]


def test_a_query_that_sees_no_key_has_the_scores_of_all_keys() -> None:
    case = Case("masked", {**HEADS, **CAUSAL, **MASKED}, [(8, 3), (8, 3), (8, 8)], masks=(2,))
    at_once, by_blocks = graphs(case, "float64")
    feeds = feeds_of(case, at_once, {"batch": 2}, "float64") | {"x2": np.zeros((2, 8, 8))}
    (expected,), (result,) = (reference(graph, feeds).values() for graph in (at_once, by_blocks))
    np.testing.assert_allclose(result, expected, rtol=1e-12)
