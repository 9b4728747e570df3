"""A gain that every channel of a gradient has goes from the image into the weights around it.

What a batch normalization sends back is `gain * dy + k * x + c`, and k and c have the gain as a factor. All that a
convolution does with it is linear: it sends back what comes through its weights, and sums up what its weights and its
bias get. So these take the gain, which is a number a channel, and the image is `dy + k' * x + c'`, a pass over it less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ...ir import Builder, Constant, Graph, Node, Value
from ..canonicalize import canonicalize

MAX_GRADIENT_NODES = 64
"""Nodes that a gradient of weights may be made of."""


MAX_PRODUCT_DEPTH = 10
"""Products within each other that are looked into."""
MAX_SUMMANDS = 8
"""Summands of an image that are looked at: a normalization sends back three, and its reader may add some."""


class Factor(NamedTuple):
    """A number for each channel or for all of them, by which something is multiplied or divided."""

    value: Value
    divides: bool = False


class Product(NamedTuple):
    """A known number times factors."""

    coefficient: float = 1.0
    factors: tuple[Factor, ...] = ()

    def times(self, other: Product) -> Product:
        return Product(self.coefficient * other.coefficient, (*self.factors, *other.factors))

    def divided_by(self, other: Product) -> Product | None:
        """What is left when all of the other is taken away; None where it is not there."""
        left = list(self.factors)
        for factor in other.factors:
            if factor not in left:
                return None
            left.remove(factor)
        return Product(self.coefficient / other.coefficient, tuple(left))

    def emit(self, g: Builder, replacements: Mapping[Value, Value], dtype: str) -> Value | None:
        """None where it is one."""
        total: Value | None = None
        for old, divides in sorted(self.factors, key=lambda factor: factor.divides):
            factor = replacements.get(old, old)
            if total is None:
                total = g.Reciprocal(factor) if divides else factor
            else:
                total = g.Div(total, factor) if divides else g.Mul(total, factor)
        if self.coefficient == 1.0:
            return total
        return g.const(self.coefficient, dtype) if total is None else g.Mul(total, self.coefficient)


class Term(NamedTuple):
    """A summand: an image times a number for each channel, or these numbers alone."""

    image: Value | None
    product: Product
    gain: Value | None = None
    """The product as it stands in the graph."""


@dataclass
class GammaFoldPlan:
    """How an image is written without its gain."""

    gain: Value
    terms: list[Term]
    scaled_value_axes: dict[Value, int] = field(default_factory=dict)
    """What takes the gain in the end, and its axis of the image's channels."""
    scaled_weight_axes: dict[Node, int] = field(default_factory=dict)
    """Nodes whose weights take it, and theirs."""


def fold_gamma_into_weights(graph: Graph) -> Graph:
    """The graph with the gains of gradients in the weights that they meet."""
    plans = GammaFoldPlanner(graph).plans()
    if not plans:
        return graph
    g = Builder.extending(replace(graph, nodes=()))
    ends = {end: (plan.gain, axis) for plan in plans.values() for end, axis in plan.scaled_value_axes.items()}
    fed = {node: (plan.gain, axis) for plan in plans.values() for node, axis in plan.scaled_weight_axes.items()}
    new: dict[Value, Value] = {}
    bare: dict[Value, Value] = {}
    for old in graph.nodes:
        node, result = old.with_inputs(None if x is None else new.get(x, x) for x in old.inputs), old.outputs[0]
        with g.inherit(old):
            if result in plans:
                new[result] = _emit_without_gain(g, plans[result], new)
                continue
            if old in fed:
                gain, axis = fed[old]
                x, weights, *others = node.inputs
                assert weights is not None
                maker = graph.producers.get(weights)
                weights = _scaled_weights(g, weights, maker, new, new.get(gain, gain), axis)
                node = node.with_inputs([x, weights, *others])
            if result not in ends:
                g.nodes.append(node)
                continue
            gain, axis = ends[result]
            bare[result] = Value(result.type)
            g.nodes.append(replace(node, outputs=(bare[result],)))
            new[result] = g.Mul(bare[result], _broadcast_gain(g, new.get(gain, gain), axis, result.rank))
    told = {bare.get(value, value): gradient for value, gradient in graph.gradients.items()}
    return canonicalize(replace(graph, gradients=told).with_nodes(g.nodes, new))


