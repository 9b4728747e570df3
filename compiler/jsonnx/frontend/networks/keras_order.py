"""The order in which Keras runs the calls of a functional model and numbers its layers.

Keras sorts calls by depth, the greatest number of calls between a call and an output, in descending order; calls of
equal depth are in the order of a depth-first search from the outputs. The operations by which Keras computes masks
count as calls, too.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..network import Call, Network

CallNode = tuple[str, int]
"""A call: the name of its layer and the index among the layer's calls."""


class Distances(NamedTuple):
    """The depths of calls and layers, and the order in which Keras visits the layers."""

    by_node: dict[CallNode, int]
    by_layer: dict[str, int]
    visit_order: dict[str, int]
    """The position of each layer in a depth-first search from the outputs."""


def distances(outputs: Sequence[CallNode], parents: Mapping[CallNode, Sequence[CallNode]]) -> Distances:
    """The depths of all calls that outputs depend on; `parents` are the calls whose results a call takes."""
    postorder: dict[CallNode, None] = {}
    visit_order: dict[str, int] = {}
    for node in outputs:
        _visit_depth_first(node, parents, postorder, visit_order)
    node_depths: dict[CallNode, int] = {}
    layer_depths: dict[str, int] = {}
    for node in reversed(postorder):
        depth = max(node_depths.get(node, 0), layer_depths.get(node[0], 0))
        node_depths[node] = layer_depths[node[0]] = depth
        for parent in parents.get(node, ()):
            node_depths[parent] = max(depth + 1, node_depths.get(parent, 0))
    return Distances(node_depths, layer_depths, visit_order)


def _visit_depth_first(
    root: CallNode,
    parents: Mapping[CallNode, Sequence[CallNode]],
    postorder: dict[CallNode, None],
    visit_order: dict[str, int],
) -> None:
    """Appends a call to `postorder` after all calls that it depends on, which are visited in order of its inputs."""
    stack: list[tuple[CallNode, Iterator[CallNode]]] = []

    def enter(node: CallNode) -> None:
        visit_order.setdefault(node[0], len(visit_order))
        stack.append((node, iter(parents.get(node, ()))))

    if root not in postorder:
        enter(root)
    while stack:
        node, remaining_parents = stack[-1]
        parent = next((parent for parent in remaining_parents if parent not in postorder), None)
        if parent is not None:
            enter(parent)
            continue
        stack.pop()
        postorder[node] = None


def keras_call_order(network: Network, masked: Container[str]) -> list[Call]:
    """The calls in the order in which Keras runs them; `masked` are the values that have a mask in Keras."""
    nodes: dict[str, CallNode] = {name: (name, 0) for name in network.inputs}
    last_indexes: dict[str, int] = {}
    calls: dict[CallNode, Call] = {}
    parents: dict[CallNode, list[CallNode]] = {}
    for call in network.calls:
        index = last_indexes[call.owner] = last_indexes.get(call.owner, -1) + 1
        node = call.owner, index
        calls[node] = call
        parents[node] = [nodes[source] for source in call.sources]
        nodes |= dict.fromkeys(call.results, node)
    add_mask_operations(network, masked, nodes, parents)
    depths = distances([nodes[name] for name in network.outputs], parents).by_node
    unused = [node for node in calls if node not in depths]
    return [calls[node] for node in (*sorted(depths, key=lambda node: -depths[node]), *unused) if node in calls]


def add_mask_operations(
    network: Network, masked: Container[str], nodes: Mapping[str, CallNode], parents: dict[CallNode, list[CallNode]]
) -> None:
    """Adds Keras' mask operations to `parents`: nodes for the operations, and the masks that calls take.

    `nodes` are the nodes that compute the network's values.
    """
    operations = _MaskOperations(network, masked, nodes, parents)
    for call in network.calls:
        if call.takes_mask:
            mask_nodes = map(operations.node_for, call.sources)
            parents[nodes[call.name]] += [node for node in mask_nodes if node is not None]


MERGE_LAYERS = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")


@dataclass
class _MaskOperations:
    """The operations by which Keras computes masks, as nodes that belong to no entry of the spec."""

    network: Network
    masked: Container[str]
    nodes: Mapping[str, CallNode]
    parents: dict[CallNode, list[CallNode]]
    mask_nodes: dict[str, CallNode | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.producers = {result: call for call in self.network.calls for result in call.results}

    def node_for(self, value: str) -> CallNode | None:
        """The node that computes the mask of a value; None if the value has no mask."""
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
        input_masks = [self.node_for(source) for source in call.sources]
        masks = [node for node in input_masks if node is not None]
        if kind == "Concatenate":
            return self._concatenate(value, inputs, input_masks)
        if kind in MERGE_LAYERS:
            merged = masks[0]
            for number, mask in enumerate(masks[1:]):
                merged = self._add_node(value, f"or{number}", [merged, mask])
            return merged
        if kind in ("Attention", "AdditiveAttention"):
            return self._add_node(value, "same", masks[:1])
        return masks[0] if masks else None

    def _concatenate(self, value: str, inputs: Sequence[CallNode], masks: Sequence[CallNode | None]) -> CallNode:
        """The mask of a Concatenate: the input masks, broadcast to the inputs, joined and reduced by any()."""
        parts = []
        for number, (input_, mask) in enumerate(zip(inputs, masks, strict=True)):
            part = self._add_node(value, f"like{number}", [input_])
            if mask is not None:
                part = self._add_node(value, f"or{number}", [self._add_node(value, f"wide{number}", [mask]), part])
            parts.append(part)
        return self._add_node(value, "any", [self._add_node(value, "joined", parts)])

    def _add_node(self, value: str, operation: str, parents: list[CallNode]) -> CallNode:
        node = f"{value}/mask/{operation}", 0
        self.parents[node] = parents
        return node
