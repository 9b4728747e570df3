"""Training graphs in onnxruntime's blocked NCHWc layout: built for a fixed block size, so that they are the same on every
machine, and never run; only tests that train need kernels for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from jsonnx.backend import to_model_proto
from jsonnx.ir import Graph, Node, Subgraph
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.plan_training import plan_training
from jsonnx.runtime.kernel_probes import nchwc_block_size
from jsonnx.tuning.cpu.nchwc.context import NCHWC_DOMAIN
from jsonnx.tuning.cpu.nchwc.convert import to_nchwc
from nchwc_reference import nchwc_operators
from onnx.reference import ReferenceEvaluator
from scan_reference import SCAN
from window_reference import WINDOWS

BLOCK = 16
"""Channels of a block in graphs that are compared: those of machines with AVX-512."""
BLOCKS = (8, 16)
"""The block sizes that onnxruntime has kernels for."""

needs_nchwc_kernels = pytest.mark.skipif(
    nchwc_block_size() == 1, reason="onnxruntime has no NCHWc kernels for this processor"
)


def training_graph(spec: Mapping[str, Any]) -> Graph:
    """The graph of a training step in standard ONNX."""
    return plan_training(check_spec(spec)).train


def nchwc_training_graph(spec: Mapping[str, Any], samples: int | None = None, block: int = BLOCK) -> Graph:
    """The graph of a training step in the NCHWc layout, for a batch of so many samples."""
    return to_nchwc(training_graph(spec), block, samples)


def nchwc_nodes(graph: Graph, op: str = "Conv") -> list[Node]:
    """The nodes with an operator of the NCHWc layout, those in branches of an If included."""
    return [node for node in all_nodes(graph) if node.domain == NCHWC_DOMAIN and node.op == op]


def all_nodes(graph: Graph | Subgraph) -> Iterator[Node]:
    """The nodes of a graph and of the bodies of its nodes."""
    for node in graph.nodes:
        yield node
        for body in node.attributes.values():
            if isinstance(body, Subgraph):
                yield from all_nodes(body)


def assert_same_results(converted: Graph, plain: Graph, block: int, samples: int, *, tolerance: float = 1e-5) -> None:
    """Runs both graphs with ONNX' reference implementation, on any machine, and compares all their results.

    `tolerance` is relative to the largest element of each result.
    """
    feeds = random_feeds(plain, samples)
    expected = evaluate(plain, feeds, block)
    for name, actual in evaluate(converted, feeds, block).items():
        largest = np.abs(expected[name]).max(initial=0.0)
        np.testing.assert_allclose(actual, expected[name], rtol=0, atol=tolerance * largest + 1e-30, err_msg=name)


def evaluate(graph: Graph, feeds: Mapping[str, np.ndarray], block: int) -> dict[str, np.ndarray]:
    """A graph's results by ONNX' reference implementation, with NCHWc operators of this block size."""
    evaluator = ReferenceEvaluator(to_model_proto(graph), new_ops=[*SCAN, *WINDOWS, *nchwc_operators(block)])
    known = {name: array for name, array in feeds.items() if name in evaluator.input_names}
    return dict(zip(evaluator.output_names, evaluator.run(None, known), strict=True))


def random_feeds(graph: Graph, samples: int) -> dict[str, np.ndarray]:
    """Random inputs, weights and states; every symbolic size is the number of samples."""
    rng = np.random.default_rng(0)
    values = {**graph.inputs, **graph.parameters, **graph.states}
    feeds = {}
    for name, value in values.items():
        shape = [size if isinstance(size, int) else samples for size in value.shape]
        feeds[name] = np.asarray(rng.uniform(0.1, 1.0, shape) * rng.choice([-1, 1], shape), value.dtype)
    return feeds
