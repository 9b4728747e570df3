"""The base class of passes that give values of a graph a second form.

A conversion rewrites operators for another form of their operands: sequences as images, rows as blocks of columns. Its
parts are those of MLIR's dialect conversion:

- two materialisations: `emit_form` emits the second form of a plain value, `emit_plain` the plain value of a form;
- converters, one for each operator: a converter emits the operator over second forms and returns the plain results, or
  returns None, and the node stays as it is.

The second form of a value is emitted once, when the first converter asks for it. The plain value of a form is emitted
at once, since any later node may use it; if none does, `canonicalize` removes it. So a chain of converted operators
computes on second forms throughout.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from ..core.types import TensorType
from ..ir import Builder, GradientInfo, Graph, Node, Value
from .canonicalize import canonicalize, with_replaced_inputs

Results = Value | Sequence[Value] | None
"""The plain values that replace a node's outputs, or the one value; None if the node stays as it is."""


class Conversion(ABC):
    """One walk over the nodes of a graph, which builds the nodes of another one.

    A subclass may call `to_form` and `from_form` by the name of its form, such as `to_image` and `from_image`.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.g = Builder.extending(replace(graph, nodes=()))
        self.replacements: dict[Value, Value] = {}
        """The value of the new graph for each output of a converted node."""
        self.forms: dict[Value, Value] = {}
        """The second form of plain values, as far as it has been emitted."""
        self.use_counts = Counter([*(x for node in graph.nodes for x in node.inputs), *graph.roots])
        """The uses of a value by nodes and roots of the old graph; a replacement inherits the uses of the replaced
        value."""
        self.converters: Mapping[str, Callable[[Any, Node], Results]] = {}
        self.gradient_converters: Mapping[str, Callable[[Any, Node, GradientInfo], Results]] = {}

    @abstractmethod
    def emit_form(self, x: Value) -> Value:
        """Emits the second form of a plain value of the new graph."""

    @abstractmethod
    def emit_plain(self, form: Value, plain_type: TensorType) -> Value:
        """Emits the plain value of this type whose second form is given."""

    def run(
        self,
        converters: Mapping[str, Callable[[Self, Node], Results]],
        gradient_converters: Mapping[str, Callable[[Self, Node, GradientInfo], Results]] | None = None,
    ) -> Graph:
        """The graph with the nodes converted that these rules match.

        `converters` has the rules by operator, `gradient_converters` those for nodes whose output is a gradient, by the
        operator that `Graph.gradients` names.
        """
        self.converters, self.gradient_converters = converters, gradient_converters or {}
        for node in self.graph.nodes:
            self.visit(node)
        return self.finish()

    def visit(self, node: Node) -> None:
        """Converts a node of the old graph, or keeps it."""
        node = with_replaced_inputs(node, self.replacements)
        gradient_info = self.graph.gradients.get(node.outputs[0])
        if gradient_info is None and node.op not in self.converters:
            self.keep(node)
            return
        with self.g.inherit(node):
            results = self.convert(node, gradient_info and gradient_info.remapped(self.replacements))
        if results is None:
            self.keep(node)
        else:
            self.replace(node.outputs, [results] if isinstance(results, Value) else results)

    def convert(self, node: Node, gradient_info: GradientInfo | None) -> Results:
        """Applies the rule for the gradient that the node computes, then the rule for its operator."""
        rule = None if gradient_info is None else self.gradient_converters.get(gradient_info.op)
        results = None if gradient_info is None or rule is None else rule(self, node, gradient_info)
        return self.convert_operator(node) if results is None else results

    def convert_operator(self, node: Node) -> Results:
        """Applies the rule for the node's operator."""
        rule = self.converters.get(node.op) if self.is_convertible(node) else None
        return None if rule is None else rule(self, node)

    def is_convertible(self, node: Node) -> bool:
        """Whether the rules by operator apply to the node at all."""
        return not node.domain

    def keep(self, node: Node) -> None:
        """Appends a node that stays as it is."""
        self.g.nodes.append(node)

    def replace(self, outputs: Sequence[Value], results: Sequence[Value]) -> None:
        """Makes later nodes use these results instead of a node's outputs."""
        for output, result in zip(outputs, results, strict=True):
            self.replacements[output] = result
            self.use_counts[result] = self.use_counts[output]

    def finish(self) -> Graph:
        """The new graph."""
        graph = replace(self.graph, gradients=self.g.gradients)
        return canonicalize(graph.with_nodes(self.g.nodes, self.replacements))

    def __contains__(self, x: Value | None) -> bool:
        """Whether a plain value has a second form already."""
        return x in self.forms

    def current(self, x: Value) -> Value:
        """The value of the new graph for one of the old graph."""
        return self.replacements.get(x, x)

    def to_form(self, x: Value) -> Value:
        """The second form of a plain value, emitted if it does not exist yet."""
        if x not in self.forms:
            self.forms[x] = self.emit_form(x)
        return self.forms[x]

    def from_form(self, form: Value, plain_type: TensorType) -> Value:
        """The plain value of this type whose second form is given."""
        plain = self.emit_plain(form, plain_type)
        self.forms[plain] = form
        return plain
