"""The loss that an ONNX file computes itself, from labels that are an input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .needed_nodes import needed_nodes
from .prepared_graph import PreparedGraph
from .tensors import FLOAT_TYPES
from .unreadable_graph import UnreadableGraph


class LossOutput(NamedTuple):
    """The loss of a file, and the results of the model without it."""

    loss: str
    results: tuple[str, ...]
    """The values that the model gives, which depend on no labels."""


def loss_output(graph: PreparedGraph, name: str | None = None) -> LossOutput | None:
    """The value of this name as the loss; without a name the only output that is a single number and reads an input
    that another output does not read, if there is one. Raises UnreadableGraph."""
    if name is None:
        candidates = [value for value in _scalar_outputs(graph) if _results(graph, value) or len(graph.inputs) > 1]
        if len(candidates) != 1 or not _label_inputs(graph, candidates[0]):
            return None
        name = candidates[0]
    known = {output for node in graph.nodes for output in node.output}
    if name not in known:
        outputs = ", ".join(graph.output_names)
        raise UnreadableGraph(f"it has no value {name!r}", "unknown-name", f"its outputs are {outputs}")
    results = _results(graph, name) or _values_before_labels(graph, name)
    if not results:
        raise UnreadableGraph(
            f"{name!r} does not depend on labels that no other value needs",
            "bad-option",
            "name the output that is the loss; the model needs another result, which depends on no labels",
        )
    return LossOutput(name, tuple(results))


def _scalar_outputs(graph: PreparedGraph) -> list[str]:
    types = [(value.name, value.type.tensor_type) for value in graph.model.graph.output]
    return [
        name for name, type in types if type.elem_type in FLOAT_TYPES and type.HasField("shape") and not type.shape.dim
    ]


def _results(graph: PreparedGraph, loss: str) -> list[str]:
    """The outputs of the file that read fewer inputs than the loss."""
    of_loss = _inputs(graph, [loss])
    return [name for name in graph.output_names if name != loss and _inputs(graph, [name]) < of_loss]


def _label_inputs(graph: PreparedGraph, loss: str) -> set[str]:
    """The inputs that the loss reads and the results do not."""
    results = _results(graph, loss) or _values_before_labels(graph, loss)
    return _inputs(graph, [loss]) - _inputs(graph, results) if results else set()


def _values_before_labels(graph: PreparedGraph, loss: str) -> list[str]:
    """The last value before the nodes that read the labels: those inputs of the file that are read last."""
    nodes = needed_nodes(graph.nodes, [loss])
    first_reads = {
        declared.name: next((i for i, node in enumerate(nodes) if declared.name in node.input), len(nodes))
        for declared in graph.inputs
    }
    if len(first_reads) < 2:
        return []
    labels = max(first_reads, key=lambda name: first_reads[name])
    dependent, before = {labels}, ""
    produced = {output for node in nodes for output in node.output}
    for node in nodes:
        if not dependent.isdisjoint(node.input):
            independent = [name for name in node.input if name in produced and name not in dependent]
            before = next((name for name in independent if _inputs(graph, [name])), before)
            dependent.update(node.output)
    return [before] if before else []


def _inputs(graph: PreparedGraph, names: Sequence[str]) -> set[str]:
    """The inputs of the file that values depend on."""
    return {declared.name for declared in graph.inputs_of(names)}
