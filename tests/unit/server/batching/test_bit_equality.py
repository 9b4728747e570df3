"""The answer to a request has the same bits alone and in any batch, for every layer."""

from __future__ import annotations

import jsonnx
import numpy as np
import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.ir import Graph
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.passes.constant_folding import bind_weights
from jsonnx.passes.inference import optimize_for_inference
from jsonnx.passes.layout import propagate_transposes
from jsonnx.pipeline.check.check import check_spec
from jsonnx.runtime.session.session import Session
from jsonnx.server.batching.batch_run import run_batch
from jsonnx.server.batching.batching import Batching
from jsonnx.server.batching.proof import batching_of, network_batching
from support.harness import draw_weights, lower
from unit.layers.cases import Case, all_cases
from unit.layers.test_layers import feeds_of, network

ROWS = 33
SPLITS = [[1] * 33, [1, 2, 3, 4, 5, 6, 7, 5], [32, 1], [3] * 11, [8, 8, 8, 8, 1]]
"""Numbers of rows of requests that share a run."""


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype.hasobject:
        return one.tolist() == other.tolist()
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


def requests_of(feeds: dict[str, np.ndarray], sizes: list[int]) -> list[dict[str, np.ndarray]]:
    stops = np.cumsum(sizes)
    return [
        {name: array[stop - size : stop] for name, array in feeds.items()}
        for size, stop in zip(sizes, stops, strict=True)
    ]


def differing_sizes(session: Session, feeds: dict[str, np.ndarray], batching: Batching) -> list[int]:
    """The sizes of requests whose answers in a batch differ from those that they get alone."""
    differing = []
    for sizes in SPLITS:
        requests = requests_of(feeds, sizes)
        answers = run_batch(session.run_prepared, requests, sizes, batching).answers
        for request, size, (answer, _) in zip(requests, sizes, answers, strict=True):
            [(alone, _)] = run_batch(session.run_prepared, [request], [size], batching).answers
            assert isinstance(answer, dict), answer
            assert isinstance(alone, dict), alone
            if not all(same_bits(answer[name], alone[name]) for name in alone):
                differing.append(size)
    return differing


def bound(graph: Graph, rng: np.random.Generator) -> Graph:
    return optimize_for_inference(canonicalize(bind_weights(graph, draw_weights(graph, rng))))


@pytest.mark.costly(8)
@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
def test_an_answer_has_the_same_bits_in_any_batch(case: Case) -> None:
    typed, rng = network(case), np.random.default_rng(0)
    graph = canonicalize(propagate_transposes(lower(typed, training=False)))
    batching = network_batching(typed, graph)
    if not batching.is_allowed or graph.randoms:
        return
    session = Session(serialize(to_model_proto(bound(graph, rng))), threads=1)
    feeds = {name: array for name, array in feeds_of(case, ROWS, rng, "float32").items() if name in session.inputs}
    assert not differing_sizes(session, feeds, batching), batching


LARGE = {
    "dense": ((784,), [{"type": "Dense", "units": 512, "activation": "gelu"}, {"type": "Dense", "units": 10}]),
    "wide": ((4096,), [{"type": "Dense", "units": 1024, "activation": "sigmoid"}, {"type": "Dense", "units": 1}]),
    "convolution": (
        (28, 28, 3),
        [
            {"type": "Conv2D", "filters": 32, "kernel_size": 3, "activation": "swish"},
            {"type": "Conv2D", "filters": 64, "kernel_size": 3, "strides": 2, "groups": 2},
            {"type": "BatchNormalization"},
            {"type": "DepthwiseConv2D", "kernel_size": 3},
            {"type": "SeparableConv2D", "filters": 17, "kernel_size": 3, "activation": "mish"},
            {"type": "AveragePooling2D", "pool_size": 2},
            {"type": "GlobalAveragePooling2D"},
            {"type": "Dense", "units": 7, "activation": "softmax"},
        ],
    ),
    "transposed convolution": (
        (16, 16, 8),
        [
            {"type": "Conv2DTranspose", "filters": 16, "kernel_size": 3, "strides": 2},
            {"type": "GroupNormalization", "groups": 4},
            {"type": "UpSampling2D", "interpolation": "bilinear"},
            {"type": "GlobalMaxPooling2D"},
        ],
    ),
    "sequence": (
        (30, 16),
        [
            {"type": "Conv1D", "filters": 32, "kernel_size": 3, "activation": "elu"},
            {"type": "Bidirectional", "layer": {"type": "LSTM", "units": 64, "return_sequences": True}},
            {"type": "GRU", "units": 48, "return_sequences": True},
            {"type": "LayerNormalization"},
            {"type": "SimpleRNN", "units": 33},
            {"type": "Dense", "units": 3, "activation": "softplus"},
        ],
    ),
    "attention": (
        (50, 64),
        [
            {"type": "MultiHeadAttention", "num_heads": 4, "key_dim": 16, "from": ["x", "x"]},
            {"type": "RMSNormalization"},
            {"type": "GlobalAveragePooling1D"},
            {"type": "Dense", "units": 5, "activation": "log_softmax"},
        ],
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_an_answer_of_a_larger_network_has_the_same_bits_in_any_batch(name: str) -> None:
    shape, layers = LARGE[name]
    spec = {"inputs": {"x": {"shape": [*shape]}}, "layers": layers}
    session = Session(jsonnx.compile(spec, seed=1), threads=1)
    batching = batching_of(check_spec(spec), session.inputs, session.outputs, session.random_inputs)
    assert batching.is_allowed, batching.reason
    feeds = {"x": np.random.default_rng(0).normal(size=(ROWS, *shape)).astype(np.float32)}
    assert not differing_sizes(session, feeds, batching)
