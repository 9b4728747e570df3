"""The first node of a model whose result a provider computes otherwise than the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ...core.files.loadable_model import LoadableModel
from ..providers.model_graphs import all_graphs
from .output_differences import largest_difference

if TYPE_CHECKING:
    import onnx

RunModel = Callable[[LoadableModel], Mapping[str, np.ndarray]]
"""Runs a model on the feeds that are compared, and gives its outputs."""


class WorstNode(NamedTuple):
    """The first node, in the order of the model, with a difference beyond the tolerance."""

    name: str
    op: str
    path: str
    """The JSON path of its layer in the spec without blocks; empty for a model of another program."""
    relative: float


@dataclass(frozen=True)
class NodeSearch:
    """The search for the first node of a model whose result differs by more than a tolerance."""

    model: LoadableModel
    run_reference: RunModel
    run_actual: RunModel
    tolerance: float

    def behind(self, output: str) -> WorstNode | None:
        """The first such node behind an output; None if it cannot be found.

        First all results are made outputs. If no node differs then, because the provider no longer fuses what it fuses
        in the model, models that end at one node each are compared, by bisection.
        """
        import onnx

        nodes = _nodes_behind(onnx.load_model_from_string(self.model.data).graph, output)
        return self._first_of(nodes) or self._bisect(nodes)

    def _first_of(self, nodes: list[onnx.NodeProto]) -> WorstNode | None:
        """The first of some nodes that differs in a model whose outputs are their results."""
        model = _with_outputs(self.model, [node.output[0] for node in nodes])
        try:
            reference, actual = self.run_reference(model), self.run_actual(model)
        except (CompileError, UsageError):
            return None
        for node in nodes:
            relative = largest_difference({node.output[0]: reference[node.output[0]]}, actual)
            if relative > self.tolerance:
                path = next((entry.value for entry in node.metadata_props if entry.key == "jsonnx.path"), "")
                return WorstNode(node.name, node.op_type, path, relative)
        return None

    def _bisect(self, nodes: list[onnx.NodeProto]) -> WorstNode | None:
        """The node where a difference appears, as if every node after it differed."""
        first, last, found = 0, len(nodes) - 1, None
        while first <= last:
            middle = (first + last) // 2
            difference = self._first_of([nodes[middle]])
            if difference is None:
                first = middle + 1
            else:
                found, last = difference, middle - 1
        return found


def _nodes_behind(graph: onnx.GraphProto, output: str) -> list[onnx.NodeProto]:
    """The nodes that an output depends on, in the order of the model."""
    needed, nodes = {output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            bodies = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
            inner_nodes = (inner for body in bodies for each in all_graphs(body) for inner in each.node)
            needed.update(node.input, *(inner.input for inner in inner_nodes))
    return [node for node in nodes[::-1] if node.output[0]]


def _with_outputs(model: LoadableModel, names: list[str]) -> LoadableModel:
    """The model with these results as its only outputs."""
    import onnx

    proto = onnx.load_model_from_string(model.data)
    typed = onnx.shape_inference.infer_shapes(proto).graph
    infos = {value.name: value for value in (*typed.value_info, *typed.output)}
    del proto.graph.output[:]
    proto.graph.output.extend(infos.get(name) or onnx.ValueInfoProto(name=name) for name in names)
    return model._replace(data=proto.SerializeToString())
