"""Rewrite rules: functions that replace the nodes which match a pattern.

A rule is registered under the operators that it matches. Its docstring states the pattern and the result:

    simplification = RuleSet()

    @simplification("Pad")
    def remove_empty_pad(m: Match) -> Value | None:
        \"""Pad(x, zeros) -> x\"""
        pads = m.node.inputs[1]
        return m.node.inputs[0] if isinstance(pads, Constant) and not pads.array.any() else None

`simplification.apply(graph)` is the pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from ..ir import Builder, GradientInfo, Graph, Node, Value
from .canonicalize import canonicalize, with_replaced_inputs

Rewritten = Node | Value | Sequence[Value] | None
"""A node with the same outputs, values that replace the outputs, or None if the node does not match the pattern."""
Rule = Callable[["Match"], Rewritten]


class Match:
    """The node that a rule is applied to, and the graph around it.

    `g` appends nodes before that node; `context` is what the caller of `RuleSet.apply` passes to its rules.
    """

    node: Node
    """The node, reading the replacements of the values that rules have replaced."""

    def __init__(self, graph: Graph, context: Any) -> None:
        self.graph, self.context = graph, context
        self.g = Builder.extending(graph)
        self.g.nodes = []
        self.replacements: dict[Value, Value] = {}
        """By output: the value that replaces it. A rule may add the output of a later node, which is then removed."""
        self.cache: dict[Any, Value] = {}
        """Values that several matches share, by a key that the rule defines."""
        self._producers: dict[Value, Node] = {}
        self._indexed_nodes = 0

    def producer(self, x: Value | None) -> Node | None:
        """The node that computes x in the rewritten graph."""
        for node in self.g.nodes[self._indexed_nodes :]:
            for output in node.outputs:
                self._producers[output] = node
        self._indexed_nodes = len(self.g.nodes)
        return None if x is None else self._producers.get(x)

    def original_producer(self, x: Value | None) -> Node | None:
        """The node that computes x in the graph before the pass; None for a value that a rule has emitted."""
        return None if x is None else self.graph.producers.get(x)

    @cached_property
    def use_counts(self) -> Counter[Value | None]:
        """Reads of each value in the graph before the pass, the graph's results included."""
        return Counter([*(x for node in self.graph.nodes for x in node.inputs), *self.graph.roots])

    @cached_property
    def single_readers(self) -> dict[Value | None, Node]:
        """By value: the node that reads it, if that is its only use."""
        return {x: node for node in self.graph.nodes for x in node.inputs if self.use_counts[x] == 1}

    @property
    def gradient_info(self) -> GradientInfo | None:
        """The gradient info of the node's first output."""
        info = self.graph.gradients.get(self.node.outputs[0])
        return None if info is None else info.remapped(self.replacements)


class RuleSet:
    """The rules of one pass; calling it with operators registers a rule."""

    def __init__(self, cleanup: Callable[[Graph], Graph] | None = canonicalize) -> None:
        self._cleanup = cleanup
        self._rules: dict[str, list[Rule]] = {}

    def __call__(self, *operators: str) -> Callable[[Rule], Rule]:
        def register(rule: Rule) -> Rule:
            for operator in operators:
                self._rules.setdefault(operator, []).append(rule)
            return rule

        return register

    @property
    def operators(self) -> Collection[str]:
        """The operators that rules match."""
        return self._rules.keys()

    def apply(self, graph: Graph, context: Any = None) -> Graph:
        """Visits each node once and rewrites it by the first rule that matches; returns the graph itself if none does.

        Rules match operators of the ONNX domain only.
        """
        if self._rules.keys().isdisjoint([node.op for node in graph.nodes]):
            return graph
        m = Match(graph, context)
        nodes, replacements = m.g.nodes, m.replacements
        is_rewritten = False
        for node in graph.nodes:
            if replacements:
                if node.outputs[0] in replacements:
                    continue
                node = with_replaced_inputs(node, replacements)
            rules = self._rules.get(node.op)
            if rules is None or node.domain:
                nodes.append(node)
                continue
            m.node = node
            rewritten = _first_result(rules, m)
            is_rewritten |= rewritten is not None
            if rewritten is None or isinstance(rewritten, Node):
                nodes.append(rewritten or node)
            else:
                values = [rewritten] if isinstance(rewritten, Value) else rewritten
                replacements |= zip(node.outputs, values, strict=True)
        if not is_rewritten:
            return graph
        result = replace(graph, states=m.g.states, gradients=m.g.gradients).with_nodes(m.g.nodes, m.replacements)
        return result if self._cleanup is None else self._cleanup(result)


def _first_result(rules: Sequence[Rule], m: Match) -> Rewritten:
    """What the first rule that matches returns."""
    with m.g.inherit(m.node):
        for rule in rules:
            rewritten = rule(m)
            if rewritten is not None:
                return rewritten
    return None
