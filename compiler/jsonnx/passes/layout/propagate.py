"""Removes the transposes that channels-last layers emit around channels-first operators.

Every value is tracked as a view: a physical value and a permutation, logical = Transpose(physical, perm). A Transpose
only composes permutations. Element-wise operators compute on physical values, and operators with axes get permuted
axes. All other operators, and the roots of the graph, use the logical value, which is transposed at most once. So no
transpose is left between two convolutions.
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
"""Operators that a loss may match, to compute from their operand. They keep their layout if they compute an output."""

LAST_AXIS_OPS = {"Softmax", "LogSoftmax", "Hardmax"}
"""Operators that are faster along the last axis: transposes sink through them only if they may cancel later."""


Rule = Callable[["TransposePropagation", Node], bool]
"""Sinks transposes through a node: emits it over physical values and returns True, or returns False."""


def count_transposes(graph: Graph) -> int:
    return sum(node.op == "Transpose" for node in graph.nodes)


class TransposePropagation:
    """One walk over the nodes of a graph, which builds the nodes of another one.

    It is a conversion of values to views, but does not derive from `Conversion`: a view costs nothing, so its two
    materialisations would be empty on one side and lazy on the other; rules emit a node with the old outputs, so that
    there are no replacements; and the result has to be compared with the graph before any other cleanup.
    """

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
        logical_roots: dict[Value, Value] = {}
        for root in self.graph.roots:
            if root in self.views and root not in logical_roots:
                self.current_node = self.graph.producers[root]
                logical_roots[root] = self.logical(root)
        return replace(self.graph.with_nodes(self.nodes, logical_roots), randoms=self.randoms)

    def emit_logical(self, node: Node) -> None:
        """Emits the node over logical values."""
        inputs = tuple(None if x is None else self.logical(x) for x in node.inputs)
        self.nodes.append(node if inputs == node.inputs else node.with_inputs(inputs))

    def emit_physical(
        self, node: Node, inputs: Sequence[Value | None], perms: Iterable[Perm], **attributes: Any
    ) -> bool:
        """Emits the node over physical values. Its outputs become views with these permutations. Returns True."""
        outputs = []
        for output, perm in zip(node.outputs, perms, strict=True):
            physical = output
            if not is_identity(perm):
                physical = Value(output.type.with_shape(permute(output.shape, inverse(perm))))
                self.views[output] = View(physical, perm)
            outputs.append(physical)
        merged_attributes = {**node.attributes, **attributes}
        self.nodes.append(replace(node, inputs=tuple(inputs), outputs=tuple(outputs), attributes=merged_attributes))
        return True

    def view(self, x: Value) -> View:
        return self.views.get(x) or View(x, identity(x.rank))

    def logical(self, x: Value) -> Value:
        """The value itself, transposed from its physical value if it is a view."""
        view = self.views.get(x)
        if view is None:
            return x
        result = self.transposed(view.physical, view.perm)
        if result.shape != x.shape:  # x may have sizes, named by a layer, that ONNX cannot infer
            result.type = x.type
        return result

    def sinkable_view(self, node: Node) -> View | None:
        """The view of the first operand, if it is transposed and sinking the transpose is profitable."""
        x = node.inputs[0]
        if x is None or is_identity(self.view(x).perm) or not self.is_profitable(node, [x]):
            return None
        return self.view(x)

    def is_profitable(self, node: Node, operands: Iterable[Value]) -> bool:
        """Whether transposing the node's results instead of these operands costs no more.

        It saves a transpose if another transpose or a reduction follows. It costs nothing if an operand has no other
        use, for which it would have to be transposed too.
        """
        if any(output in self.before_transpose for output in node.outputs):
            return True
        keeps_layout = node.op in LAST_AXIS_OPS or (node.op in OUTPUT_ACTIVATIONS and node.outputs[0] in self.outputs)
        return not keeps_layout and any(self.use_counts[x] == 1 for x in operands)

    def best_layout(self, node: Node) -> Perm | None:
        """The permutation of the operands that needs the fewest new transposes; None if it is the identity."""
        operands = [x for x in node.inputs if x is not None]
        rank = node.outputs[0].rank
        transposed = [x for x in operands if x.rank == rank and not is_identity(self.view(x).perm)]
        if not transposed or not self.is_profitable(node, transposed):
            return None
        candidates = dict.fromkeys([identity(rank), *(self.view(x).perm for x in transposed)])

        def total_costs(layout: Perm) -> tuple[int, ...]:
            return tuple(map(sum, zip(*(self.layout_costs(x, layout) for x in operands), strict=True)))

        best = min(candidates, key=total_costs)
        return None if is_identity(best) else best

    def layout_costs(self, x: Value, layout: Perm) -> tuple[bool, bool]:
        """Whether converting an operand to a layout needs a new Transpose, and whether it needs any new node."""
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
        """The permutation that transposes an operand's physical value to a layout with at least as many axes."""
        view = self.view(x)
        leading_axes = len(layout) - x.rank
        return permute((*range(leading_axes), *(leading_axes + axis for axis in view.perm)), inverse(layout))

    def operand_in_layout(self, x: Value | None, layout: Perm) -> Value | None:
        """The operand of an element-wise operator, transposed to the layout of the other operands."""
        if x is None:
            return None
        perm = self.relative_perm(x, layout)
        if isinstance(x, Random) and self.can_draw_in_any_layout(x) and len(perm) == x.rank:
            permuted = Random(x.name, x.type.with_shape(permute(x.shape, perm)), x.kind, x.keep, x.scale, x.seed)
            self.randoms[x.name] = permuted
            return permuted
        return self.transposed(self.view(x).physical, perm)

    def can_draw_in_any_layout(self, x: Value) -> bool:
        """Whether x is a random input with a single use, which may then be drawn in the layout of that use."""
        if not isinstance(x, Random) or x.is_model_input:
            return False
        return self.use_counts[x] == 1 and self.randoms.get(x.name) is x

    def transposed(self, x: Value, perm: Perm) -> Value:
        """The transpose of x, emitted once. If perm has more axes than x, leading axes of size 1 are added first."""
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
        shape = padded_shape(x, perm)
        if len(shape) > x.rank:
            x = self._emit("Unsqueeze", shape, x, int64_constant(range(len(shape) - x.rank)))
        return self._emit("Transpose", permute(shape, perm), x, perm=list(perm))

    def _emit(self, op: str, shape: tuple[Dim, ...], x: Value, *others: Value, **attributes: Any) -> Value:
        """Emits a node in the scope of the current node."""
        result = Value(x.type.with_shape(shape))
        current = self.current_node
        node = Node(op, (x, *others), (result,), attributes, current.scope, current.path, region=current.region)
        self.nodes.append(node)
        return result


