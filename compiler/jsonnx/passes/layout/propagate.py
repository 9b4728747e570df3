"""Removes the transposes that channels-last layers leave around channels-first operators, by sinking them.

Every value is followed as a view: a physical value and a permutation, logical = Transpose(physical, perm). A Transpose
only composes permutations. Element-wise operators work on the physical value, operators with axes get other axes; all
others, and whoever reads the graph's results, get the logical value, transposed at most once. So between two
convolutions nothing is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.types import Dim, Size, TensorType
from ...ir import Constant, Graph, Node, Random, Value
from .permutation import Perm, View, identity, inverse, is_identity, keeps_element_order, permute

OUTPUT_ACTIVATIONS = {"Softmax", "Sigmoid"}
"""Operators that a loss may look for, to start from their input: where they make an output they stay what they are."""

LAST_AXIS_OPS = {"Softmax", "LogSoftmax", "Hardmax"}
"""Operators that are faster along the last axis: a transpose sinks through them only where it may vanish."""


Rule = Callable[["TransposePropagation", Node], bool]
"""Sinks a transpose through a node. True if the node was emitted over physical values."""


def count_transposes(graph: Graph) -> int:
    return sum(node.op == "Transpose" for node in graph.nodes)


class TransposePropagation:
    """One walk over a graph's nodes that builds another graph's."""

    def __init__(self, graph: Graph, rules: Mapping[str, Rule]) -> None:
        self.graph, self.rules = graph, rules
        self.nodes: list[Node] = []
        self.views: dict[Value, View] = {}
        self.transposed_values: dict[tuple[Value, Perm], Value] = {}
        self.randoms = dict(graph.randoms)
        self.outputs = set(graph.outputs.values())
        self.use_counts = Counter(x for node in graph.nodes for x in node.inputs if x is not None) + Counter(
            graph.roots
        )
        self.before_transpose = values_before_transposes(graph, rules)
        self.current_node: Node

    def run(self) -> Graph:
        for node in self.graph.nodes:
            self.current_node = node
            rule = None if node.domain else self.rules.get(node.op)
            if rule is None or not rule(self, node):
                self.emit_logical(node)
        new: dict[Value, Value] = {}
        for root in self.graph.roots:
            if root in self.views and root not in new:
                self.current_node = self.graph.producers[root]
                new[root] = self.logical(root)
        return replace(self.graph.with_nodes(self.nodes, new), randoms=self.randoms)

    def emit_logical(self, node: Node) -> None:
        """The node as it is, over logical values."""
        inputs = tuple(None if x is None else self.logical(x) for x in node.inputs)
        self.nodes.append(node if inputs == node.inputs else node.with_inputs(inputs))

    def emit_physical(
        self, node: Node, inputs: Sequence[Value | None], perms: Iterable[Perm], **attributes: Any
    ) -> bool:
        """The node over physical values, its results being views with these permutations; True."""
        outputs = []
        for output, perm in zip(node.outputs, perms, strict=True):
            physical = output
            if not is_identity(perm):
                physical = Value(output.type.with_shape(permute(output.shape, inverse(perm))))
                self.views[output] = View(physical, perm)
            outputs.append(physical)
        changed = {**node.attributes, **attributes}
        self.nodes.append(replace(node, inputs=tuple(inputs), outputs=tuple(outputs), attributes=changed))
        return True

    def view(self, x: Value) -> View:
        return self.views.get(x) or View(x, identity(x.rank))

    def logical(self, x: Value) -> Value:
        view = self.views.get(x)
        if view is None:
            return x
        result = self.transposed(view.physical, view.perm)
        if result.shape != x.shape:  # a shape rule may have named sizes of x that ONNX could not infer
            result.type = x.type
        return result

    def sinkable_view(self, node: Node) -> View | None:
        """The first operand where it is transposed and the node shall work on the physical value."""
        x = node.inputs[0]
        if x is None or is_identity(self.view(x).perm) or not self.is_profitable(node, [x]):
            return None
        return self.view(x)

    def is_profitable(self, node: Node, operands: Iterable[Value]) -> bool:
        """Whether transposing the node's results instead of these operands costs no more.

        It saves something where a transpose or a reduction follows, and loses nothing where an operand has no other
        reader, that would need it transposed too.
        """
        if any(output in self.before_transpose for output in node.outputs):
            return True
        held = node.op in LAST_AXIS_OPS or (node.op in OUTPUT_ACTIVATIONS and node.outputs[0] in self.outputs)
        return not held and any(self.use_counts[x] == 1 for x in operands)

    def best_layout(self, node: Node) -> Perm | None:
        """The permutation under which the operands meet with fewer new transposes than logically; None for none."""
        operands = [x for x in node.inputs if x is not None]
        rank = node.outputs[0].rank
        turned = [x for x in operands if x.rank == rank and not is_identity(self.view(x).perm)]
        if not turned or not self.is_profitable(node, turned):
            return None
        candidates = dict.fromkeys([identity(rank), *(self.view(x).perm for x in turned)])
        best = min(
            candidates,
            key=lambda perm: tuple(map(sum, zip(*(self.layout_costs(x, perm) for x in operands), strict=True))),
        )
        return None if is_identity(best) else best

    def layout_costs(self, x: Value, layout: Perm) -> tuple[bool, bool]:
        """Whether bringing an operand to a layout takes a new Transpose, and whether it takes any new node."""
        physical, perm = self.view(x).physical, self.relative_perm(x, layout)
        if (
            isinstance(physical, Constant)
            or self.can_draw_in_any_layout(x)
            or (physical, perm) in self.transposed_values
        ):
            return False, False
        if (
            keeps_element_order(padded_shape(physical, perm), perm)
            and transposed_shape(physical, perm) == physical.shape
        ):
            return False, False
        return not is_reshape(physical, perm), True

    def relative_perm(self, x: Value, layout: Perm) -> Perm:
        """How an operand's physical value is to be transposed for a layout of as many axes or more."""
        view = self.view(x)
        lead = len(layout) - x.rank
        return permute((*range(lead), *(lead + axis for axis in view.perm)), inverse(layout))

    def operand_in_layout(self, x: Value | None, layout: Perm) -> Value | None:
        """The operand of an element-wise operator whose other operands have this layout."""
        if x is None:
            return None
        perm = self.relative_perm(x, layout)
        if isinstance(x, Random) and self.can_draw_in_any_layout(x) and len(perm) == x.rank:
            drawn = Random(x.name, x.type.with_shape(permute(x.shape, perm)), x.kind, x.keep, x.scale, x.seed)
            self.randoms[x.name] = drawn
            return drawn
        return self.transposed(self.view(x).physical, perm)

    def can_draw_in_any_layout(self, x: Value) -> bool:
        """Random numbers for a single reader can as well be drawn in its layout."""
        return isinstance(x, Random) and self.use_counts[x] == 1 and self.randoms.get(x.name) is x

    def transposed(self, x: Value, perm: Perm) -> Value:
        """x transposed, made once; if perm has more axes than x, with axes of size one put in front first."""
        if keeps_element_order(padded_shape(x, perm), perm) and transposed_shape(x, perm) == x.shape:
            return x
        if (x, perm) not in self.transposed_values:
            self.transposed_values[x, perm] = self._transpose(x, perm)
        return self.transposed_values[x, perm]

    def _transpose(self, x: Value, perm: Perm) -> Value:
        if isinstance(x, Constant):
            array = x.array.reshape((1,) * (len(perm) - x.rank) + x.array.shape).transpose(perm)
            return Constant(x.type.with_shape(array.shape), array, x.name)
        if is_reshape(x, perm):
            shape = transposed_shape(x, perm)
            return self._emit(
                "Reshape", shape, x, int64_constant(-1 if isinstance(size, Size) else size for size in shape)
            )
        before = padded_shape(x, perm)
        if len(before) > x.rank:
            x = self._emit("Unsqueeze", before, x, int64_constant(range(len(before) - x.rank)))
        return self._emit("Transpose", permute(before, perm), x, perm=list(perm))

    def _emit(self, op: str, shape: tuple[Dim, ...], x: Value, *others: Value, **attributes: Any) -> Value:
        """A node of ours, on behalf of the layer that needs it."""
        result = Value(x.type.with_shape(shape))
        self.nodes.append(
            Node(op, (x, *others), (result,), attributes, self.current_node.scope, self.current_node.path)
        )
        return result


