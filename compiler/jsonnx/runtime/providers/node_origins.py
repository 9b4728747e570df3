"""Finds the origins of the nodes that onnxruntime runs, also of nodes that its optimizations have created."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from .model_graphs import all_graphs

if TYPE_CHECKING:
    import onnx

PATH_KEY = "jsonnx.path"
BLOCKED_SUFFIX = "_nchwc"
"""Ends the name of a node whose result has another layout than the value that begins the name."""
LAYOUT_COPIES = ("ReorderInput", "ReorderOutput", "Transpose", "MemcpyFromHost", "MemcpyToHost")
"""Operators by which onnxruntime copies a value to another layout, or to another device."""
INPUTS_WITH_SUMMAND = 4
"""Inputs of a convolution that also adds a value."""
MAX_FUSED_NODES = 64
"""Nodes of a model that one fused node is searched to stand for."""


class NodeOrigin(NamedTuple):
    """Where a node of a model comes from. `path` is the path of its layer in the flat spec, empty in models of other
    programs; `scope` is its name without the operator."""

    name: str
    op: str
    path: str
    scope: str


class FusedOrigin(NamedTuple):
    """The node that a node of onnxruntime stands for, and further nodes that it computes, too."""

    origin: NodeOrigin
    others: tuple[NodeOrigin, ...] = ()


class NodeOrigins:
    """The nodes of a model, by the names of the nodes that onnxruntime runs in their place.

    A name that optimizations keep stands for the node itself. A fused node stands for the nodes between its inputs and
    its outputs, whose names onnxruntime keeps: for the one with its operator, or else for the last.
    """

    def __init__(self, model: onnx.ModelProto, optimized_model: onnx.ModelProto | None) -> None:
        self._optimized_model = optimized_model
        nodes = [node for graph in all_graphs(model.graph) for node in graph.node]
        self._origins = {node.name: _origin(node) for node in nodes if node.name}
        self._producers = {output: node for node in model.graph.node for output in node.output if output}
        self._found: dict[str, FusedOrigin | None] = {}

    def find(self, name: str) -> FusedOrigin | None:
        """The origin of a node that onnxruntime runs; None if unknown."""
        if name not in self._found:
            self._found[name] = self._search(name)
        return self._found[name]

    def _search(self, name: str) -> FusedOrigin | None:
        if name in self._optimized_nodes and (fused := self._fused_origin(self._optimized_nodes[name])):
            return fused
        if name in self._origins:
            return FusedOrigin(self._origins[name])
        return self._origin_by_prefix(name)

    @cached_property
    def _optimized_nodes(self) -> dict[str, onnx.NodeProto]:
        graph = self._optimized_model.graph if self._optimized_model is not None else None
        return {node.name: node for node in graph.node if node.name} if graph is not None else {}

    def _fused_origin(self, node: onnx.NodeProto) -> FusedOrigin | None:
        outputs = [self._value_name(name) for name in node.output if name]
        if node.op_type in LAYOUT_COPIES and self._value_name(node.input[0]) in outputs:
            return self._origin_of_copy(outputs[0])
        covered = list(self._covered(outputs, self._kept_values.difference(outputs)))
        if not covered:
            return None
        op = node.op_type.removeprefix("Fused")
        alike = [origin for origin in covered if origin.op == op or op.endswith(origin.op)]
        main = next((origin for origin in alike if origin.name == node.name), (alike or covered)[0])
        return FusedOrigin(main, tuple(origin for origin in covered if origin != main))

    def _origin_of_copy(self, value: str) -> FusedOrigin | None:
        """The origin of a node that copies a value: the origin of the node that computes it."""
        computing = next(
            (
                node.name
                for node in self._optimized_nodes.values()
                if node.op_type not in LAYOUT_COPIES and value in map(self._value_name, node.output)
            ),
            None,
        )
        found = self.find(computing) if computing is not None else None
        producer = self._producers.get(value)
        origin = found.origin if found is not None else _origin(producer) if producer is not None else None
        return FusedOrigin(origin) if origin is not None else None

    def _covered(self, outputs: Iterable[str], inputs: Container[str]) -> Iterator[NodeOrigin]:
        """The nodes on which some values depend, from the last, but for those behind the inputs."""
        pending = [name for name in outputs if name not in inputs]
        seen = set[str]()
        while pending and len(seen) < MAX_FUSED_NODES:
            producer = self._producers.get(pending.pop(0))
            if producer is None or producer.name in seen:
                continue
            seen.add(producer.name)
            yield _origin(producer)
            pending += [name for name in producer.input if name not in inputs]

    def _value_name(self, name: str) -> str:
        """The name in the model of a value of the optimized model."""
        return self._aliases.get(name, name)

    @cached_property
    def _sums(self) -> dict[str, str]:
        """The results of additions, by the names of their summands."""
        additions = [node for node in self._producers.values() if node.op_type in ("Add", "Sum")]
        return {name: node.output[0] for node in additions for name in node.input}

    @cached_property
    def _kept_values(self) -> set[str]:
        """The values of the model that some node of the optimized model computes."""
        nodes = self._optimized_nodes.values()
        return {self._value_name(name) for node in nodes for name in (*node.input, *node.output)}

    @cached_property
    def _aliases(self) -> dict[str, str]:
        """The names in the model of values in another layout: a node with such a result is named after it, and others
        copy a value."""
        aliases: dict[str, str] = {}
        for node in self._optimized_nodes.values():
            output = next(iter(node.output), "")
            value = node.name.removesuffix(BLOCKED_SUFFIX)
            if output in self._producers or not output:
                continue
            if value in self._producers:
                adds = len(node.input) == INPUTS_WITH_SUMMAND
                aliases[output] = self._sums.get(value, value) if adds else value
            elif node.op_type in LAYOUT_COPIES and node.input:
                aliases[output] = aliases.get(node.input[0], node.input[0])
        return aliases

    def _origin_by_prefix(self, name: str) -> FusedOrigin | None:
        """The node whose name, or output's name, is a prefix of `name`."""
        known = [known for known in self._origins if name.startswith(known)]
        if known:
            return FusedOrigin(self._origins[max(known, key=len)])
        outputs = [output for output in self._producers if name.startswith(output)]
        return FusedOrigin(_origin(self._producers[max(outputs, key=len)])) if outputs else None

    # -- what results depend on ----------------------------------------------------------------------------------------

    def nodes_behind(self, results: Iterable[str], is_followed: Callable[[NodeOrigin], bool]) -> set[str]:
        """The names of the nodes on which some results depend, by way of nodes that are followed."""
        pending, behind = list(results), set[str]()
        while pending:
            producer = self._producers.get(pending.pop())
            if producer is None or producer.name in behind or not is_followed(_origin(producer)):
                continue
            behind.add(producer.name)
            pending += _read_names(producer)
            behind.update(node.name for body in _bodies(producer) for node in body.node)
        return behind


def _bodies(node: onnx.NodeProto) -> Sequence[onnx.GraphProto]:
    return [graph for attribute in node.attribute if attribute.HasField("g") for graph in all_graphs(attribute.g)]


def _read_names(node: onnx.NodeProto) -> list[str]:
    """The values that a node reads, also in its bodies."""
    return [*node.input, *(name for body in _bodies(node) for inner in body.node for name in inner.input)]


def _origin(node: onnx.NodeProto) -> NodeOrigin:
    path = next((item.value for item in node.metadata_props if item.key == PATH_KEY), "")
    return NodeOrigin(node.name, node.op_type, path, node.name.rpartition("/")[0].strip("/"))
