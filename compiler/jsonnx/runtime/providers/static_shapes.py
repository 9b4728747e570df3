"""Training steps for a provider that convolves only with kernels of known shape: a session for each batch size.

The gradient of a convolution's kernel is a convolution whose kernel is the gradient of its output, so that its shape
depends on the batch. OpenVINO refuses such a model, unless the sizes of its inputs are numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from .random import symbol_sizes

if TYPE_CHECKING:
    import onnx

    from ...core.types import TensorType
    from ...ir import Graph
    from .providers import Provider

CONVOLUTIONS = {"Conv", "ConvTranspose"}
RunBatch = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
"""Runs a graph on the feeds of a batch, and gives its results."""
MAX_RUNNERS = 4
"""Runners that are kept, each with a session: of the usual batch, of the last one of an epoch, and of two more."""


def needs_static_shapes(graph: Graph, provider: Provider) -> bool:
    """Whether a provider can run a graph only if all sizes are known."""
    return provider.record.needs_static_kernels and has_dynamic_kernels(graph)


def has_dynamic_kernels(graph: Graph) -> bool:
    """Whether a graph convolves with a kernel whose shape is not known, such as one that depends on the batch."""
    return any(
        node.op in CONVOLUTIONS and (kernel := node.input(1)) is not None and not kernel.type.is_static()
        for node in graph.nodes
    )


def set_sizes(model: onnx.ModelProto, sizes: Mapping[str, int]) -> None:
    """Replaces the symbolic sizes of a model's inputs by numbers, and drops those of all other values."""
    for value in model.graph.input:
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param in sizes:
                size.dim_value = sizes[size.dim_param]
    for value in (*model.graph.output, *model.graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.Clear()


class StaticShapeRunner:
    """Runs a graph by a runner for the sizes of each batch; the last few are kept."""

    keeps_bindings = False

    def __init__(self, inputs: Mapping[str, TensorType], build: Callable[[Mapping[str, int]], RunBatch]) -> None:
        """`build` builds a runner for the values of the symbols in the types of the inputs."""
        self._inputs, self._build = inputs, build
        self._runners: dict[tuple[tuple[str, int], ...], RunBatch] = {}

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The fetched outputs. Updates become the variables' current values."""
        sizes = symbol_sizes(self._inputs, feeds)
        key = tuple(sorted(sizes.items()))
        runner = self._runners.pop(key, None) or self._build(sizes)
        self._runners[key] = runner  # the latest is the last
        if len(self._runners) > MAX_RUNNERS:
            del self._runners[next(iter(self._runners))]
        return runner(feeds)

    def bind(
        self, feeds: Mapping[str, np.ndarray], results: Mapping[str, np.ndarray]
    ) -> Callable[[Mapping[str, np.ndarray]], None]:
        raise NotImplementedError("batches of changing sizes are not bound")