def padded_shape(x: Value, perm: Perm) -> tuple[Dim, ...]:
    """The shape of x with as many axes as the permutation."""
    return (1,) * (len(perm) - x.rank) + x.shape


def transposed_shape(x: Value, perm: Perm) -> tuple[Dim, ...]:
    """The shape of x transposed, without the leading axes of size one that go beyond its rank."""
    shape = permute(padded_shape(x, perm), perm)
    while len(shape) > x.rank and shape[0] == 1:
        shape = shape[1:]
    return shape


def is_reshape(x: Value, perm: Perm) -> bool:
    """Whether transposing x is a Reshape, which costs nothing, or less."""
    if not keeps_element_order(padded_shape(x, perm), perm):
        return False
    return transposed_shape(x, perm) == x.shape or sum(isinstance(size, Size) for size in x.shape) <= 1


def values_before_transposes(graph: Graph, rules: Mapping[str, Rule]) -> set[Value]:
    """The values from which element-wise operators and the like lead to a transpose or a reduction."""
    wanted: set[Value] = set()
    for node in reversed(graph.nodes):
        ends = node.op == "Transpose" or node.op.startswith("Reduce")
        if ends or (node.op in rules and node.op != "Shape" and any(output in wanted for output in node.outputs)):
            wanted.update(x for x in node.inputs if x is not None)
    return wanted


def int64_constant(values: Iterable[Any]) -> Constant:
    array = np.array(list(values), np.int64)
    return Constant(TensorType("int64", array.shape), array)
