"""The intermediate representation: values and nodes of ONNX operators.

Values compare by identity. A pass returns a new graph, which shares unchanged nodes and values with the old one. The
package onnx_ir has similar classes, but importing it takes as long as compiling a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.random_inputs import Distribution
from ..core.types import TensorType

if TYPE_CHECKING:
    import numpy as np

JsonPath = tuple[str | int, ...]

MIN_MEAN_ELEMENTS_PER_NODE = 1024
"""Minimum output elements per node and sample, on average, of a compute-bound graph."""


class Value:
    """A tensor. Its type is the one that ONNX inferred, refined by the shape rules of layers."""

    __slots__ = ("type",)

    def __init__(self, type: TensorType) -> None:
        self.type = type

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.type.shape

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def rank(self) -> int:
        return len(self.type.shape)

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} {self.type}>"


class Input(Value):
    """A named input of the graph."""

    __slots__ = ("name",)

    def __init__(self, name: str, type: TensorType) -> None:
        super().__init__(type)
        self.name = name


class Constant(Value):
    """A constant tensor. If it was computed from a single weight, it has the name of the weight."""

    __slots__ = ("array", "name")

    def __init__(self, type: TensorType, array: np.ndarray, name: str = "") -> None:
        super().__init__(type)
        self.array, self.name = array, name


class Parameter(Value):
    """A weight that training updates by its gradient. Name, order and shape are Keras'."""

    __slots__ = ("constraint", "initializer", "input_axes", "name", "regularizer", "trainable")

    def __init__(
        self,
        name: str,
        type: TensorType,
        initializer: Any,
        regularizer: Any = None,
        constraint: Any = None,
        trainable: bool = True,
        input_axes: tuple[int, ...] | None = None,
    ) -> None:
        """`input_axes` are the axes that a product with the weight sums over, if it is a matrix from inputs to outputs;
        None for any other weight."""
        super().__init__(type)
        self.name, self.initializer, self.trainable = name, initializer, trainable
        self.regularizer, self.constraint, self.input_axes = regularizer, constraint, input_axes


class State(Value):
    """A weight without a gradient, which the forward pass updates in training, such as a moving average.

    Keras lists it after the weight that it `follows`, or else after all weights of its layer.
    """

    __slots__ = ("follows", "initializer", "name")

    def __init__(self, name: str, type: TensorType, initializer: Any, follows: str = "") -> None:
        super().__init__(type)
        self.name, self.initializer, self.follows = name, initializer, follows


class Random(Value):
    """Random numbers, an input that is drawn for every step.

    The kind `mask` is `scale` with probability `keep`, else 0; `normal` and `uniform` are `offset + scale * x`, where x
    is standard normal, or uniform from 0 to 1. The host draws them because ONNX' random operators are not reproducible.
    `seed` is the layer's seed, if the spec has one.
    """

    __slots__ = ("is_model_input", "keep", "kind", "name", "offset", "scale", "seed")

    def __init__(
        self,
        name: str,
        type: TensorType,
        kind: str,
        keep: float = 1.0,
        scale: float = 1.0,
        seed: int | None = None,
        offset: float = 0.0,
        is_model_input: bool = False,
    ) -> None:
        """`is_model_input`: whether it is an input of compiled models, too."""
        super().__init__(type)
        self.name, self.kind, self.keep, self.scale, self.seed = name, kind, keep, scale, seed
        self.offset, self.is_model_input = offset, is_model_input

    @property
    def distribution(self) -> Distribution:
        """The distribution of the kinds `normal` and `uniform`."""
        return Distribution(self.kind, self.offset, self.scale, self.seed)


class Adapter(NamedTuple):
    """A low-rank update of a frozen weight, which is trained in its place (LoRA).

    The weight, as a matrix W [inputs, outputs], becomes V = W + scale * a @ b; with a magnitude m [outputs] (DoRA),
    m * V / |V|, where |V| are the norms of its columns.
    """

    weight: Parameter
    a: Parameter
    """[inputs, rank]"""
    b: Parameter
    """[rank, outputs]"""
    scale: float
    magnitude: Parameter | None = None

    @property
    def variables(self) -> tuple[Parameter, ...]:
        """What is trained."""
        return (self.a, self.b) if self.magnitude is None else (self.a, self.b, self.magnitude)

    @property
    def input_axes(self) -> tuple[int, ...]:
        return self.weight.input_axes or ()

    @property
    def output_axes(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(self.weight.rank) if axis not in self.input_axes)


