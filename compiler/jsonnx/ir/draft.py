"""A graph under construction: the fields of `Graph` as lists and dicts that can still grow."""

from __future__ import annotations

from .graph import Adapter, GradientInfo, Graph, Input, LossTerm, Node, Parameter, Random, State, Value, WeightUpdate


class GraphDraft:
    """The mutable counterpart of `Graph`; the fields have the same names and meanings."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.inputs: dict[str, Input] = {}
        self.parameters: dict[str, Parameter] = {}
        self.states: dict[str, State] = {}
        self.randoms: dict[str, Random] = {}
        self.updates: dict[str, Value] = {}
        self.losses: list[LossTerm] = []
        self.masks: dict[str, Value] = {}
        self.gradients: dict[Value, GradientInfo] = {}
        self.weight_updates: dict[str, WeightUpdate] = {}
        self.checked: list[Value] = []
        self.releasing: set[Value] = set()
        self.adapters: dict[Value, Adapter] = {}

    def copy_fields(self, graph: Graph) -> None:
        """Copies all fields of a finished graph but its outputs."""
        self.nodes, self.losses, self.checked = list(graph.nodes), list(graph.losses), list(graph.checked)
        self.inputs, self.parameters, self.states = dict(graph.inputs), dict(graph.parameters), dict(graph.states)
        self.randoms, self.updates, self.masks = dict(graph.randoms), dict(graph.updates), dict(graph.masks)
        self.gradients, self.weight_updates = dict(graph.gradients), dict(graph.weight_updates)
        self.releasing, self.adapters = set(graph.releasing), dict(graph.adapters)

    def graph(self, outputs: dict[str, Value]) -> Graph:
        """The finished graph."""
        return Graph(
            dict(self.inputs),
            dict(outputs),
            tuple(self.nodes),
            dict(self.parameters),
            dict(self.states),
            dict(self.randoms),
            dict(self.updates),
            tuple(self.losses),
            {name: mask for name, mask in self.masks.items() if name in outputs},
            dict(self.gradients),
            dict(self.weight_updates),
            tuple(self.checked),
            frozenset(self.releasing),
            dict(self.adapters),
        )
