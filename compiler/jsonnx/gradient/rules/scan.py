"""Scan: a second Scan, back in time, whose body is the derivative of the first one's.

What the derivative reads of the steps, the first Scan gives out: so nothing is computed twice. A weight's gradient is a
sum over the steps. Where a step only multiplies by it, the products of all steps are one product of all their rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...ir import Constant, Graph, Random, State, Subgraph
from ...ir.loops import add_scan_outputs, scan
from ..backward import gradients
from ..registry import RULES, Builder, Cotangents, Node, Value, vjp

ROW_WISE_OPS = {"MatMul", "Conv"}
"""Operators that treat the rows of their first operand one by one, and are linear in the second, a weight."""


@vjp("Scan")
def scan_rule(g: Builder, node: Node, *dys: Value | None) -> Cotangents:
    return ScanGradient(g, node).cotangents(dys)


@dataclass
class ScanGradient:
    """The derivative of one Scan."""

    g: Builder
    node: Node
    stacked_values: dict[Value, Value] = field(default_factory=dict)
    """Values of the body, stacked over the steps."""

    def __post_init__(self) -> None:
        formal = list(self.body.inputs.values())
        self.state_count = self.body.num_loop_inputs - int(self.node.attributes["num_scan_inputs"])
        self.state_inputs: list[Value] = list(formal[: self.state_count])
        self.slice_inputs: list[Value] = list(formal[self.state_count : self.body.num_loop_inputs])
        self.outer_inputs = self.node.inputs[self.body.num_loop_inputs :]
        inner: Sequence[Value] = formal[self.body.num_loop_inputs :]
        outside: dict[Value | None, Value | None] = dict(zip(inner, self.outer_inputs, strict=True))
        self.nodes = [n.with_inputs(outside.get(x, x) for x in n.inputs) for n in self.body.nodes]
        self.results = [outside.get(y, y) for y in self.body.outputs.values()]
        self.stacked_values |= {
            x: y for x, y in zip(self.slice_inputs, self.node.inputs[self.state_count :], strict=False) if y is not None
        }
        self.step_values = {*self.state_inputs, *self.slice_inputs, *(y for n in self.nodes for y in n.outputs)}

    @property
    def body(self) -> Subgraph:
        found: Subgraph = self.node.attributes["body"]
        return found

    def cotangents(self, dys: Sequence[Value | None]) -> list[Value | None]:
        g, count = self.g, self.state_count
        weights = [x for x in dict.fromkeys(self.outer_inputs) if x is not None and _is_differentiable(x)]
        products = {weight: self.row_products(weight) for weight in weights}
        summed = [weight for weight in weights if not products[weight]]
        taps = [n.outputs[0] for found in products.values() for n in found]
        carries = [g.zeros(y) if dy is None else dy for y, dy in zip(self.node.outputs, dys[:count], strict=False)]
        read = [index for index in range(count, len(self.node.outputs)) if dys[index] is not None]
        given: list[Value] = []

        def step(inner: Builder, states: Sequence[Value], slices: Sequence[Value]) -> tuple[list[Value], list[Value]]:
            found = self.step_cotangents(inner, states[:count], dict(zip(read, slices, strict=False)), [*summed, *taps])
            given[:] = [x for x in [*self.slice_inputs, *taps] if x in found]
            after = [found[x] if x in found else inner.zeros(x) for x in self.state_inputs]
            sums = [inner.Add(s, found[w]) if w in found else s for s, w in zip(states[count:], summed, strict=True)]
            return [*after, *sums], [found[x] for x in given]

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
        by_value = dict(zip(given, results, strict=True)) | dict(zip(summed, last[count:], strict=True))
        for weight, found in products.items():
            if found:
                by_value[weight] = self.total_weight_cotangent(
                    weight, [n for n in found if n.outputs[0] in by_value], by_value
                )  # type: ignore[assignment]
        return [*last[:count], *map(by_value.get, self.slice_inputs), *(by_value.get(x) for x in self.outer_inputs)]

    def step_cotangents(
        self, inner: Builder, states: Sequence[Value], slices: dict[int, Value], others: Sequence[Value]
    ) -> dict[Value, Value]:
        """The cotangents of what goes into a step, and of other values, from those of what comes out of it."""
        cotangents: dict[Value, Value] = {}
        for index, dy in [*enumerate(states), *slices.items()]:
            y = self.results[index]
            cotangents[y] = inner.Add(cotangents[y], dy) if y in cotangents else dy
        wanted = [*self.state_inputs, *self.slice_inputs, *others]
        return gradients(inner, Graph({}, {}, tuple(self.nodes)), cotangents, wanted)

    def stack(self, values: Sequence[Value]) -> list[Value]:
        """Values of the body for all steps; those that are not known are made further results of the Scan."""
        new = [value for value in dict.fromkeys(values) if value not in self.stacked_values]
        if new:
            nodes = self.g.nodes
            place = next(i for i, n in enumerate(nodes) if n.outputs[0] is self.node.outputs[0])
            nodes[place], results = add_scan_outputs(nodes[place], new)
            self.stacked_values |= zip(new, results, strict=True)
        return [self.stacked_values[value] for value in values]

    def row_products(self, weight: Value) -> list[Node]:
        """The nodes that multiply a step's rows by a weight; none where it is read in another way too."""
        users = [node for node in self.nodes if weight in node.inputs]
        fits = [
            node
            for node in users
            if node.op in ROW_WISE_OPS
            and node.inputs[1] is weight
            and len(node.inputs) == 2
            and node.inputs[0] in self.step_values
            and (node.op != "MatMul" or node.inputs[0].rank == weight.rank == 2)
        ]
        return fits if len(fits) == len(users) and weight not in self.results else []

    def total_weight_cotangent(
        self, weight: Value, nodes: Sequence[Node], cotangents: dict[Value, Value]
    ) -> Value | None:
        """The sum over all steps of a weight's cotangents."""
        total: Value | None = None
        for node in nodes:
            x, dy = (self.flatten_steps(value) for value in (*self.stack(node.inputs[:1]), cotangents[node.outputs[0]]))
            whole = Node(node.op, (x, weight), (Value(dy.type),), node.attributes, node.scope, node.path)
            found = RULES[node.op](self.g, whole, dy)[1]
            total = found if total is None else self.g.Add(total, found)
        return total

    def flatten_steps(self, x: Value) -> Value:
        """A value [time, batch, ...] as [time * batch, ...]."""
        time, batch, *rest = x.shape
        return self.g.reshape(x, (time * batch, *rest))


def _is_differentiable(value: Value) -> bool:
    """Whether somebody may ask for a value's gradient."""
    return not isinstance(value, (Constant, Random, State)) and value.dtype.startswith("float")
