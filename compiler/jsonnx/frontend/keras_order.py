"""The order in which Keras runs the calls of a functional model, and numbers its layers.

Calls farther from the outputs come first: the distance is the greatest number of calls in between. Those equally far
come in the order in which they are met. Masks, which Keras computes by operations of its own, are on some of the ways.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .network import Call, Network

Node = tuple[str, int]
"""A call: whose, and which of its calls."""


class Distances(NamedTuple):
    """How far from the outputs calls and layers are; the calls in the order in which Keras comes to know of them."""

    of_node: dict[Node, int]
    of_layer: dict[str, int]
    met: dict[str, int]
    """The layers in the order in which a walk back from the outputs meets them."""


def distances(outputs: Sequence[Node], parents: Mapping[Node, Sequence[Node]]) -> Distances:
    """The distances of all calls that outputs depend on; `parents` are the calls whose results one takes."""
    done: dict[Node, None] = {}  # in the order in which they are done
    met: dict[str, int] = {}
    for node in outputs:
        _walk(node, parents, done, met)
    of_node: dict[Node, int] = {}
    of_layer: dict[str, int] = {}
    for node in reversed(done):
        depth = max(of_node.get(node, 0), of_layer.get(node[0], 0))
        of_node[node] = of_layer[node[0]] = depth
        for before in parents.get(node, ()):
            of_node[before] = max(depth + 1, of_node.get(before, 0))
    return Distances(of_node, of_layer, met)


def _walk(last: Node, parents: Mapping[Node, Sequence[Node]], done: dict[Node, None], met: dict[str, int]) -> None:
    """Adds a call to those that are done after all that it depends on, in the order of its inputs."""
    stack: list[tuple[Node, Iterator[Node]]] = []

    def enter(node: Node) -> None:
        met.setdefault(node[0], len(met))
        stack.append((node, iter(parents.get(node, ()))))

    if last not in done:
        enter(last)
    while stack:
        node, rest = stack[-1]
        following = next((before for before in rest if before not in done), None)
        if following is not None:
            enter(following)
            continue
        stack.pop()
        done[node] = None


def in_running_order(network: Network, masked: Container[str]) -> list[Call]:
    """The calls as Keras runs them; `masked` are the values with a mask beside them as the model is made."""
    nodes: dict[str, Node] = {name: (name, 0) for name in network.inputs}
    counts: dict[str, int] = {}
    calls: dict[Node, Call] = {}
    parents: dict[Node, list[Node]] = {}
    for call in network.calls:
        number = counts[call.owner] = counts.get(call.owner, -1) + 1
        node = call.owner, number
        calls[node] = call
        parents[node] = [nodes[source] for source in call.sources]
        nodes |= dict.fromkeys(call.results, node)
    add_masks(network, masked, nodes, parents)
    far = distances([nodes[name] for name in network.outputs], parents).of_node
    rest = [node for node in calls if node not in far]  # what no output takes comes last, and changes nothing
    return [calls[node] for node in (*sorted(far, key=lambda node: -far[node]), *rest) if node in calls]


def add_masks(
    network: Network, masked: Container[str], nodes: Mapping[str, Node], parents: dict[Node, list[Node]]
) -> None:
    """Adds the operations by which Keras computes masks to the calls that it connects with them. `nodes` make the
    values."""
    made = _Masks(network, masked, nodes, parents)
    for call in network.calls:
        if call.takes_mask:
            parents[nodes[call.name]] += [node for node in map(made.of, call.sources) if node is not None]


MERGES = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")


@dataclass
class _Masks:
    """The operations by which Keras computes masks, as further calls; they stand beside the layers, in no entry."""

    network: Network
    masked: Container[str]
    nodes: Mapping[str, Node]
    parents: dict[Node, list[Node]]
    known: dict[str, Node | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.makers = {result: call for call in self.network.calls for result in call.results}

    def of(self, value: str) -> Node | None:
        """The operation that makes the mask beside a value; None where there is none."""
        if value not in self.known:
            self.known[value] = self._made(value) if value in self.masked and value in self.makers else None
        return self.known[value]

    def _made(self, value: str) -> Node | None:
        call = self.makers[value]
        kind = call.layer.type_name if call.layer else ""
        inputs = [self.nodes[source] for source in call.sources]
        if kind in ("Embedding", "ReversibleEmbedding"):
            return self._node(value, "differs", inputs)
        if kind == "Masking":
            return self._node(value, "any", [self._node(value, "differs", inputs)])
        given = [self.of(source) for source in call.sources]
        found = [node for node in given if node is not None]
        if kind == "Concatenate":
            return self._joined(value, inputs, given)
        if kind in MERGES:
            last = found[0]
            for number, other in enumerate(found[1:]):
                last = self._node(value, f"or{number}", [last, other])
            return last
        if kind in ("Attention", "AdditiveAttention"):
            return self._node(value, "same", found[:1])
        return found[0] if found else None

    def _joined(self, value: str, inputs: Sequence[Node], given: Sequence[Node | None]) -> Node:
        """Masks as wide as the inputs, joined, and true where one place is."""
        parts = []
        for number, (before, mask) in enumerate(zip(inputs, given, strict=True)):
            part = self._node(value, f"like{number}", [before])
            if mask is not None:
                part = self._node(value, f"or{number}", [self._node(value, f"wide{number}", [mask]), part])
            parts.append(part)
        return self._node(value, "any", [self._node(value, "joined", parts)])

    def _node(self, value: str, what: str, before: list[Node]) -> Node:
        node = f"{value}/mask/{what}", 0
        self.parents[node] = before
        return node