def padded_shape(x: Value, perm: Perm) -> tuple[Dim, ...]:
    """The shape of x with leading axes of size 1, to as many axes as the permutation has."""
    return (1,) * (len(perm) - x.rank) + x.shape


def transposed_shape(x: Value, perm: Perm) -> tuple[Dim, ...]:
    """The shape of x transposed, without those leading axes of size 1 that exceed the rank of x."""
    shape = permute(padded_shape(x, perm), perm)
    while len(shape) > x.rank and shape[0] == 1:
        shape = shape[1:]
    return shape


def is_reshape(x: Value, perm: Perm) -> bool:
    """Whether a Reshape, or no node at all, transposes x."""
    if not keeps_element_order(padded_shape(x, perm), perm):
        return False
    return transposed_shape(x, perm) == x.shape or sum(isinstance(size, Size) for size in x.shape) <= 1


def values_before_transposes(graph: Graph, rules: Mapping[str, Rule]) -> set[Value]:
    """The values that nodes with rules lead from to a transpose or a reduction, in which a transpose may cancel."""
    values: set[Value] = set()
    for node in reversed(graph.nodes):
        may_cancel = node.op == "Transpose" or node.op.startswith("Reduce")
        leads_on = node.op in rules and node.op != "Shape" and any(output in values for output in node.outputs)
        if may_cancel or leads_on:
            values.update(x for x in node.inputs if x is not None)
    return values


def int64_constant(values: Iterable[Any]) -> Constant:
    array = np.array(list(values), np.int64)
    return Constant(TensorType("int64", array.shape), array)
