"""The graph: values and nodes of ONNX operators, small enough to rewrite freely.

onnx_ir would serve, but importing it takes 0.5 s (it brings sympy), as long as compiling a ResNet-50 may take; a value
and a node are two classes of ours. Values compare by identity. A pass makes a new graph; nodes and values that did not
change are shared between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from ..core.types import TensorType

if TYPE_CHECKING:
    import numpy as np

JsonPath = tuple[str | int, ...]

MIN_MEAN_ELEMENTS_PER_NODE = 1024
"""Elements of a sample that a node gives on average, from which on a graph is of large nodes."""


class Value:
    """One tensor. Its type is what ONNX inferred, refined by what a shape rule knows."""

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
    """A tensor fed from outside, by name."""

    __slots__ = ("name",)

    def __init__(self, name: str, type: TensorType) -> None:
        super().__init__(type)
        self.name = name


class Constant(Value):
    """A known tensor; one that stems from a single weight bears its name."""

    __slots__ = ("array", "name")

    def __init__(self, type: TensorType, array: np.ndarray, name: str = "") -> None:
        super().__init__(type)
        self.array, self.name = array, name


class Parameter(Value):
    """A weight that training changes by its gradient. Name, order and shape are Keras'."""

    __slots__ = ("constraint", "initializer", "name", "regularizer", "trainable")

    def __init__(
        self,
        name: str,
        type: TensorType,
        initializer: Any,
        regularizer: Any = None,
        constraint: Any = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(type)
        self.name, self.initializer, self.trainable = name, initializer, trainable
        self.regularizer, self.constraint = regularizer, constraint


class State(Value):
    """A weight that the forward pass itself updates in training, such as a moving average.

    Keras lists it behind the weight that it `follows`, or else behind all weights of its layer.
    """

    __slots__ = ("follows", "initializer", "name")

    def __init__(self, name: str, type: TensorType, initializer: Any, follows: str = "") -> None:
        super().__init__(type)
        self.name, self.initializer, self.follows = name, initializer, follows


class Random(Value):
    """Random numbers fed anew at every step: `scale` with probability `keep`, else 0 (or a normal or uniform draw).

    They come from outside because no random operator of ONNX can promise the same bits twice. `seed` is the layer's
    own, where the spec gives one.
    """

    __slots__ = ("keep", "kind", "name", "scale", "seed")

    def __init__(
        self, name: str, type: TensorType, kind: str, keep: float = 1.0, scale: float = 1.0, seed: int | None = None
    ) -> None:
        super().__init__(type)
        self.name, self.kind, self.keep, self.scale, self.seed = name, kind, keep, scale, seed


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One operator. `scope` is the layer it belongs to, `path` where the spec says so; no gradient goes through one
    that is `detached`."""

    op: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    scope: str = ""
    path: JsonPath = ()
    domain: str = ""
    detached: bool = False

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def input(self, index: int) -> Value | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def with_inputs(self, inputs: Iterable[Value | None]) -> Node:
        known = self.attributes, self.scope, self.path, self.domain, self.detached  # `replace` takes thrice the time
        return Node(self.op, tuple(inputs), self.outputs, *known)


@dataclass(frozen=True, eq=False, slots=True)
class GradientInfo:
    """What a gradient is computed of: of a Conv its weights', of a MaxPool its operand's, of a Gather its table's.

    By the operand x, for a Gather its indices; by the cotangent dy of the result, for a Gather a row for each index; by
    the operator's attributes, which tell how a window moves.
    """

    op: str
    x: Value
    dy: Value
    attributes: Mapping[str, Any]

    def remapped(self, replacements: Mapping[Value, Value]) -> GradientInfo:
        """The same of the values that have come in the place of others."""
        return replace(self, x=replacements.get(self.x, self.x), dy=replacements.get(self.dy, self.dy))


@dataclass(frozen=True, eq=False, slots=True)
class WeightUpdate:
    """How a step renews a weight of whose gradient the graph tells what it is: by the optimizer's rule, of the
    gradient, the rate and what all weights share."""

    optimizer: Any
    gradient: Value
    rate: Value
    shared: Mapping[str, Value]

    def remapped(self, replacements: Mapping[Value, Value]) -> WeightUpdate:
        """The same of the values that have come in the place of others."""
        shared = {name: replacements.get(value, value) for name, value in self.shared.items()}
        gradient, rate = replacements.get(self.gradient, self.gradient), replacements.get(self.rate, self.rate)
        return replace(self, gradient=gradient, rate=rate, shared=shared)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an order in which they can run, and everything that is not a node's output.

    `updates` gives states their new values; `losses` are terms that layers add to the loss; `masks` say, by the name of
    an output, which of its places count in a loss; `gradients` tell what some values are, and `weight_updates` how
    weights get their new values, for a pass that knows another way to them than their nodes'.
    """

    inputs: Mapping[str, Input]
    outputs: Mapping[str, Value]
    nodes: tuple[Node, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    states: Mapping[str, State] = field(default_factory=dict)
    randoms: Mapping[str, Random] = field(default_factory=dict)
    updates: Mapping[str, Value] = field(default_factory=dict)
    losses: tuple[Value, ...] = ()
    masks: Mapping[str, Value] = field(default_factory=dict)
    gradients: Mapping[Value, GradientInfo] = field(default_factory=dict)
    weight_updates: Mapping[str, WeightUpdate] = field(default_factory=dict)

    @cached_property
    def producers(self) -> dict[Value, Node]:
        return {output: node for node in self.nodes for output in node.outputs}

    @cached_property
    def is_compute_bound(self) -> bool:
        """Whether the time of its nodes goes into their elements rather than into starting them.

        By what a node gives on average of each sample; what no sample goes into, such as a gradient, counts as none.
        """
        types = (value.type for node in self.nodes for value in node.outputs)
        made = (prod(size for size in type.shape if isinstance(size, int)) for type in types if not type.is_static())
        return sum(made) >= MIN_MEAN_ELEMENTS_PER_NODE * len(self.nodes) > 0

    @property
    def roots(self) -> list[Value]:
        """The values that somebody outside reads."""
        return [*self.outputs.values(), *self.updates.values(), *self.losses, *self.masks.values()]

    def with_nodes(self, nodes: Iterable[Node], replacements: Mapping[Value, Value]) -> Graph:
        """The graph with other nodes, and outputs replaced where `replacements` has them."""
        return replace(
            self,
            nodes=tuple(nodes),
            outputs={name: replacements.get(value, value) for name, value in self.outputs.items()},
            updates={name: replacements.get(value, value) for name, value in self.updates.items()},
            losses=tuple(replacements.get(value, value) for value in self.losses),
            masks={name: replacements.get(value, value) for name, value in self.masks.items()},
            gradients={
                replacements.get(value, value): told.remapped(replacements) for value, told in self.gradients.items()
            },
            weight_updates={name: renewal.remapped(replacements) for name, renewal in self.weight_updates.items()},
        )


@dataclass(frozen=True, eq=False)
class Subgraph(Graph):
    """The graph that a node runs at every step, or one of two that it may run, as its attribute.

    Its inputs are one by one those of the node. The first `num_loop_inputs` of them get a value of each step; the
    others stand for what the node reads from outside, the same at every step. So whoever follows a node's inputs misses
    nothing.
    """

    num_loop_inputs: int = 0


def reachable_nodes(nodes: Iterable[Node], roots: Iterable[Value]) -> list[Node]:
    """The nodes on which the wanted values depend, in their order."""
    read = set(roots)
    kept = []
    for node in reversed(list(nodes)):
        if any(output in read for output in node.outputs):
            kept.append(node)
            read.update(x for x in node.inputs if x is not None)
    return kept[::-1]


def topologically_sorted(nodes: Iterable[Node]) -> list[Node]:
    """The nodes in an order in which they can run, which is theirs but for what somebody before them needs.

    Raises ValueError where nodes wait for each other.
    """
    wanted = list(nodes)
    producers = {output: node for node in wanted for output in node.outputs}
    begun: set[Node] = set()
    done: set[Node] = set()
    ordered: list[Node] = []
    for last in wanted:
        waiting = [last]
        while waiting:
            node = waiting[-1]
            missing = [p for x in node.inputs if x is not None and (p := producers.get(x)) and p not in done]
            if missing and node not in done:
                begun.add(node)
                if not begun.isdisjoint(missing):
                    raise ValueError(f"nodes wait for each other: {node.op} of {node.scope!r} is one of them")
                waiting += reversed(missing)
                continue
            waiting.pop()
            begun.discard(node)
            if node not in done:
                done.add(node)
                ordered.append(node)
    return ordered


def node_metadata(node: Node, source: str = "") -> dict[str, str]:
    """What a node says of its origin in the ONNX file."""
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in node.path)
    return {"jsonnx.path": f"${steps}"} if node.path else {}
