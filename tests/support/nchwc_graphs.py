"""Graphs in onnxruntime's blocked NCHWc layout for tests of the passes that build them.

Tests compare graphs of a fixed block size, so that they are the same on every machine, and run them with the operators
of `nchwc_reference`. Only tests that train need onnxruntime's kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from jsonnx.backend import to_model_proto
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder, Graph, Node, Subgraph, Value
from jsonnx.runtime.providers.kernel_probes import nchwc_block_size
from jsonnx.tuning.cpu.nchwc.context import NCHWC_DOMAIN, NchwcContext
from jsonnx.tuning.cpu.nchwc.convert import to_nchwc
from jsonnx.tuning.cpu.target import Target
from onnx.reference import ReferenceEvaluator
from support.nchwc_reference import nchwc_operators
from support.scan_reference import SCAN
from support.training_steps import training_graph
from support.window_reference import WINDOWS

BLOCK = 16
"""Channels of a block in graphs that are compared: those of machines with AVX-512."""
BLOCKS = (8, 16)
"""The block sizes that onnxruntime has kernels for."""

needs_nchwc_kernels = pytest.mark.skipif(
    nchwc_block_size() == 1, reason="onnxruntime has no NCHWc kernels for this processor"
)


def image_spec(layers: Sequence[Mapping[str, Any]], shape: tuple[int, ...]) -> dict[str, Any]:
    """A network of these layers on images [height, width, channels], with a dense layer that tells positions apart."""
    return {
        "inputs": {"x": {"shape": list(shape)}},
        "layers": [*layers, {"type": "Flatten"}, {"type": "Dense", "units": 3}],
        "training": {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.05}},
    }


def conv(filters: int, kernel_size: int | list[int] = 3, **attributes: Any) -> dict[str, Any]:
    """A Conv2D layer that keeps the size of its image."""
    return {"type": "Conv2D", "filters": filters, "kernel_size": kernel_size, "padding": "same", **attributes}


def nchwc_training_graph(spec: Mapping[str, Any], samples: int | None = None, block: int = BLOCK) -> Graph:
    """The graph of a training step in the NCHWc layout, for a batch of so many samples."""
    return to_nchwc(training_graph(spec), Target(block_size=block, expected_batch=samples))


def nchwc_context(graph: Graph, samples: int | None = None, block: int = BLOCK) -> NchwcContext:
    """The context of a conversion of this graph, of which no node is converted yet."""
    return NchwcContext(graph, Target(block_size=block, expected_batch=samples))


def evaluate_blocked(emit: Callable[..., Value], *images: np.ndarray) -> np.ndarray:
    """The plain value that `emit` returns, from a context and the blocked forms of these images."""
    g = Builder()
    inputs = {f"x{index}": g.input(f"x{index}", TensorType("float32", x.shape)) for index, x in enumerate(images)}
    ctx = nchwc_context(g.graph({f"y{index}": x for index, x in enumerate(inputs.values())}))
    y = emit(ctx, *map(ctx.to_blocked, inputs.values()))
    return evaluate(ctx.g.graph({"y": y}), dict(zip(inputs, images, strict=True)), BLOCK)["y"]


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
    used_feeds = {name: array for name, array in feeds.items() if name in evaluator.input_names}
    with np.errstate(over="ignore"):  # a step function multiplies by a very large number
        return dict(zip(evaluator.output_names, evaluator.run(None, used_feeds), strict=True))


def random_feeds(graph: Graph, samples: int) -> dict[str, np.ndarray]:
    """Random inputs, weights and states; every symbolic size is the number of samples.

    No element is close to zero, where rounding would decide what a ReLU lets through. Weights are scaled so that layers
    keep the size of their inputs.
    """
    rng = np.random.default_rng(0)
    feeds = {}
    for name, value in {**graph.inputs, **graph.parameters, **graph.states}.items():
        shape = [size if isinstance(size, int) else samples for size in value.shape]
        fan_in = np.prod(shape[:-1]) if name in graph.parameters and len(shape) > 1 else 1
        elements = rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape) / np.sqrt(fan_in)
        feeds[name] = np.asarray(elements, value.dtype)
    return feeds
