"""The order of a functional model's layers, by which Keras numbers them in a file of weights.

Layers farther from the outputs come first: the distance is the greatest number of calls in between. Those equally far
come in the order in which a walk back from the outputs meets them. Masks, which Keras computes by operations of its
own, are on some of the ways.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....bricks import Json
from ....frontend.network import Network

Node = tuple[str, int]
"""A call: whose, and which of its calls."""


def in_keras_order(
    entries: Mapping[str, Json],
    outputs: Sequence[str],
    nodes: Mapping[str, Node],
    network: Network,
    masks: Container[str],
) -> list[str]:
    """The names of all layers and operations, in Keras' order. `nodes` are the calls that make the values."""
    parents = {
        (name, number): list(dict.fromkeys((of, at) for of, at, _ in histories([call["args"], call["kwargs"]])))
        for name, entry in entries.items()
        for number, call in enumerate(entry["inbound_nodes"])
    }
    made = _Masks(network, masks, nodes, parents)
    for call in network.calls:
        if call.layer is not None and call.layer.reads_masks:
            parents[nodes[call.name]] += [node for node in map(made.of, call.sources) if node is not None]
    done: list[Node] = []
    met: dict[str, int] = {}
    for name in outputs:
        _walk(nodes[name], parents, done, met)
    of_node: dict[Node, int] = {}
    of_layer: dict[str, int] = {}
    for node in reversed(done):
        depth = max(of_node.get(node, 0), of_layer.get(node[0], 0))
        of_node[node] = of_layer[node[0]] = depth
        for before in parents.get(node, ()):
            of_node[before] = max(depth + 1, of_node.get(before, 0))
    return sorted(of_layer.keys() & entries.keys(), key=lambda name: (-of_layer[name], met[name]))


@dataclass
class _Masks:
    """The operations by which Keras computes masks, as further calls; they stand beside the layers, in no entry."""

    network: Network
    masks: Container[str]
    nodes: Mapping[str, Node]
    parents: dict[Node, list[Node]]
    known: dict[str, Node | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.makers = {result: call for call in self.network.calls for result in call.results}

    def of(self, value: str) -> Node | None:
        """The operation that makes the mask beside a value; None where there is none."""
        if value not in self.known:
            self.known[value] = self._made(value) if value in self.masks and value in self.makers else None
        return self.known[value]

    def _made(self, value: str) -> Node | None:
        call = self.makers[value]
        kind = call.layer.type_name if call.layer else ""
        inputs = [self.nodes[source] for source in call.sources]
        if kind == "Embedding":
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


MERGES = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")


def _walk(last: Node, parents: Mapping[Node, list[Node]], done: list[Node], met: dict[str, int]) -> None:
    """Adds a call to those that are done after all that it depends on, in the order of its inputs."""
    finished = set(done)
    stack: list[tuple[Node, Iterator[Node]]] = []

    def enter(node: Node) -> None:
        met.setdefault(node[0], len(met))
        stack.append((node, iter(parents.get(node, ()))))

    if last not in finished:
        enter(last)
    while stack:
        node, rest = stack[-1]
        following = next((before for before in rest if before not in finished), None)
        if following is not None:
            enter(following)
            continue
        stack.pop()
        finished.add(node)
        done.append(node)


def histories(value: Json) -> Iterator[list[Any]]:
    """Where the values among the arguments of a call come from, in the order in which Keras counts them."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value["config"]["keras_history"]
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from histories(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from histories(item)
