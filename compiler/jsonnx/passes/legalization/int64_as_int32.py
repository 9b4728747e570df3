"""Computes integers in int32 where the target has no kernel for int64.

Inputs and counters become int32: a trainer refuses data that do not fit, and a counter is exact up to 2^31 - 1. Outputs
keep their type, and integers that come from shapes or texts are computed on the CPU in int64.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ...ir import Builder, Constant, Graph, Node, State, Subgraph, Value, onnx_dtype
from ...ir.graph import Input
from ..canonicalize import with_replaced_inputs
from .one_hot_as_equal import first_maximum
from .rules import TargetContext, forms

V = TypeVar("V", bound=Value)
WIDE, NARROW = "int64", "int32"
ALL_OPERANDS: tuple[int, ...] = ()
INTEGER_OPERANDS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Clip", "Concat", "Range", "Sum"), ALL_OPERANDS),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), ALL_OPERANDS),
    **dict.fromkeys(("Abs", "Neg", "Sign", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Expand"), (0,)),
    **dict.fromkeys(("Tile", "Slice", "Gather", "Flatten", "ReduceMax", "ReduceMin", "ReduceSum", "Identity"), (0,)),
    "Where": (1, 2),
}
"""By operator that may compute in int32: the operands whose type changes. Pow is excluded: an int32 exponent has a
kernel on a GPU, but the result has a rounding error that `power_of_count` avoids."""

INDEX_OPERANDS = {"Gather": 1, "GatherElements": 1}
"""By operator whose kernels take int32 or int64 indices: the operand that has them."""


class _Narrowing:
    """The graph under construction, and the int32 counterparts of values."""

    def __init__(self, graph: Graph, context: TargetContext) -> None:
        self.graph, self.context = graph, context
        self.g = Builder.extending(graph)
        self.g.nodes = []
        self.narrowed: dict[Value, Value] = {}
        """By int64 value: the same in int32."""
        self.replacements: dict[Value, Value] = {}
        """By output of a Cast to int32 that is not needed: the value in its place."""
        self.missing: set[Value] = set()
        """Int64 values that are only there in int32 so far."""
        self.is_changed = False
        self.scatter_indices = {node.inputs[1] for node in graph.nodes if node.op == "ScatterND"}
        """Indices that are int64 in every kernel. They are computed from inputs, and stay on the CPU."""
        self.inputs = {name: self._input(x) for name, x in graph.inputs.items()}
        self.states = {name: self._state(x) for name, x in graph.states.items()}

    def _input(self, x: Input) -> Input:
        if isinstance(self.graph, Subgraph) or not self._lacks_wide(x):
            return x
        return self._replaced(x, Input(x.name, x.type.with_dtype(NARROW)))

    def _state(self, x: State) -> State:
        if x.rank or x.name not in self.graph.updates or not self._lacks_wide(x):
            return x
        return self._replaced(x, State(x.name, x.type.with_dtype(NARROW), x.initializer, x.follows))

    def _lacks_wide(self, x: Value) -> bool:
        """Whether a value is of int64, and the target cannot add such values."""
        return x.dtype == WIDE and self.context.lacks_kernel(Node("Add", (x, x), (x,)))

    def _replaced(self, wide: Value, narrow: V) -> V:
        self.narrowed[wide] = narrow
        self.missing.add(wide)
        self.is_changed = True
        return narrow

    # -- values ------------------------------------------------------------------------------------------------------

    def narrow(self, x: Value) -> Value:
        """A value in int32."""
        if x.dtype != WIDE:
            return x
        if isinstance(x, Constant):
            return self.g.const(x.array, NARROW)
        if x not in self.narrowed:
            self.narrowed[x] = self._new_narrow(x)
        return self.narrowed[x]

    def _new_narrow(self, x: Value) -> Value:
        producer = self.graph.producers.get(x)
        source = producer.inputs[0] if producer is not None else None
        if producer is not None and producer.op == "Range":  # a Cast of it would keep it on the CPU
            return self.g.Range(*(self.narrow(operand) for operand in producer.inputs if operand is not None))
        if producer is None or source is None or x in self.context.host_values:
            return self.g.cast(x, NARROW)
        if producer.op == "Cast":
            return self.g.cast(self.replacements.get(source, source), NARROW)
        if producer.op in ("ArgMax", "ArgMin") and not producer.attribute("select_last_index", 0):
            keepdims, axis = bool(producer.attribute("keepdims", 1)), producer.attribute("axis", 0)
            return first_maximum(self.g, source, producer.op, axis, keepdims)
        return self.g.cast(x, NARROW)

    def require_wide(self, x: Value | None) -> None:
        """Emits the int64 value of a value that is only there in int32."""
        if x is not None and x in self.missing:
            self.missing.discard(x)
            self.g.nodes.append(Node("Cast", (self.narrowed[x],), (x,), {"to": onnx_dtype(WIDE)}))

    # -- nodes -------------------------------------------------------------------------------------------------------

    def add(self, node: Node) -> None:
        """Adds a node of the graph, in int32 if it has no kernel otherwise."""
        node = with_replaced_inputs(node, self.replacements)
        operands = self._wide_operands(node)
        with self.g.inherit(node):
            for index, x in enumerate(node.inputs):
                if index not in operands:
                    self.require_wide(x)
            if operands:
                self._add_narrow(node, operands)
            else:
                self.g.nodes.append(node)

    def _wide_operands(self, node: Node) -> set[int]:
        """The indices of the operands that become int32; empty if the node stays as it is."""
        is_widening = node.op == "Cast" and node.outputs[0].dtype == WIDE  # its readers take the value that is cast
        is_scatter_index = node.outputs[0] in self.scatter_indices
        needs_form = node.op in INTEGER_OPERANDS and not node.domain and self.context.needs_form(node)
        if is_widening or is_scatter_index or not needs_form:
            return self._index_operands(node)
        positions = INTEGER_OPERANDS[node.op] or range(len(node.inputs))
        candidates = {index: x for index, x in enumerate(node.inputs) if index in positions}
        wide = {index: x for index, x in candidates.items() if x is not None and x.dtype == WIDE}
        fit = all(_fits(x) for x in wide.values())
        return {*wide} if fit and self._is_possible(node, wide.keys()) else set()

    def _index_operands(self, node: Node) -> set[int]:
        """The operand with indices of a node that has a kernel, if the indices are there in int32."""
        index = INDEX_OPERANDS.get(node.op)
        x = None if index is None else node.inputs[index]
        if index is None or x is None or x.dtype != WIDE or x in self.context.host_values:
            return set()
        producer = self.graph.producers.get(x)
        is_cast = producer is not None and producer.op == "Cast" and self.context.needs_form(producer)
        return {index} if is_cast or x in self.narrowed else set()

    def _is_possible(self, node: Node, operands: Collection[int]) -> bool:
        """Whether the node in int32 has a kernel, or a rule that writes it by other operators."""
        inputs = (_in_int32(x) if x and index in operands else x for index, x in enumerate(node.inputs))
        converted = replace(node, inputs=tuple(inputs), outputs=tuple(map(_in_int32, node.outputs)))
        return node.op in forms.operators or not self.context.lacks_kernel(converted)

    def _add_narrow(self, node: Node, operands: Collection[int]) -> None:
        self.is_changed = True
        inputs = [self.narrow(x) if x and index in operands else x for index, x in enumerate(node.inputs)]
        if node.op == "Cast" and node.outputs[0].dtype == NARROW:
            self.replacements[node.outputs[0]] = inputs[0]  # type: ignore[assignment]
            return
        outputs = [self._replaced(x, _in_int32(x)) if x.dtype == WIDE else x for x in node.outputs]
        self.g.nodes.append(replace(node, inputs=tuple(inputs), outputs=tuple(outputs)))

    def finish(self) -> Graph:
        """The graph, in which outputs keep their types."""
        counters = {name for name, state in self.states.items() if state is not self.graph.states[name]}
        updates = {name: self.narrow(x) if name in counters else x for name, x in self.graph.updates.items()}
        graph = replace(self.graph, inputs=self.inputs, states=self.states, updates=updates)
        for root in graph.roots:
            self.require_wide(root)
        return graph.with_nodes(self.g.nodes, self.replacements)


def _fits(x: Value) -> bool:
    """Whether int32 contains the elements of a value, if it is a constant."""
    return not isinstance(x, Constant) or bool(np.array_equal(x.array, x.array.astype(np.int32)))


def _in_int32(x: Value) -> Value:
    """A new value of the same shape."""
    return Value(x.type.with_dtype(NARROW)) if x.dtype == WIDE else x


def compute_in_int32(graph: Graph, context: TargetContext) -> Graph:
    """Computes integers in int32 where int64 has no kernel."""
    narrowing = _Narrowing(graph, context)
    for node in graph.nodes:
        narrowing.add(node)
    return narrowing.finish() if narrowing.is_changed else graph
