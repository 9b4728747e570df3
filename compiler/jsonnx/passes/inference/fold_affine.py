"""Folds affine functions with constant coefficients into the weights of linear operators.

A batch normalization by moving averages, a rescaling and a bias are all `y = x * scale + shift`. Consecutive affine
functions are composed. One behind a convolution or a product with a matrix changes the weights of that operator, and so
does one in front of it. A convolution pads its operand with zeros after the shift of a preceding affine function, so
that shift cannot be folded into a convolution with padding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from ...ir import Constant, Graph, Node, Value
from .linear_ops import LinearOp, as_linear, scale_input, scale_output, weight_name
from .shared_weights import with_single_copies


@dataclass(frozen=True, eq=False)
class Affine:
    """`y = x * scale + shift`; scale and shift are float64, have as many axes as x and broadcast to its shape.

    `source` is the last of the `fused_count` nodes that it replaces.
    """

    x: Value
    y: Value
    scale: np.ndarray
    shift: np.ndarray
    source: Node
    fused_count: int = 1

    @property
    def bias_name(self) -> str:
        """The name of the constant that it adds, if it is a single Add."""
        is_add = self.fused_count == 1 and self.source.op == "Add"
        return next((x.name for x in self.source.inputs if isinstance(x, Constant)), "") if is_add else ""

    @property
    def is_factor(self) -> bool:
        """Whether it is a product with a single number."""
        return self.scale.size == 1 and not self.shift.any()

    def nodes(self) -> list[Node]:
        """The source if nothing has been composed with it, else Mul, Add or both."""
        if self.fused_count == 1:
            return [self.source]
        has_scale, has_shift = bool((self.scale != 1).any()), bool((self.shift != 0).any())
        scaled = Value(self.y.type) if has_shift else self.y
        nodes = []
        if has_scale or not has_shift:
            nodes.append(self._node("Mul", self.x, self.scale, scaled))
        if has_shift:
            nodes.append(self._node("Add", scaled if has_scale else self.x, self.shift, self.y))
        return nodes

    def _node(self, op: str, x: Value, array: np.ndarray, y: Value) -> Node:
        return Node(op, (x, broadcast_constant(array, y)), (y,), {}, self.source.scope, self.source.path)


def broadcast_constant(array: np.ndarray, like: Value) -> Constant:
    """A constant operand for an element-wise operator, without leading axes of size one."""
    while array.ndim and array.shape[0] == 1:
        array = array[0]
    return Constant(like.type.with_shape(array.shape), array.astype(like.dtype))


MAX_SHIFT_GROWTH = 2.0**24
"""Required distance of `shift / scale` from the largest number of its type, as a factor."""


def fold_affine(graph: Graph) -> Graph:
    """Folds affine functions into the weights of the linear operators before and after them; results are rounded
    differently."""
    return with_single_copies(lambda graph, kept_weights: AffineFolder(graph, kept_weights).run(), graph)


def fold_affine_into_producers(graph: Graph) -> Graph:
    """Folds affine functions into the weights of the linear operators before them only."""
    return with_single_copies(
        lambda graph, kept_weights: AffineFolder(graph, kept_weights, into_readers=False).run(), graph
    )


class AffineFolder:
    """Folds affine functions into their producers in a walk forwards, then into their readers in a walk backwards.

    `steps` are the nodes and affine functions in their order; None stands for one that has been folded. The weights
    with the names `kept_weights` do not change.
    """

    def __init__(self, graph: Graph, kept_weights: Collection[str] = (), into_readers: bool = True) -> None:
        self.graph, self.kept_weights, self.into_readers = graph, kept_weights, into_readers
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
        if self.into_readers:
            self.fold_all_into_readers()
        nodes = [node for step in self.steps if step for node in (step.nodes() if isinstance(step, Affine) else [step])]
        return self.graph.with_nodes(nodes, {})

    def fold_all_into_readers(self) -> None:
        for index, step in enumerate(self.steps):
            operands = () if step is None else [step.x] if isinstance(step, Affine) else step.inputs
            for x in operands:
                if x is not None:
                    self.readers.setdefault(x, []).append(index)
        for index in reversed(range(len(self.steps))):
            step = self.steps[index]
            if isinstance(step, Affine):
                self.fold_into_readers(index, step)

    def as_linear(self, node: Node) -> LinearOp | None:
        """The node as a linear operator whose weights may change."""
        linear = as_linear(node)
        return None if linear is None or weight_name(linear.kernel) in self.kept_weights else linear

    def append(self, step: Node | Affine) -> None:
        outputs = [step.y] if isinstance(step, Affine) else step.outputs
        self.producer_index |= dict.fromkeys(outputs, len(self.steps))
        self.steps.append(step)

    def single_use_producer(self, x: Value | None) -> tuple[int, Node | Affine | None]:
        """The step that computes x and its index, if x is read once; else -1 and None."""
        index = self.producer_index.get(x, -1) if x is not None and self.use_counts[x] == 1 else -1
        return index, self.steps[index] if index >= 0 else None

    def fold_into_producer(self, node: Node) -> None:
        """Appends a node, or folds it into the steps before it if it is affine."""
        affine = as_affine(node)
        if affine is None:
            if not self.hoist_above_affine(node):
                self.append(node)
            return
        index, producer = self.single_use_producer(affine.x)
        composition = compose(producer, affine) if isinstance(producer, Affine) else None
        if composition is not None:
            affine = composition
            self.steps[index] = None
            index, producer = self.single_use_producer(affine.x)
        remainder = self.fold_into_linear(index, producer, affine) if isinstance(producer, Node) else affine
        if remainder is not None:
            self.append(remainder)

    def fold_into_linear(self, index: int, producer: Node, affine: Affine) -> Affine | None:
        """Folds as much as possible into the producer, which is appended anew, and returns the rest."""
        linear = self.as_linear(producer)
        reweighted = None if linear is None else scale_output(linear, affine.scale, affine.shift)
        if reweighted is None:
            return affine
        if reweighted.includes_shift or not affine.shift.any():
            self.steps[index] = None
            self.append(reweighted.node((affine.y,), name=affine.bias_name))
            return None
        if not (affine.scale != 1).any():
            return affine
        x = Value(affine.x.type)
        self.steps[index] = None
        self.append(reweighted.node((x,)))
        self.use_counts[x] = 1
        return replace(affine, x=x, scale=np.ones_like(affine.scale), fused_count=2)

    def hoist_above_affine(self, node: Node) -> bool:
        """Moves a Transpose or Reshape before the affine function that it reads, which may then be folded further.

        Returns whether that is possible. Biases stay behind their operators if they are not folded into readers.
        """
        index, affine = self.single_use_producer(node.inputs[0]) if node.op in ("Transpose", "Reshape") else (-1, None)
        if not isinstance(affine, Affine) or not (self.into_readers or affine.is_factor):
            return False
        scale, shift = (transformed_operand(array, node) for array in (affine.scale, affine.shift))
        if scale is None or shift is None:
            return False
        x = Value(affine.x.type.with_shape(node.outputs[0].shape))
        after = replace(affine, x=x, y=node.outputs[0], scale=scale, shift=shift, fused_count=2)
        if len(after.nodes()) > len(affine.nodes()):
            return False
        self.steps[index] = None
        self.append(replace(node, inputs=(affine.x, *node.inputs[1:]), outputs=(x,)))
        self.use_counts[x] = 1
        self.append(after)
        return True

    def fold_into_readers(self, index: int, affine: Affine) -> None:
        """Folds the affine function, or its scale alone, into all readers of its result if each of them can take it."""
        readers = self.readers.get(affine.y, [])
        if not readers or affine.y in self.roots:
            return
        reweighted_ops = []
        for reader in readers:
            step = self.steps[reader]
            linear = self.as_linear(step) if isinstance(step, Node) else None
            reweighted = None if linear is None else scale_input(linear, affine.scale, affine.shift)
            if linear is None or linear.x is not affine.y or reweighted is None:
                return
            reweighted_ops.append(reweighted)
        x: Value = affine.x
        if not all(reweighted.includes_shift for reweighted in reweighted_ops):
            shift = self.split_off_scale(affine)
            if shift is None:
                return
            x, self.steps[index] = shift.y, shift
            scaled_ops = (scale_input(op.original, affine.scale, 0 * affine.shift) for op in reweighted_ops)
            reweighted_ops = [op for op in scaled_ops if op is not None]
        else:
            self.steps[index] = None
            self.readers.setdefault(x, []).extend(readers)
        for reader, reweighted in zip(readers, reweighted_ops, strict=True):
            self.steps[reader] = reweighted.node(reweighted.original.node.outputs, x)

    def split_off_scale(self, affine: Affine) -> Affine | None:
        """`x + shift / scale`, whose product with the scale is the affine function; None if that saves no operator."""
        if len(affine.nodes()) < 2 or not affine.scale.all():
            return None
        with np.errstate(over="ignore"):
            one, shift = np.ones_like(affine.scale), affine.shift / affine.scale
        # Training may have shrunk a scale to almost zero; weights times such a scale underflow.
        if not fits_dtype(affine.y, shift * MAX_SHIFT_GROWTH):
            return None
        return replace(affine, y=Value(affine.y.type), scale=one, shift=shift, fused_count=2)


def transformed_operand(array: np.ndarray, node: Node) -> np.ndarray | None:
    """The scale or shift behind a Transpose or Reshape, given that before it; None if the node does not keep one."""
    if node.op == "Transpose":
        return array.transpose(node.attribute("perm") or range(array.ndim)[::-1])
    return array.reshape((1,) * node.outputs[0].rank) if array.size == 1 else None


def compose(first: Affine, second: Affine) -> Affine | None:
    """The second affine function of the result of the first; None if its coefficients exceed the element type."""
    scale, shift = first.scale * second.scale, first.shift * second.scale + second.shift
    if not fits_dtype(second.y, scale, shift):
        return None
    return Affine(first.x, second.y, scale, shift, second.source, first.fused_count + second.fused_count)


def as_affine(node: Node) -> Affine | None:
    """The node as an affine function; None if it is not affine or its coefficients are not finite."""
    if node.domain or len(node.outputs) != 1 or not node.outputs[0].dtype.startswith("float"):
        return None
    if node.op == "BatchNormalization":
        return _batch_norm_as_affine(node)
    if node.op not in ("Add", "Sub", "Mul", "Div", "Neg"):
        return None
    x, operand, is_reversed = node.inputs[0], node.input(1), False
    if isinstance(x, Constant) and node.op != "Div":
        x, operand, is_reversed = operand, x, True
    coefficient = np.float64(1) if node.op == "Neg" else operand.array if isinstance(operand, Constant) else None
    if coefficient is None or x is None or x.type != node.outputs[0].type or isinstance(x, Constant):
        return None
    c = np.asarray(coefficient, np.float64)
    c = c.reshape((1,) * (x.rank - c.ndim) + c.shape)
    return _finite_affine(node, x, *_scale_and_shift(node.op, c, is_reversed))


def _scale_and_shift(op: str, c: np.ndarray, is_reversed: bool) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients of `x op c`, or of `c op x` if reversed."""
    one, zero = np.ones_like(c), np.zeros_like(c)
    with np.errstate(all="ignore"):
        return {
            "Add": (one, c),
            "Sub": (-one, c) if is_reversed else (one, -c),
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
    """Whether no array is empty and all elements are finite in the element type of x."""
    largest = float(np.finfo(x.dtype).max)
    return all(array.size and bool((np.abs(array) < largest).all()) for array in arrays)
