"""The cost of the modules of a layer that is a network of another program: the scopes of its operators and weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from ..ir import Node, Parameter, State
from ..ir.cost import sum_macs
from ..ir.polynomial import Polynomial

SEPARATOR = "."


@dataclass(frozen=True)
class ModuleCost:
    """The cost of a module and of those inside it."""

    path: str
    """Such as `layer4.0`."""
    level: int
    """The number of modules around it, without those that contain everything."""
    parameters: int
    trainable: int
    learnable: int
    """Parameters that have a gradient, also if they are frozen."""
    operators: Mapping[str, int]
    """The number of nodes by operator."""
    macs: Polynomial
    """Multiply-adds for one sample."""


@dataclass
class _Contents:
    nodes: list[Node] = field(default_factory=list)
    weights: list[Parameter | State] = field(default_factory=list)


def module_costs(nodes: Iterable[Node], weights: Mapping[str, Parameter | State]) -> tuple[ModuleCost, ...]:
    """The modules of a layer in the order of their first operators, each before those inside it."""
    contents: dict[tuple[str, ...], _Contents] = {}
    for node in nodes:
        for path in _prefixes(node.scope.partition("/")[2].split(SEPARATOR)):
            contents.setdefault(path, _Contents()).nodes.append(node)
    for name, weight in weights.items():
        for path in _prefixes(name.partition("/")[2].split(SEPARATOR)[:-1]):
            contents.setdefault(path, _Contents()).weights.append(weight)
    first = {path: index for index, path in enumerate(contents)}
    shared = _shared_levels(list(contents))
    ordered = sorted(contents, key=lambda path: [first[path[: i + 1]] for i in range(len(path))])
    return tuple(_cost(path, len(path) - shared - 1, contents[path]) for path in ordered if len(path) > shared)


def _prefixes(parts: Sequence[str]) -> list[tuple[str, ...]]:
    named = [part for part in parts if part]
    return [tuple(named[: count + 1]) for count in range(len(named))]


def _shared_levels(paths: Sequence[tuple[str, ...]]) -> int:
    """The number of outermost modules that contain all others."""
    level = 0
    while len({path[level] for path in paths if len(path) > level}) == 1:
        if not any(len(path) > level + 1 for path in paths):
            break
        level += 1
    return level


def _cost(path: tuple[str, ...], level: int, contents: _Contents) -> ModuleCost:
    parameters = [weight for weight in contents.weights if isinstance(weight, Parameter)]
    return ModuleCost(
        path=SEPARATOR.join(path),
        level=level,
        parameters=sum(prod(weight.shape) for weight in contents.weights),
        trainable=sum(prod(weight.shape) for weight in parameters if weight.trainable),
        learnable=sum(prod(weight.shape) for weight in parameters),
        operators=Counter(node.op for node in contents.nodes),
        macs=sum_macs(contents.nodes),
    )
