"""Scan: a second Scan, back in time, whose body is the derivative of the first one's.

What the derivative reads of the steps, the first Scan gives out: so nothing is computed twice. A weight's gradient is a
sum over the steps. Where a step only multiplies by it, the products of all steps are one product of all their rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...ir import Body, Constant, Graph, Random, State
from ...ir.loops import more_results, scan
from ..backward import gradients
from ..registry import RULES, Builder, Cotangents, Node, Value, vjp

BY_ROWS = {"MatMul", "Conv"}
"""Operators that treat the rows of their first operand one by one, and are linear in the second, a weight."""


@vjp("Scan")
def scan_rule(g: Builder, node: Node, *dys: Value | None) -> Cotangents:
    return Backwards(g, node).run(dys)


@dataclass
class Backwards:
    """The derivative of one Scan."""

    g: Builder
    node: Node
    stacks: dict[Value, Value] = field(default_factory=dict)
    """Values of the body, stacked over the steps."""

    def __post_init__(self) -> None:
        formal = list(self.body.inputs.values())
        self.count = self.body.formal - int(self.node.attributes["num_scan_inputs"])
        self.before: list[Value] = list(formal[: self.count])
        self.parts: list[Value] = list(formal[self.count : self.body.formal])
        self.outer = self.node.inputs[self.body.formal :]
        inner: Sequence[Value] = formal[self.body.formal :]
        outside: dict[Value | None, Value | None] = dict(zip(inner, self.outer, strict=True))
        self.nodes = [n.with_inputs(outside.get(x, x) for x in n.inputs) for n in self.body.nodes]
        self.results = [outside.get(y, y) for y in self.body.outputs.values()]
        self.stacks |= {x: y for x, y in zip(self.parts, self.node.inputs[self.count :], strict=False) if y is not None}
        self.varying = {*self.before, *self.parts, *(y for n in self.nodes for y in n.outputs)}

    @property
    def body(self) -> Body:
        found: Body = self.node.attributes["body"]
        return found

    def run(self, dys: Sequence[Value | None]) -> list[Value | None]:
        g, count = self.g, self.count
        weights = [x for x in dict.fromkeys(self.outer) if x is not None and _may_be_wanted(x)]
        products = {weight: self.products(weight) for weight in weights}
        summed = [weight for weight in weights if not products[weight]]
        taps = [n.outputs[0] for found in products.values() for n in found]
        carries = [g.zeros(y) if dy is None else dy for y, dy in zip(self.node.outputs, dys[:count], strict=False)]
        read = [index for index in range(count, len(self.node.outputs)) if dys[index] is not None]
        given: list[Value] = []

        def step(inner: Builder, states: Sequence[Value], slices: Sequence[Value]) -> tuple[list[Value], list[Value]]:
            found = self.derivative(inner, states[:count], dict(zip(read, slices, strict=False)), [*summed, *taps])
            given[:] = [x for x in [*self.parts, *taps] if x in found]
            after = [found[x] if x in found else inner.zeros(x) for x in self.before]
            sums = [inner.Add(s, found[w]) if w in found else s for s, w in zip(states[count:], summed, strict=True)]
            return [*after, *sums], [found[x] for x in given]

        slices = [dys[index] for index in read] or [self.node.inputs[count]]
        last, results = scan(
            g,
            step,
            [*carries, *(g.zeros(weight) for weight in summed)],
            slices,
            reverse="scan_input_directions" not in self.node.attributes,
            varying=self.varying,
            stacked=self.stacked,
        )
        by_value = dict(zip(given, results, strict=True)) | dict(zip(summed, last[count:], strict=True))
        for weight, found in products.items():
            if found:
                by_value[weight] = self.product_of_all(weight, [n for n in found if n.outputs[0] in by_value], by_value)  # type: ignore[assignment]
        return [*last[:count], *map(by_value.get, self.parts), *(by_value.get(x) for x in self.outer)]

    def derivative(
        self, inner: Builder, states: Sequence[Value], slices: dict[int, Value], others: Sequence[Value]
    ) -> dict[Value, Value]:
        """The cotangents of what goes into a step, and of other values, from those of what comes out of it."""
        cotangents: dict[Value, Value] = {}
        for index, dy in [*enumerate(states), *slices.items()]:
            y = self.results[index]
            cotangents[y] = inner.Add(cotangents[y], dy) if y in cotangents else dy
        wanted = [*self.before, *self.parts, *others]
        return gradients(inner, Graph({}, {}, tuple(self.nodes)), cotangents, wanted)

    def stacked(self, values: Sequence[Value]) -> list[Value]:
        """Values of the body for all steps; those that are not known are made further results of the Scan."""
        new = [value for value in dict.fromkeys(values) if value not in self.stacks]
        if new:
            nodes = self.g.nodes
            place = next(i for i, n in enumerate(nodes) if n.outputs[0] is self.node.outputs[0])
            nodes[place], results = more_results(nodes[place], new)
            self.stacks |= zip(new, results, strict=True)
        return [self.stacks[value] for value in values]

    def products(self, weight: Value) -> list[Node]:
        """The nodes that multiply a step's rows by a weight; none where it is read in another way too."""
        users = [node for node in self.nodes if weight in node.inputs]
        fits = [
            node
            for node in users
            if node.op in BY_ROWS
            and node.inputs[1] is weight
            and len(node.inputs) == 2
            and node.inputs[0] in self.varying
            and (node.op != "MatMul" or node.inputs[0].rank == weight.rank == 2)
        ]
        return fits if len(fits) == len(users) and weight not in self.results else []

    def product_of_all(self, weight: Value, nodes: Sequence[Node], cotangents: dict[Value, Value]) -> Value | None:
        """The sum over all steps of a weight's cotangents."""
        total: Value | None = None
        for node in nodes:
            x, dy = (self.rows(value) for value in (*self.stacked(node.inputs[:1]), cotangents[node.outputs[0]]))
            whole = Node(node.op, (x, weight), (Value(dy.type),), node.attributes, node.scope, node.path)
            found = RULES[node.op](self.g, whole, dy)[1]
            total = found if total is None else self.g.Add(total, found)
        return total

    def rows(self, x: Value) -> Value:
        """A value [time, batch, ...] as [time * batch, ...]."""
        time, batch, *rest = x.shape
        return self.g.reshape(x, (time * batch, *rest))


def _may_be_wanted(value: Value) -> bool:
    """Whether somebody may ask for a value's gradient."""
    return not isinstance(value, (Constant, Random, State)) and value.dtype.startswith("float")
