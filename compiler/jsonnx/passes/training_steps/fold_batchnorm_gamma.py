"""Folds the gain of a batch normalization's gradient into the weights of the convolution before it.

The gradient of a batch normalization is `gain * dy + k * x + c`, where k and c have the factor `gain`, a number for
each channel. The convolution's gradients are linear in it: the input gradient convolves it with the weights, the
gradients of weights and bias are sums. So the gain multiplies these weights and sums instead of the image, which
becomes `dy + k' * x + c'`. That saves a pass over the image. Where the weights are larger than the image of a batch, as
in deep layers with small batches, the image keeps the gain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import NamedTuple

from ...ir import Builder, Constant, Graph, Node, Value
from ..canonicalize import canonicalize, with_replaced_inputs

MAX_GRADIENT_NODES = 64
"""Maximum number of nodes between a cotangent and a weight gradient that the plan follows."""
MAX_PRODUCT_DEPTH = 10
"""Maximum depth of nested products that are split into factors."""
MAX_SUMMANDS = 8
"""Maximum number of summands that an image is split into: a normalization's gradient has three, other readers may add
some."""


class Factor(NamedTuple):
    """A number for each channel, or one for all, that multiplies or divides."""

    value: Value
    divides: bool = False


class Product(NamedTuple):
    """A coefficient times factors."""

    coefficient: float = 1.0
    factors: tuple[Factor, ...] = ()

    def times(self, other: Product) -> Product:
        return Product(self.coefficient * other.coefficient, (*self.factors, *other.factors))

    def divided_by(self, other: Product) -> Product | None:
        """The quotient; None if this product lacks a factor of the other one."""
        factors = list(self.factors)
        for factor in other.factors:
            if factor not in factors:
                return None
            factors.remove(factor)
        return Product(self.coefficient / other.coefficient, tuple(factors))

    def emit(self, g: Builder, replacements: Mapping[Value, Value], dtype: str) -> Value | None:
        """Emits the product; None if it is 1."""
        total: Value | None = None
        for value, divides in sorted(self.factors, key=lambda factor: factor.divides):
            factor = replacements.get(value, value)
            if total is None:
                total = g.Reciprocal(factor) if divides else factor
            else:
                total = g.Div(total, factor) if divides else g.Mul(total, factor)
        if self.coefficient == 1.0:
            return total
        return g.const(self.coefficient, dtype) if total is None else g.Mul(total, self.coefficient)


class Term(NamedTuple):
    """A summand of an image: another image times a number for each channel, or such numbers alone."""

    image: Value | None
    product: Product
    gain: Value | None = None
    """The value of the product in the graph."""


@dataclass
class GammaFoldPlan:
    """The terms of an image without its gain, and the places where the gain is multiplied instead."""

    gain: Value
    terms: list[Term]
    scaled_value_axes: dict[Value, int] = field(default_factory=dict)
    """Results that are multiplied by the gain, with their axis of the image's channels."""
    scaled_weight_axes: dict[Node, int] = field(default_factory=dict)
    """Nodes whose weights are multiplied by the gain, with the weights' axis of the image's channels."""


def fold_gamma_into_weights(graph: Graph, batch_size: int) -> Graph:
    """Multiplies weights and weight gradients by the gains of batch normalization gradients, instead of images, where
    these are larger in a batch of this size."""
    has_convolutions = any(info.op == "Conv" for info in graph.gradients.values())
    plans = GammaFoldPlanner(graph, batch_size).plans() if has_convolutions else {}
    if not plans:
        return graph
    g = Builder.extending(replace(graph, nodes=()))
    scaled_values = {x: (plan.gain, axis) for plan in plans.values() for x, axis in plan.scaled_value_axes.items()}
    scaled_weights = {n: (plan.gain, axis) for plan in plans.values() for n, axis in plan.scaled_weight_axes.items()}
    replacements: dict[Value, Value] = {}
    unscaled: dict[Value, Value] = {}
    for original in graph.nodes:
        node, result = with_replaced_inputs(original, replacements), original.outputs[0]
        with g.inherit(node):
            if result in plans:
                replacements[result] = _emit_without_gain(g, plans[result], replacements)
                continue
            if original in scaled_weights:
                gain, axis = scaled_weights[original]
                x, weights, *others = node.inputs
                assert weights is not None
                producer = graph.producers.get(weights)
                gain = replacements.get(gain, gain)
                node = node.with_inputs([x, _scaled_weights(g, weights, producer, replacements, gain, axis), *others])
            if result not in scaled_values:
                g.nodes.append(node)
                continue
            gain, axis = scaled_values[result]
            unscaled[result] = Value(result.type)
            g.nodes.append(replace(node, outputs=(unscaled[result],)))
            factor = _broadcast_gain(g, replacements.get(gain, gain), axis, result.rank)
            replacements[result] = g.Mul(unscaled[result], factor)
    gradients = {unscaled.get(value, value): info for value, info in graph.gradients.items()}
    return canonicalize(replace(graph, gradients=gradients).with_nodes(g.nodes, replacements))


