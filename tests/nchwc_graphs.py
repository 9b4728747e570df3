"""Training graphs in onnxruntime's blocked NCHWc layout: built for a fixed block size, so that they are the same on every
machine, and never run; only tests that train need kernels for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonnx.ir import Graph, Node, Subgraph
from jsonnx.pipeline.check import check_spec
from jsonnx.pipeline.plan_training import plan_training
from jsonnx.runtime.kernel_probes import nchwc_block_size
from jsonnx.tuning.cpu.nchwc.context import NCHWC_DOMAIN
from jsonnx.tuning.cpu.nchwc.convert import to_nchwc

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