def _emit_without_gain(g: Builder, plan: GammaFoldPlan, replacements: Mapping[Value, Value]) -> Value:
    total: Value | None = None
    for term in plan.terms:
        value = term.product.emit(g, replacements, plan.gain.dtype)
        if term.image is not None:
            image = replacements.get(term.image, term.image)
            value = image if value is None else g.Mul(image, value)
        elif value is None:
            value = g.const(1.0, plan.gain.dtype)
        total = value if total is None else g.Add(total, value)
    assert total is not None
    return total


def _broadcast_gain(g: Builder, gain: Value, axis: int, rank: int) -> Value:
    """The gain beside a tensor of some rank that has its channels there."""
    return g.reshape(gain, [gain.shape[1] if place == axis else 1 for place in range(rank)])


def _scaled_weights(
    g: Builder, weights: Value, producer: Node | None, replacements: Mapping[Value, Value], gain: Value, axis: int
) -> Value:
    """The weights, which this node gives, times the gain, in the order in which they are stored."""
    if producer is None or producer.op != "Transpose" or producer.inputs[0] is None:
        return g.Mul(weights, _broadcast_gain(g, gain, axis, weights.rank))
    stored, perm = replacements.get(producer.inputs[0], producer.inputs[0]), producer.attribute("perm")
    return g.transpose(g.Mul(stored, _broadcast_gain(g, gain, perm[axis], stored.rank)), perm)


