"""The order in which Keras runs the calls of a functional model, and numbers its layers.

Calls farther from the outputs come first: the distance is the greatest number of calls in between. Those equally far
come in the order in which they are met. Masks, which Keras computes by operations of its own, are on some of the ways.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .network import Call, Network

CallNode = tuple[str, int]
"""A call: whose, and which of its calls."""


class Distances(NamedTuple):
    """How far from the outputs calls and layers are; the calls in the order in which Keras comes to know of them."""

    by_node: dict[CallNode, int]
    by_layer: dict[str, int]
    visit_order: dict[str, int]
    """The layers in the order in which a walk back from the outputs meets them."""


def distances(outputs: Sequence[CallNode], parents: Mapping[CallNode, Sequence[CallNode]]) -> Distances:
    """The distances of all calls that outputs depend on; `parents` are the calls whose results one takes."""
    done: dict[CallNode, None] = {}  # in the order in which they are done
    met: dict[str, int] = {}
    for node in outputs:
        _visit_depth_first(node, parents, done, met)
    of_node: dict[CallNode, int] = {}
    of_layer: dict[str, int] = {}
    for node in reversed(done):
        depth = max(of_node.get(node, 0), of_layer.get(node[0], 0))
        of_node[node] = of_layer[node[0]] = depth
        for before in parents.get(node, ()):
            of_node[before] = max(depth + 1, of_node.get(before, 0))
    return Distances(of_node, of_layer, met)


def _visit_depth_first(
    root: CallNode,
    parents: Mapping[CallNode, Sequence[CallNode]],
    done: dict[CallNode, None],
    visit_order: dict[str, int],
) -> None:
    """Adds a call to those that are done after all that it depends on, in the order of its inputs."""
    stack: list[tuple[CallNode, Iterator[CallNode]]] = []

    def enter(node: CallNode) -> None:
        visit_order.setdefault(node[0], len(visit_order))
        stack.append((node, iter(parents.get(node, ()))))

    if root not in done:
        enter(root)
    while stack:
        node, rest = stack[-1]
        following = next((before for before in rest if before not in done), None)
        if following is not None:
            enter(following)
            continue
        stack.pop()
        done[node] = None


def keras_call_order(network: Network, masked: Container[str]) -> list[Call]:
    """The calls as Keras runs them; `masked` are the values with a mask beside them as the model is made."""
    nodes: dict[str, CallNode] = {name: (name, 0) for name in network.inputs}
    counts: dict[str, int] = {}
    calls: dict[CallNode, Call] = {}
    parents: dict[CallNode, list[CallNode]] = {}
    for call in network.calls:
        number = counts[call.owner] = counts.get(call.owner, -1) + 1
        node = call.owner, number
        calls[node] = call
        parents[node] = [nodes[source] for source in call.sources]
        nodes |= dict.fromkeys(call.results, node)
    add_mask_operations(network, masked, nodes, parents)
    far = distances([nodes[name] for name in network.outputs], parents).by_node
    rest = [node for node in calls if node not in far]  # what no output takes comes last, and changes nothing
    return [calls[node] for node in (*sorted(far, key=lambda node: -far[node]), *rest) if node in calls]


def add_mask_operations(
    network: Network, masked: Container[str], nodes: Mapping[str, CallNode], parents: dict[CallNode, list[CallNode]]
) -> None:
    """Adds the operations by which Keras computes masks to the calls that it connects with them. `nodes` make the
    values."""
    made = _MaskOperations(network, masked, nodes, parents)
    for call in network.calls:
        if call.takes_mask:
            parents[nodes[call.name]] += [node for node in map(made.node_for, call.sources) if node is not None]


MERGE_LAYERS = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")


@dataclass
class _MaskOperations:
    """The operations by which Keras computes masks, as further calls; they stand beside the layers, in no entry."""

    network: Network
    masked: Container[str]
    nodes: Mapping[str, CallNode]
    parents: dict[CallNode, list[CallNode]]
    mask_nodes: dict[str, CallNode | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.producers = {result: call for call in self.network.calls for result in call.results}

    def node_for(self, value: str) -> CallNode | None:
        """The operation that makes the mask beside a value; None where there is none."""
        if value not in self.mask_nodes:
            self.mask_nodes[value] = self._create(value) if value in self.masked and value in self.producers else None
        return self.mask_nodes[value]

    def _create(self, value: str) -> CallNode | None:
        call = self.producers[value]
        kind = call.layer.type_name if call.layer else ""
        inputs = [self.nodes[source] for source in call.sources]
        if kind in ("Embedding", "ReversibleEmbedding"):
            return self._add_node(value, "differs", inputs)
        if kind == "Masking":
            return self._add_node(value, "any", [self._add_node(value, "differs", inputs)])
        given = [self.node_for(source) for source in call.sources]
        found = [node for node in given if node is not None]
        if kind == "Concatenate":
            return self._concatenate(value, inputs, given)
        if kind in MERGE_LAYERS:
            last = found[0]
            for number, other in enumerate(found[1:]):
                last = self._add_node(value, f"or{number}", [last, other])
            return last
        if kind in ("Attention", "AdditiveAttention"):
            return self._add_node(value, "same", found[:1])
        return found[0] if found else None

    def _concatenate(self, value: str, inputs: Sequence[CallNode], masks: Sequence[CallNode | None]) -> CallNode:
        """Masks as wide as the inputs, joined, and true where one place is."""
        parts = []
        for number, (before, mask) in enumerate(zip(inputs, masks, strict=True)):
            part = self._add_node(value, f"like{number}", [before])
            if mask is not None:
                part = self._add_node(value, f"or{number}", [self._add_node(value, f"wide{number}", [mask]), part])
            parts.append(part)
        return self._add_node(value, "any", [self._add_node(value, "joined", parts)])

    def _add_node(self, value: str, operation: str, parents: list[CallNode]) -> CallNode:
        node = f"{value}/mask/{operation}", 0
        self.parents[node] = parents
        return node