def _emit_without_gain(g: Builder, plan: GammaFoldPlan, replacements: Mapping[Value, Value]) -> Value:
    """Emits the sum of the plan's terms."""
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
    """The gain in a shape that broadcasts to a tensor of this rank with its channels along this axis."""
    return g.reshape(gain, [gain.shape[1] if i == axis else 1 for i in range(rank)])


def _scaled_weights(
    g: Builder, weights: Value, producer: Node | None, replacements: Mapping[Value, Value], gain: Value, axis: int
) -> Value:
    """Multiplies weights by the gain; behind a Transpose, multiplies its operand, whose order is that in memory."""
    if producer is None or producer.op != "Transpose" or producer.inputs[0] is None:
        return g.Mul(weights, _broadcast_gain(g, gain, axis, weights.rank))
    stored, perm = replacements.get(producer.inputs[0], producer.inputs[0]), producer.attribute("perm")
    return g.transpose(g.Mul(stored, _broadcast_gain(g, gain, perm[axis], stored.rank)), perm)


class GammaFoldPlanner:
    """Finds the images whose gain can be multiplied behind all of their readers instead."""

    def __init__(self, graph: Graph, batch_size: int) -> None:
        self.batch_size = batch_size
        self.graph, self.producers, self.roots = graph, graph.producers, set(graph.roots)
        self.readers: dict[Value, list[Node]] = {}
        self.node_indices = {node: index for index, node in enumerate(graph.nodes)}
        for node in graph.nodes:
            for x in dict.fromkeys(node.inputs):
                if x is not None:
                    self.readers.setdefault(x, []).append(node)
        self.weight_gradients: dict[Value, list[Value]] = {}
        for value, info in graph.gradients.items():
            if info.op == "Conv":
                self.weight_gradients.setdefault(info.dy, []).append(value)

    def plans(self) -> dict[Value, GammaFoldPlan]:
        """The plans by image."""
        images = (image for image in self.weight_gradients if not self.has_larger_weights(image))
        plans = {image: self.plan(image) for image in images}
        return {image: plan for image, plan in plans.items() if plan is not None}

    def has_larger_weights(self, image: Value) -> bool:
        """Whether the gradients of weights from an image have more elements than the images of a batch."""
        gradients = self.weight_gradients[image]
        if not image.type.is_static(*range(1, image.rank)) or not all(value.type.is_static() for value in gradients):
            return False
        return sum(prod(value.shape) for value in gradients) > self.batch_size * prod(image.shape[1:])

    def plan(self, image: Value) -> GammaFoldPlan | None:
        """The plan for one image; None if it has no gain, or a reader cannot do without it."""
        terms = self.terms(image)
        gain_term = next((term for term in terms if self.has_gain(term)), None)
        if gain_term is None or gain_term.gain is None or len(terms) == 1 or image in self.roots:
            return None
        quotients = [(term, term.product.divided_by(gain_term.product)) for term in terms]
        plan = GammaFoldPlan(
            gain_term.gain, [term._replace(product=product) for term, product in quotients if product is not None]
        )
        if len(plan.terms) < len(terms):
            return None
        weight_gradient_nodes = self.plan_weight_gradients(image, plan)
        for node in self.readers.get(image, ()):
            if node in weight_gradient_nodes:
                continue
            if _is_input_gradient(node, image):
                if node.input(2) is not None:
                    return None
                plan.scaled_weight_axes[node] = 0 if node.op == "ConvTranspose" else 1
            elif node.op == "ReduceSum" and _sums_all_but_channels(node, image):
                plan.scaled_value_axes[node.outputs[0]] = 1 if node.attribute("keepdims", 1) else 0
            elif node.op != "Shape":
                return None
        return plan

    def plan_weight_gradients(self, image: Value, plan: GammaFoldPlan) -> set[Node]:
        """Adds the image's weight gradients to the plan; returns the nodes that compute them from the image."""
        nodes: set[Node] = set()
        for value in self.weight_gradients[image]:
            nodes_between = self.nodes_between(image, self.graph.gradients[value].x, value)
            if nodes_between is not None:
                nodes |= nodes_between
                weight_gradient, axis = self.after_transposes(value)
                plan.scaled_value_axes[weight_gradient] = axis
        return nodes

    def nodes_between(self, image: Value, x: Value, value: Value) -> set[Node] | None:
        """The nodes that compute a weight gradient from the image and x; None if there are many or other nodes read
        their results."""
        nodes: dict[Node, None] = {}
        pending = [value]
        while pending and len(nodes) < MAX_GRADIENT_NODES:
            y = pending.pop()
            node = self.producers.get(y)
            if node is not None and y is not image and y is not x and node not in nodes:
                nodes[node] = None
                pending += [operand for operand in node.inputs if operand is not None]
        if len(nodes) >= MAX_GRADIENT_NODES:
            return None
        dependent_values, dependent_nodes = {image}, set()
        for node in sorted(nodes, key=self.node_indices.__getitem__):
            if not dependent_values.isdisjoint(node.inputs):
                dependent_nodes.add(node)
                dependent_values.update(node.outputs)
        inner_values = dependent_values - {image, value}
        if value not in dependent_values or not self.roots.isdisjoint(inner_values):
            return None
        readers = (node for y in inner_values for node in self.readers.get(y, ()))
        return dependent_nodes if all(node in dependent_nodes for node in readers) else None

    def after_transposes(self, value: Value) -> tuple[Value, int]:
        """The result of the Transposes behind weights that have the channels first, and its axis of channels."""
        axis = 0
        while value not in self.roots:
            reader, *others = self.readers.get(value, [None])
            if reader is None or others or reader.op != "Transpose":
                break
            axis, value = reader.attribute("perm").index(axis), reader.outputs[0]
        return value, axis

    def terms(self, image: Value) -> list[Term]:
        """The summands of an image; the image itself if there are many."""
        terms: list[Term] = []
        pending = [image]
        while pending:
            x = pending.pop()
            node = self.producers.get(x)
            has_single_use = x is image or (len(self.readers[x]) == 1 and x not in self.roots)
            if node is not None and node.op == "Add" and has_single_use and x.shape == image.shape:
                pending += [y for y in node.inputs[::-1] if y is not None]
            else:
                terms.append(self.term(x, image, has_single_use))
            if len(pending) + len(terms) > MAX_SUMMANDS:
                return [Term(image, Product())]
        return terms

    def term(self, x: Value, image: Value, has_single_use: bool) -> Term:
        """A summand of an image, split into image and product if nothing else reads it."""
        node = self.producers.get(x)
        if x.shape != image.shape:
            return Term(None, self.product(x))
        if node is None or not has_single_use or node.op != "Mul":
            return Term(x, Product())
        for factor_image, gain in (node.inputs, node.inputs[::-1]):
            if factor_image is None or gain is None or factor_image.shape != x.shape:
                continue
            if _is_per_channel(gain, image):
                return Term(factor_image, self.product(gain), gain)
        return Term(x, Product())

    def product(self, x: Value, depth: int = MAX_PRODUCT_DEPTH) -> Product:
        """Splits a value with a number for each channel into factors."""
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

    def has_gain(self, term: Term) -> bool:
        """Whether a summand is an image times factors, with neither a coefficient nor a divisor."""
        coefficient, factors = term.product
        return term.image is not None and coefficient == 1.0 and bool(factors) and not any(f.divides for f in factors)


def _is_per_channel(x: Value, image: Value) -> bool:
    """Whether x has the image's rank and one number for each of its channels."""
    return x.shape == (1, image.shape[1], *[1] * (image.rank - 2))


def _is_input_gradient(node: Node, image: Value) -> bool:
    """Whether a node is a transposed convolution of an image, or the Conv that computes the same for a volume."""
    is_convolution = node.op == "ConvTranspose" or (node.op == "Conv" and node.attribute("group", 1) == 1)
    return is_convolution and node.inputs[0] is image and node.inputs.count(image) == 1


def _sums_all_but_channels(node: Node, image: Value) -> bool:
    """Whether a ReduceSum is over all axes of an image but the channels."""
    axes = node.input(1)
    if not isinstance(axes, Constant):
        return False
    return sorted(int(axis) % image.rank for axis in axes.array) == [0, *range(2, image.rank)]