class GammaFoldPlanner:
    """Which images of a graph have a gain that all their readers can take."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.producers, self.roots = graph, graph.producers, set(graph.roots)
        self.readers: dict[Value, list[Node]] = {}
        self.node_indices = {node: place for place, node in enumerate(graph.nodes)}
        for node in graph.nodes:
            for x in dict.fromkeys(node.inputs):
                if x is not None:
                    self.readers.setdefault(x, []).append(node)
        self.weight_gradients: dict[Value, list[Value]] = {}
        for value, told in graph.gradients.items():
            if told.op == "Conv":
                self.weight_gradients.setdefault(told.dy, []).append(value)

    def plans(self) -> dict[Value, GammaFoldPlan]:
        """By the image, how to do without the gain."""
        found = {image: self.plan(image) for image in self.weight_gradients}
        return {image: plan for image, plan in found.items() if plan is not None}

    def plan(self, image: Value) -> GammaFoldPlan | None:
        terms = self.terms(image)
        gained = next((term for term in terms if self.is_gain(term)), None)
        if gained is None or gained.gain is None or len(terms) == 1 or image in self.roots:
            return None
        rest = [term.product.divided_by(gained.product) for term in terms]
        plan = GammaFoldPlan(
            gained.gain, [t._replace(product=r) for t, r in zip(terms, rest, strict=True) if r is not None]
        )
        if len(plan.terms) < len(terms):
            return None
        known = self.gradient_nodes(image, plan)
        for node in self.readers.get(image, ()):
            if _is_input_gradient(node, image) and node not in known:
                if node.input(2) is not None:
                    return None
                plan.scaled_weight_axes[node] = 0 if node.op == "ConvTranspose" else 1
            elif node.op == "ReduceSum" and _sums_all_but_channels(node, image):
                plan.scaled_value_axes[node.outputs[0]] = 1 if node.attribute("keepdims", 1) else 0
            elif node.op != "Shape" and node not in known:
                return None
        return plan

    def gradient_nodes(self, image: Value, plan: GammaFoldPlan) -> set[Node]:
        """The nodes by which gradients of weights come from the image, where these are their own."""
        found: set[Node] = set()
        for value in self.weight_gradients[image]:
            nodes = self.nodes_between(image, self.graph.gradients[value].x, value)
            if nodes is not None:
                found |= nodes
                end, axis = self.after_transposes(value)
                plan.scaled_value_axes[end] = axis
        return found

    def nodes_between(self, image: Value, x: Value, value: Value) -> set[Node] | None:
        """The nodes that lead from a cotangent to a gradient, which is made of x besides; None where these are many, or
        others read them."""
        found: dict[Node, None] = {}
        waiting = [value]
        while waiting and len(found) < MAX_GRADIENT_NODES:
            last = waiting.pop()
            node = self.producers.get(last)
            if node is not None and last is not image and last is not x and node not in found:
                found[node] = None
                waiting += [y for y in node.inputs if y is not None]
        depending = {image}
        inner = set()
        for node in sorted(found, key=self.node_indices.__getitem__) if len(found) < MAX_GRADIENT_NODES else ():
            if not depending.isdisjoint(node.inputs):
                inner.add(node)
                depending.update(node.outputs)
        between = depending - {image, value}
        if value not in depending or not self.roots.isdisjoint(between):
            return None
        return inner if all(node in inner for y in between for node in self.readers.get(y, ())) else None

    def after_transposes(self, value: Value) -> tuple[Value, int]:
        """Weights that have the channels first, as the last of the transpositions behind them gives them."""
        axis = 0
        while value not in self.roots:
            reader, *others = self.readers.get(value, [None])
            if reader is None or others or reader.op != "Transpose":
                break
            axis, value = reader.attribute("perm").index(axis), reader.outputs[0]
        return value, axis

    def terms(self, image: Value) -> list[Term]:
        """The summands of an image; itself where there are many."""
        found: list[Term] = []
        waiting = [image]
        while waiting:
            x = waiting.pop()
            node = self.producers.get(x)
            alone = x is image or (len(self.readers[x]) == 1 and x not in self.roots)
            if node is not None and node.op == "Add" and alone and x.shape == image.shape:
                waiting += [y for y in node.inputs[::-1] if y is not None]
            else:
                found.append(self.term(x, image, alone))
            if len(waiting) + len(found) > MAX_SUMMANDS:
                return [Term(image, Product())]
        return found

    def term(self, x: Value, image: Value, single_use: bool) -> Term:
        """A summand of an image; a product is looked into where nobody else reads it."""
        node = self.producers.get(x)
        if x.shape != image.shape:
            return Term(None, self.product(x))
        if node is None or not single_use or node.op != "Mul":
            return Term(x, Product())
        for many, few in (node.inputs, node.inputs[::-1]):
            if many is not None and few is not None and many.shape == x.shape and _is_per_channel(few, image):
                return Term(many, self.product(few), few)
        return Term(x, Product())

    def product(self, x: Value, depth: int = MAX_PRODUCT_DEPTH) -> Product:
        """What a number for each channel is the product of."""
        node = self.producers.get(x) if depth else None
        depth -= 1
        op, operands = (node.op, [y for y in node.inputs if y is not None]) if node is not None else ("", [])
        if isinstance(x, Constant) and x.array.size == 1:
            return Product(x.array.item())
        if op == "Mul":
            return self.product(operands[0], depth).times(self.product(operands[1], depth))
        if op == "Neg":
            return self.product(operands[0], depth).times(Product(-1.0))
        if op == "Div":
            return self.product(operands[0], depth).times(Product(1.0, (Factor(operands[1], True),)))
        return Product(1.0, (Factor(x),))

    def is_gain(self, term: Term) -> bool:
        """Whether a summand is an image times what divides nothing and is no known number."""
        number, factors = term.product
        return term.image is not None and number == 1.0 and bool(factors) and not any(f.divides for f in factors)


def _is_per_channel(x: Value, image: Value) -> bool:
    """Whether x holds one number for each channel of an image, in as many axes."""
    return x.shape == (1, image.shape[1], *[1] * (image.rank - 2))


def _is_input_gradient(node: Node, image: Value) -> bool:
    """Whether a node is a transposed convolution of an image, or what a volume has instead."""
    form = node.op == "ConvTranspose" or (node.op == "Conv" and node.attribute("group", 1) == 1)
    return form and node.inputs[0] is image and node.inputs.count(image) == 1


def _sums_all_but_channels(node: Node, image: Value) -> bool:
    """Whether a sum is over all of an image but its channels."""
    axes = node.input(1)
    every = [0, *range(2, image.rank)]
    return isinstance(axes, Constant) and sorted(int(axis) % image.rank for axis in axes.array) == every