@dataclass(frozen=True, eq=False, slots=True)
class RecomputedRegion:
    """Nodes whose results the backward pass computes again from the values that they read, instead of keeping them.

    The nodes of the backward pass that compute them again, and those that read these results, are a region, too, with
    `is_backward`. Sessions that run nodes in the order of the graph run a region's nodes as they were emitted.
    """

    is_backward: bool = False


class Origin(NamedTuple):
    """The layer that the emitted nodes belong to, its path in the spec, whether gradients stop at the nodes, the region
    that they belong to, and whether gradients pass them unchanged."""

    scope: str = ""
    path: JsonPath = ()
    detached: bool = False
    region: RecomputedRegion | None = None
    straight_through: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One operator. `scope` is the layer that it belongs to, `path` the layer's path in the spec. Gradients stop at a
    `detached` node; at a `straight_through` one, the gradient of the first operand is that of the result."""

    op: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    scope: str = ""
    path: JsonPath = ()
    domain: str = ""
    detached: bool = False
    region: RecomputedRegion | None = None
    straight_through: bool = False

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def input(self, index: int) -> Value | None:
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def bodies(self) -> dict[str, Subgraph]:
        """The body of a loop, or the branches of an If, by attribute."""
        return {name: value for name, value in self.attributes.items() if isinstance(value, Subgraph)}

    def with_inputs(self, inputs: Iterable[Value | None]) -> Node:
        # faster than `replace`
        flags = self.detached, self.region, self.straight_through
        return Node(self.op, tuple(inputs), self.outputs, self.attributes, self.scope, self.path, self.domain, *flags)


@dataclass(frozen=True, eq=False, slots=True)
class GradientInfo:
    """How a value was computed that is a gradient: of the weights of a Conv, the operand of a MaxPool, or the table of
    a Gather.

    `x` is the operator's operand, for a Gather the indices; `dy` is the cotangent of its result, for a Gather one row
    for each index. Passes use this to compute the gradient in another way.
    """

    op: str
    x: Value
    dy: Value
    attributes: Mapping[str, Any]

    def remapped(self, replacements: Mapping[Value, Value]) -> GradientInfo:
        """The same with values replaced."""
        if self.x not in replacements and self.dy not in replacements:
            return self
        return replace(self, x=replacements.get(self.x, self.x), dy=replacements.get(self.dy, self.dy))


@dataclass(frozen=True, eq=False, slots=True)
class WeightUpdate:
    """The optimizer's update of a weight whose gradient has a `GradientInfo`: the gradient, the learning rate, and the
    values of `Optimizer.prepare`."""

    optimizer: Any
    gradient: Value
    rate: Value
    shared: Mapping[str, Value]

    def remapped(self, replacements: Mapping[Value, Value]) -> WeightUpdate:
        """The same with values replaced."""
        if replacements.keys().isdisjoint((self.gradient, self.rate, *self.shared.values())):
            return self
        shared = {name: replacements.get(value, value) for name, value in self.shared.items()}
        gradient, rate = replacements.get(self.gradient, self.gradient), replacements.get(self.rate, self.rate)
        return replace(self, gradient=gradient, rate=rate, shared=shared)


class LossTerm(NamedTuple):
    """A scalar that a layer adds to the loss, times its weight. A term with a name is also reported, unweighted."""

    value: Value
    weight: float = 1.0
    name: str = ""


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in topological order, and the values that are not outputs of nodes.

    `updates` are the next values of parameters and states; `losses` are terms that layers add to the loss; `masks` are,
    by output, the positions that count in a loss; `gradients` and `weight_updates` describe values and weights, for
    passes that compute them in another way; `releasing` values are computed at their position in the graph where its
    order is kept, because much larger operands end there.
    """

    inputs: Mapping[str, Input]
    outputs: Mapping[str, Value]
    nodes: tuple[Node, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    states: Mapping[str, State] = field(default_factory=dict)
    randoms: Mapping[str, Random] = field(default_factory=dict)
    updates: Mapping[str, Value] = field(default_factory=dict)
    losses: tuple[LossTerm, ...] = ()
    masks: Mapping[str, Value] = field(default_factory=dict)
    gradients: Mapping[Value, GradientInfo] = field(default_factory=dict)
    weight_updates: Mapping[str, WeightUpdate] = field(default_factory=dict)
    checked: tuple[Value, ...] = ()
    """Scalars besides the loss that are finite in every step that may update variables, such as a norm of all
    gradients."""
    releasing: frozenset[Value] = frozenset()
    adapters: Mapping[Value, Adapter] = field(default_factory=dict)
    """By the value that a lowering computes from a weight and its adapter, before any pass: the adapter."""

    @cached_property
    def producers(self) -> dict[Value, Node]:
        return {output: node for node in self.nodes for output in node.outputs}

    @cached_property
    def is_compute_bound(self) -> bool:
        """Whether computing the elements takes longer than starting the nodes.

        Estimated by the average number of elements per sample and node. Values without a batch axis, such as weight
        gradients, count as none.
        """
        shapes = [value.type.shape for node in self.nodes for value in node.outputs]
        static_sizes = [[size for size in shape if isinstance(size, int)] for shape in shapes]
        elements = sum(
            prod(static) for static, shape in zip(static_sizes, shapes, strict=True) if len(static) < len(shape)
        )
        return elements >= MIN_MEAN_ELEMENTS_PER_NODE * len(self.nodes) > 0

    @cached_property
    def recomputes(self) -> bool:
        """Whether nodes compute results again instead of keeping them in memory."""
        return any(node.region is not None for node in self.nodes)

    @property
    def roots(self) -> list[Value]:
        """The values that are read from outside the graph."""
        return [
            *self.outputs.values(),
            *self.updates.values(),
            *(term.value for term in self.losses),
            *self.masks.values(),
            *self.checked,
        ]

    @property
    def read_randoms(self) -> dict[str, Random]:
        """The random numbers that a node or a root reads."""
        read = {value for node in self.nodes for value in node.inputs}.union(self.roots)
        return {name: value for name, value in self.randoms.items() if value in read}

    def with_nodes(self, nodes: Iterable[Node], replacements: Mapping[Value, Value]) -> Graph:
        """The graph with other nodes, and with values replaced that are not outputs of nodes."""
        if not replacements:
            return replace(self, nodes=tuple(nodes))
        return replace(
            self,
            nodes=tuple(nodes),
            outputs={name: replacements.get(value, value) for name, value in self.outputs.items()},
            updates={name: replacements.get(value, value) for name, value in self.updates.items()},
            losses=tuple(term._replace(value=replacements.get(term.value, term.value)) for term in self.losses),
            masks={name: replacements.get(value, value) for name, value in self.masks.items()},
            gradients={
                replacements.get(value, value): info.remapped(replacements) for value, info in self.gradients.items()
            },
            weight_updates={name: update.remapped(replacements) for name, update in self.weight_updates.items()},
            checked=tuple(replacements.get(value, value) for value in self.checked),
            releasing=frozenset(replacements.get(value, value) for value in self.releasing),
        )


@dataclass(frozen=True, eq=False)
class Subgraph(Graph):
    """The body of a loop or the branch of an If, as an attribute of its node.

    Its inputs correspond one by one to the node's. The first `num_loop_inputs` of them change with each step;
    the others are captured values, the same at every step. So a traversal of the node's inputs finds all values that
    the body reads.
    """

    num_loop_inputs: int = 0


def reachable_nodes(nodes: Iterable[Node], roots: Iterable[Value]) -> list[Node]:
    """The nodes on which the roots depend, in their order."""
    read: set[Value | None] = set(roots)
    kept = []
    for node in reversed(list(nodes)):
        if not read.isdisjoint(node.outputs):
            kept.append(node)
            read.update(node.inputs)
    return kept[::-1]


def topologically_sorted(nodes: Iterable[Node], further_dependencies: Mapping[Node, Sequence[Node]] = {}) -> list[Node]:
    """The nodes in topological order. A node moves forward only if an earlier node depends on it: reads its outputs, or
    has it among its further dependencies.

    Raises ValueError if the nodes form a cycle.
    """
    unsorted = list(nodes)
    producers = {output: node for node in unsorted for output in node.outputs}
    begun: set[Node] = set()
    done: set[Node] = set()
    ordered: list[Node] = []
    for root in unsorted:
        stack = [root]
        while stack:
            node = stack[-1]
            missing = [p for x in node.inputs if x is not None and (p := producers.get(x)) and p not in done]
            missing += [other for other in further_dependencies.get(node, ()) if other not in done]
            if missing and node not in done:
                begun.add(node)
                if not begun.isdisjoint(missing):
                    raise ValueError(f"the nodes form a cycle: {node.op} of {node.scope!r} is part of it")
                stack += reversed(missing)
                continue
            stack.pop()
            begun.discard(node)
            if node not in done:
                done.add(node)
                ordered.append(node)
    return ordered


def node_metadata(node: Node, source: str = "") -> dict[str, str]:
    """The metadata of a node in the ONNX file: the path of its layer in the spec."""
    return {"jsonnx.path": _path_text(node.path)} if node.path else {}


@lru_cache
def _path_text(path: JsonPath) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
