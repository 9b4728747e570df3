"""A file of weights that does not name its layers: which group is whose, as far as that can be told.

tf.keras 2.12 to 2.15, and the first of Keras 3, write a layer's weights under its class and its number among those of
that class, in the order of `model.layers`. In it a layer stands before all that come of its results; of two side by
side it depends on how the model was written down. So a group is told where there is one layer whose turn it may be, or
one that has the group's shapes among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import NamedTuple

from ...core.components import snake_case
from ...core.types import Dim, Size
from ...frontend.network import Network
from ..hdf5 import Stored
from .keras3_weights import OLD_LAYERS, arrays_below, class_of, present, spellings, top_of
from .weight_paths import Place, doubles, places


@dataclass
class Dealt:
    """What became of the groups of a file."""

    groups: dict[str, str] = field(default_factory=dict)
    """By layer, its group as `Owner` has it."""
    unclear: dict[str, str] = field(default_factory=dict)
    """By layer whose weights cannot be told, why: the end of a sentence."""
    causes: list[str] = field(default_factory=list)
    """The same in whole sentences, one a class of layers."""


def is_unnamed(stored: Stored) -> bool:
    """Whether the layers of a numbered file have no names."""
    top = f"{top_of(stored)}/"
    return not any(path.startswith(top) and stored.text(path, "name") is not None for path in stored.attributes)


def dealt(
    stored: Stored, network: Network, own: Mapping[str, Sequence[str]], shapes: Mapping[str, Sequence[Dim]]
) -> Dealt:
    """The groups of a network's layers; `own` has the weights of each."""
    result, top, before = Dealt(), top_of(stored), ranks(network)
    there = present(stored, top)
    kinds = {call.owner: call.layer.type_name for call in network.calls if call.layer is not None}
    by_stem: dict[str, dict[str, Shapes]] = {}
    for name, kind in kinds.items():
        if own.get(name):
            by_stem.setdefault(snake_case(kind), {})[name] = _shapes(kind, own[name], shapes)
    for folder in there:
        inside = folder.removesuffix(top).strip("/")
        if inside and class_of(inside.split("/")[1]) not in by_stem:
            result.causes.append(f"{inside!r} in the file is a model within the model, which a spec does not have")
    for stem, layers in by_stem.items():
        groups = there.get(top, {}).get(stem, [])
        numbered = [f"{stem}_{number}" if number else stem for number in range(len(groups))]
        targets = dict(zip(groups, numbered if top == OLD_LAYERS else groups, strict=True))
        kind = kinds[next(iter(layers))]
        if not groups:
            result.groups |= dict.fromkeys(layers, f"{top}/{stem}")
        elif len(groups) != len(layers):
            count = f"the file has {len(groups)} {kind} layers with weights, the network {len(layers)}"
            result.causes.append(count)
            result.unclear |= dict.fromkeys(layers, f"cannot be told: {count}")
        else:
            found = _Class(stored, top, layers, before)
            found.deal(groups)
            result.groups |= {name: f"{top}/{targets[group]}" for name, group in found.taken.items()}
            result.unclear |= dict.fromkeys(layers.keys() - found.taken.keys(), f"cannot be told: {found.cause}")
            result.causes += [found.cause] if found.cause else []
    return result


Shapes = Mapping[Place, Sequence[Dim]]
"""Of a layer's weights, by where they are in its group."""


def _shapes(kind: str, weights: Sequence[str], shapes: Mapping[str, Sequence[Dim]]) -> Shapes:
    inner = {name.partition("/")[2]: shapes[name] for name in weights}
    twice = {place: inner[name] for name, place in doubles(kind, list(inner)).items()}
    return {place: inner[name] for name, place in places(kind, inner).items()} | twice


class Rank(NamedTuple):
    """A layer as a bit, and those before it as bits."""

    own: int
    above: int


@dataclass
class _Class:
    """The layers of one class, and the groups that they are given."""

    stored: Stored
    top: str
    layers: Mapping[str, Shapes]
    before: Mapping[str, Rank]
    taken: dict[str, str] = field(default_factory=dict)
    cause: str = ""

    def deal(self, groups: Sequence[str]) -> None:
        """Gives each layer its group, in the file's order, as long as that is sure.

        A choice by shape is one only if in the end every group has the shapes of its layer.
        """
        left, misfit, by_shape = list(self.layers), "", None
        for group in groups:
            waiting = sum(self.before[name].own for name in left)
            ready = [name for name in left if not self.before[name].above & waiting]
            fitting = [name for name in ready if self.fits(name, group)]
            if len(fitting) > 1:
                one, other = fitting[:2]
                self.cause = f"the weights in {group!r} may be those of {one!r} or of {other!r}, which are alike"
                break
            if len(ready) > 1:
                by_shape = len(self.taken) if by_shape is None else by_shape
            chosen = fitting[0] if fitting else ready[0]
            misfit = misfit or ("" if fitting else group)
            left.remove(chosen)
            self.taken[chosen] = group
        if by_shape is not None and (misfit or self.cause):
            self.cause = self.cause or f"the weights in {misfit!r} have not the shapes of a layer whose turn it is"
            self.taken = dict(list(self.taken.items())[:by_shape])

    def fits(self, name: str, group: str) -> bool:
        """Whether the arrays of a group are as many, and have the shapes, as the weights of a layer."""
        path, wanted = f"{self.top}/{group}", self.layers[name]
        paths = {
            place: next((one for one in spellings(*place, path) if one in self.stored.arrays), None) for place in wanted
        }
        if None in paths.values() or len(arrays_below(self.stored, path)) != len(wanted):
            return False
        return all(_is_of(self.stored.arrays[path].shape, wanted[place]) for place, path in paths.items() if path)


def _is_of(shape: Sequence[int], wanted: Sequence[Dim]) -> bool:
    return len(shape) == len(wanted) and all(
        isinstance(size, Size) or size == given for given, size in zip(shape, wanted, strict=True)
    )


def ranks(network: Network) -> dict[str, Rank]:
    """By layer, those that are before each of its calls: that come before it in whichever order Keras had."""
    own = {name: 1 << place for place, name in enumerate(dict.fromkeys(call.owner for call in network.calls))}
    of_value = dict.fromkeys(network.inputs, 0)
    found: dict[str, int] = {}
    for call in network.calls:
        above = reduce(or_, (of_value[source] for source in call.sources))
        found[call.owner] = found.get(call.owner, above) & above
        of_value |= dict.fromkeys(call.results, above | own[call.owner])
    return {name: Rank(own[name], above & ~own[name]) for name, above in found.items()}
