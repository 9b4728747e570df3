"""Multiplication by constants and addition of constants go into the weights of the operators beside them.

A batch normalization by moving averages, a rescaling, a bias are all `y = x * scale + shift`. Several in a row are one.
One behind a convolution or a product with a matrix (`original`) is a change of its weights. So is one in front of them;
but zeros that a convolution pads with come after the shift, which then stays where it is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from ...ir import Constant, Graph, Node, Value
from .linear_ops import as_linear, scale_input, scale_output


@dataclass(frozen=True, eq=False)
class Affine:
    """`y = x * scale + shift`: float64 arrays of as many axes as x, that broadcast to its shape."""

    x: Value
    y: Value
    scale: np.ndarray
    shift: np.ndarray
    source: Node
    fused_count: int = 1

    @property
    def bias_name(self) -> str:
        """The name of the weight that it adds, where that is all it does."""
        only = self.fused_count == 1 and self.source.op == "Add"
        return next((x.name for x in self.source.inputs if isinstance(x, Constant)), "") if only else ""

    def nodes(self) -> list[Node]:
        """As operators: what it was, where it is still a single one."""
        if self.fused_count == 1:
            return [self.source]
        scaled, shifted = bool((self.scale != 1).any()), bool((self.shift != 0).any())
        between = Value(self.y.type) if shifted else self.y
        made = []
        if scaled or not shifted:
            made.append(self._node("Mul", self.x, self.scale, between))
        if shifted:
            made.append(self._node("Add", between if scaled else self.x, self.shift, self.y))
        return made

    def _node(self, op: str, x: Value, array: np.ndarray, y: Value) -> Node:
        return Node(op, (x, broadcast_constant(array, y)), (y,), {}, self.source.scope, self.source.path)


def broadcast_constant(array: np.ndarray, like: Value) -> Constant:
    """An operand of an element-wise operator, without leading axes of size one."""
    while array.ndim and array.shape[0] == 1:
        array = array[0]
    return Constant(like.type.with_shape(array.shape), array.astype(like.dtype))


def fold_affine(graph: Graph) -> Graph:
    """The same function, but for rounding, with all that is affine in the weights of its neighbours."""
    return AffineFolder(graph).run()


class AffineFolder:
    """One walk forwards, in which what is affine goes into what is before it, and one back for what is behind it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps: list[Node | Affine | None] = []
        self.producer_index: dict[Value, int] = {}
        self.use_counts = Counter(x for node in graph.nodes for x in node.inputs if x is not None) + Counter(
            graph.roots
        )
        self.roots = set(graph.roots)
        self.readers: dict[Value, list[int]] = {}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            self.fold_into_producer(node)
        for index, step in enumerate(self.steps):
            operands = () if step is None else [step.x] if isinstance(step, Affine) else step.inputs
            for x in operands:
                if x is not None:
                    self.readers.setdefault(x, []).append(index)
        for index in reversed(range(len(self.steps))):
            step = self.steps[index]
            if isinstance(step, Affine):
                self.fold_into_readers(index, step)
        nodes = [node for step in self.steps if step for node in (step.nodes() if isinstance(step, Affine) else [step])]
        return self.graph.with_nodes(nodes, {})

    def append(self, step: Node | Affine) -> None:
        outputs = [step.y] if isinstance(step, Affine) else step.outputs
        self.producer_index |= dict.fromkeys(outputs, len(self.steps))
        self.steps.append(step)

    def single_use_producer(self, x: Value | None) -> tuple[int, Node | Affine | None]:
        """What makes x, and where, if nobody else reads x."""
        index = self.producer_index.get(x, -1) if x is not None and self.use_counts[x] == 1 else -1
        return index, self.steps[index] if index >= 0 else None

    def fold_into_producer(self, node: Node) -> None:
        affine = as_affine(node)
        if affine is None:
            self.append(node) if not self.hoist_above_affine(node) else None
            return
        index, maker = self.single_use_producer(affine.x)
        both = compose(maker, affine) if isinstance(maker, Affine) else None
        if both is not None:
            affine = both
            self.steps[index] = None
            index, maker = self.single_use_producer(affine.x)
        if isinstance(maker, Node):
            affine_left = self.fold_into_linear(index, maker, affine)
            if affine_left is None:
                return
            affine = affine_left
        self.append(affine)

    def fold_into_linear(self, index: int, producer: Node, affine: Affine) -> Affine | None:
        """What is left of an affine function when what makes its operand has taken of it what it can."""
        found = as_linear(producer)
        change = None if found is None else scale_output(found, affine.scale, affine.shift)
        if found is None or change is None:
            return affine
        if change.includes_shift or not affine.shift.any():
            self.steps[index] = None
            self.append(change.node((affine.y,), name=affine.bias_name))
            return None
        if not (affine.scale != 1).any():
            return affine
        x = Value(affine.x.type)
        self.steps[index] = None
        self.append(change.node((x,)))
        self.use_counts[x] = 1
        return replace(affine, x=x, scale=np.ones_like(affine.scale), fused_count=2)

    def hoist_above_affine(self, node: Node) -> bool:
        """Whether the node only moved elements of what is affine, and has changed places with it."""
        index, maker = self.single_use_producer(node.inputs[0]) if node.op in ("Transpose", "Reshape") else (-1, None)
        if not isinstance(maker, Affine):
            return False
        scale, shift = (transformed_operand(array, node) for array in (maker.scale, maker.shift))
        if scale is None or shift is None:
            return False
        x = Value(maker.x.type.with_shape(node.outputs[0].shape))
        after = replace(maker, x=x, y=node.outputs[0], scale=scale, shift=shift, fused_count=2)
        if len(after.nodes()) > len(maker.nodes()):
            return False
        self.steps[index] = None
        self.append(replace(node, inputs=(maker.x, *node.inputs[1:]), outputs=(x,)))
        self.use_counts[x] = 1
        self.append(after)
        return True

    def fold_into_readers(self, index: int, affine: Affine) -> None:
        """What is affine goes into all that reads its result, if all of that can take it."""
        places = self.readers.get(affine.y, [])
        if not places or affine.y in self.roots:
            return
        changes = []
        for place in places:
            step = self.steps[place]
            found = as_linear(step) if isinstance(step, Node) else None
            change = None if found is None else scale_input(found, affine.scale, affine.shift)
            if found is None or found.x is not affine.y or change is None:
                return
            changes.append(change)
        x: Value = affine.x
        if not all(change.includes_shift for change in changes):
            shift = self.split_off_scale(affine)
            if shift is None:
                return
            x, self.steps[index] = shift.y, shift
            changes = [c for c in (scale_input(c.original, affine.scale, 0 * affine.shift) for c in changes) if c]
        else:
            self.steps[index] = None
            self.readers.setdefault(x, []).extend(places)
        for place, change in zip(places, changes, strict=True):
            self.steps[place] = change.node(change.original.node.outputs, x)

    def split_off_scale(self, affine: Affine) -> Affine | None:
        """`x * scale + shift` as `x + shift / scale`, whose scale goes on: where that leaves an operator less."""
        if len(affine.nodes()) < 2 or not affine.scale.all():
            return None
        with np.errstate(over="ignore"):
            one, shift = np.ones_like(affine.scale), affine.shift / affine.scale
        if not fits_dtype(
            affine.y, shift * 2.0**24
        ):  # training may bring a scale to almost nothing: weights times it vanish
            return None
        return replace(affine, y=Value(affine.y.type), scale=one, shift=shift, fused_count=2)


