"""Scan: the gradient is a second Scan, backwards in time, whose body differentiates the first body.

The first Scan also outputs the values that the derivative reads, so that nothing is computed twice. The gradient of a
weight is a sum over the steps. If the steps only multiply rows by the weight, one product of the rows of all steps
computes that sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...ir import Constant, Graph, Random, State, Subgraph
from ...ir.loops import add_scan_outputs, scan
from ..backward import gradients
from ..registry import RULES, Cotangents, GradientBuilder, Node, Value, vjp

ROW_WISE_OPS = {"MatMul", "Conv"}
"""Operators that treat the rows of their first operand independently and are linear in the second, a weight."""


@vjp("Scan")
def scan_rule(g: GradientBuilder, node: Node, *dys: Value | None) -> Cotangents:
    return ScanGradient(g, node).cotangents(dys)


@dataclass
class ScanGradient:
    """The derivative of one Scan."""

    g: GradientBuilder
    node: Node
    stacked_values: dict[Value, Value] = field(default_factory=dict)
    """Values of the body, stacked over the steps."""

    def __post_init__(self) -> None:
        body_inputs: list[Value] = list(self.body.inputs.values())
        loop_inputs = self.body.num_loop_inputs
        self.state_count = loop_inputs - int(self.node.attributes["num_scan_inputs"])
        self.state_inputs = body_inputs[: self.state_count]
        self.slice_inputs = body_inputs[self.state_count : loop_inputs]
        self.outer_inputs = self.node.inputs[loop_inputs:]
        outer: dict[Value | None, Value | None] = dict(zip(body_inputs[loop_inputs:], self.outer_inputs, strict=True))
        self.nodes = [n.with_inputs(outer.get(x, x) for x in n.inputs) for n in self.body.nodes]
        self.results = [outer.get(y, y) for y in self.body.outputs.values()]
        sequences = zip(self.slice_inputs, self.node.inputs[self.state_count :], strict=False)
        self.stacked_values |= {x: sequence for x, sequence in sequences if sequence is not None}
        self.step_values = {*self.state_inputs, *self.slice_inputs, *(y for n in self.nodes for y in n.outputs)}

    @property
    def body(self) -> Subgraph:
        body: Subgraph = self.node.attributes["body"]
        return body

    def cotangents(self, dys: Sequence[Value | None]) -> list[Value | None]:
        """The cotangents of the node's inputs.

        The states of the backward Scan are the cotangents of the states, then one running sum for each weight without
        row products. Its results are the cotangents of the slices and of the row products (`taps`).
        """
        g, count = self.g, self.state_count
        weights = [x for x in dict.fromkeys(self.outer_inputs) if x is not None and _is_differentiable(x)]
        products = {weight: self.row_products(weight) for weight in weights}
        summed = [weight for weight in weights if not products[weight]]
        taps = [node.outputs[0] for nodes in products.values() for node in nodes]
        carries = [g.zeros(y) if dy is None else dy for y, dy in zip(self.node.outputs, dys[:count], strict=False)]
        read = [index for index in range(count, len(self.node.outputs)) if dys[index] is not None]
        stacked: list[Value] = []

        def step(
            inner: GradientBuilder, states: Sequence[Value], slices: Sequence[Value]
        ) -> tuple[list[Value], list[Value]]:
            dslices = dict(zip(read, slices, strict=False))
            cotangents = self.step_cotangents(inner, states[:count], dslices, [*summed, *taps])
            stacked[:] = [x for x in [*self.slice_inputs, *taps] if x in cotangents]
            dstates = [cotangents[x] if x in cotangents else inner.zeros(x) for x in self.state_inputs]
            sums = [
                inner.Add(s, cotangents[w]) if w in cotangents else s
                for s, w in zip(states[count:], summed, strict=True)
            ]
            return [*dstates, *sums], [cotangents[x] for x in stacked]

        slices = [dys[index] for index in read] or [self.node.inputs[count]]
        last, results = scan(
            g,
            step,
            [*carries, *(g.zeros(weight) for weight in summed)],
            slices,
            reverse="scan_input_directions" not in self.node.attributes,
            step_values=self.step_values,
            stack_step_values=self.stack,
        )
        by_value = dict(zip(stacked, results, strict=True)) | dict(zip(summed, last[count:], strict=True))
        for weight, nodes in products.items():
            used = [node for node in nodes if node.outputs[0] in by_value]
            if used:
                by_value[weight] = self.total_weight_cotangent(weight, used, by_value)
        return [*last[:count], *map(by_value.get, self.slice_inputs), *(by_value.get(x) for x in self.outer_inputs)]

    def step_cotangents(
        self, inner: GradientBuilder, states: Sequence[Value], slices: dict[int, Value], others: Sequence[Value]
    ) -> dict[Value, Value]:
        """The cotangents of a step's inputs and of other values, given the cotangents of its states and, by index, its
        results."""
        cotangents: dict[Value, Value] = {}
        for index, dy in [*enumerate(states), *slices.items()]:
            y = self.results[index]
            cotangents[y] = inner.Add(cotangents[y], dy) if y in cotangents else dy
        wrt = [*self.state_inputs, *self.slice_inputs, *others]
        return gradients(inner, Graph({}, {}, tuple(self.nodes)), cotangents, wrt)

    def stack(self, values: Sequence[Value]) -> list[Value]:
        """Values of the body, stacked over all steps. Those not stacked yet become further outputs of the Scan."""
        missing = [value for value in dict.fromkeys(values) if value not in self.stacked_values]
        if missing:
            nodes = self.g.nodes
            index = next(i for i, n in enumerate(nodes) if n.outputs[0] is self.node.outputs[0])
            nodes[index], results = add_scan_outputs(nodes[index], missing)
            self.stacked_values |= zip(missing, results, strict=True)
        return [self.stacked_values[value] for value in values]

    def row_products(self, weight: Value) -> list[Node]:
        """The nodes that multiply a step's rows by a weight; none if the body uses the weight in another way, too."""
        users = [node for node in self.nodes if weight in node.inputs]
        products = [node for node in users if self._is_row_product(node, weight)]
        return products if len(products) == len(users) and weight not in self.results else []

    def _is_row_product(self, node: Node, weight: Value) -> bool:
        if node.op not in ROW_WISE_OPS or len(node.inputs) != 2 or node.inputs[1] is not weight:
            return False
        x = node.inputs[0]
        return x in self.step_values and (node.op != "MatMul" or x.rank == weight.rank == 2)

    def total_weight_cotangent(self, weight: Value, nodes: Sequence[Node], cotangents: dict[Value, Value]) -> Value:
        """The sum over all steps of a weight's cotangents, from the cotangents of the products that it is a factor
        of."""
        total: Value | None = None
        for node in nodes:
            x, dy = (self.flatten_steps(value) for value in (*self.stack(node.inputs[:1]), cotangents[node.outputs[0]]))
            all_steps = Node(node.op, (x, weight), (Value(dy.type),), node.attributes, node.scope, node.path)
            dweight = RULES[node.op](self.g, all_steps, dy)[1]
            total = dweight if total is None else self.g.Add(total, dweight)
        assert total is not None
        return total

    def flatten_steps(self, x: Value) -> Value:
        """A value [time, batch, ...] as [time * batch, ...]."""
        time, batch, *rest = x.shape
        return self.g.reshape(x, (time * batch, *rest))


def _is_differentiable(value: Value) -> bool:
    """Whether the gradient by a value can be requested."""
    return not isinstance(value, (Constant, Random, State)) and value.dtype.startswith("float")