def transformed_operand(array: np.ndarray, node: Node) -> np.ndarray | None:
    """What an operand of few elements is beside the result of a Transpose or a Reshape; None where it is nothing."""
    if node.op == "Transpose":
        return array.transpose(node.attribute("perm") or range(array.ndim)[::-1])
    return array.reshape((1,) * node.outputs[0].rank) if array.size == 1 else None


def compose(first: Affine, second: Affine) -> Affine | None:
    """The one after the other; None where that takes numbers too large."""
    scale, shift = first.scale * second.scale, first.shift * second.scale + second.shift
    if not fits_dtype(second.y, scale, shift):
        return None
    return Affine(first.x, second.y, scale, shift, second.source, first.fused_count + second.fused_count)


def as_affine(node: Node) -> Affine | None:
    """What a node does to its operand, where that is affine with finite numbers."""
    if node.domain or len(node.outputs) != 1 or not node.outputs[0].dtype.startswith("float"):
        return None
    if node.op == "BatchNormalization":
        return _batch_norm_as_affine(node)
    if node.op not in ("Add", "Sub", "Mul", "Div", "Neg"):
        return None
    x, value, reverse = node.inputs[0], node.input(1), False
    if isinstance(x, Constant) and node.op != "Div":
        x, value, reverse = value, x, True
    number = np.float64(1) if node.op == "Neg" else value.array if isinstance(value, Constant) else None
    if number is None or x is None or x.type != node.outputs[0].type or isinstance(x, Constant):
        return None
    array = np.asarray(number, np.float64)
    return _finite_affine(
        node, x, *_scale_and_shift(node.op, array.reshape((1,) * (x.rank - array.ndim) + array.shape), reverse)
    )


def _scale_and_shift(op: str, c: np.ndarray, reverse: bool) -> tuple[np.ndarray, np.ndarray]:
    one, zero = np.ones_like(c), np.zeros_like(c)
    with np.errstate(all="ignore"):
        return {
            "Add": (one, c),
            "Sub": (-one, c) if reverse else (one, -c),
            "Mul": (c, zero),
            "Div": (one / c, zero),
            "Neg": (-one, zero),
        }[op]


def _batch_norm_as_affine(node: Node) -> Affine | None:
    x, *weights = node.inputs
    if x is None or x.rank < 2 or not all(isinstance(weight, Constant) for weight in weights):
        return None
    gamma, beta, mean, variance = (np.asarray(weight.array, np.float64) for weight in weights)  # type: ignore[union-attr]
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(variance + node.attribute("epsilon", 1e-5))
        shift = beta - mean * scale
    shape = (-1, *[1] * (x.rank - 2))
    return _finite_affine(node, x, scale.reshape((1, *shape)), shift.reshape((1, *shape)))


def _finite_affine(node: Node, x: Value, scale: np.ndarray, shift: np.ndarray) -> Affine | None:
    return Affine(x, node.outputs[0], scale, shift, node) if fits_dtype(x, scale, shift) else None


def fits_dtype(x: Value, *arrays: np.ndarray) -> bool:
    """Whether all are finite in the element type of x."""
    largest = float(np.finfo(x.dtype).max)
    return all(array.size and bool((np.abs(array) < largest).all()) for array in arrays)
