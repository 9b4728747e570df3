"""The two networks that are compared, and which layer of one is which of the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from ..analysis.shape_inference import TypedNetwork
from ..frontend.network import Call, Network

MAX_LAYER_PAIRS = 4_000_000
"""Pairs of layers that are considered where names do not tell; of larger networks names alone count."""


@dataclass(frozen=True)
class LayerCost:
    """Of a layer call: parameters, and multiply-adds a sample, None where a size is symbolic."""

    parameters: int
    macs: int | None


@dataclass(frozen=True)
class ComparedNetwork:
    """A network, the names of layers that its author gave, and what it costs."""

    typed: TypedNetwork
    explicit_names: frozenset[str] = frozenset()
    costs: Mapping[str, LayerCost] = field(default_factory=dict)
    weights: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The shape of every weight by name."""

    @property
    def network(self) -> Network:
        return self.typed.network


def type_name_of(call: Call) -> str:
    return call.layer.type_name if call.layer else "?"


class LayerMatches:
    """Which layer of the old network is which of the new one, and what the old values are called now.

    A name that somebody gave tells. Layers that are called after their type are matched by their order; layers that
    were renamed, where one alone is of that type, with these arguments, at that place.
    """

    def __init__(self, old: ComparedNetwork, new: ComparedNetwork) -> None:
        self.old_calls = {call.name: call for call in old.network.calls}
        self.new_calls = {call.name: call for call in new.network.calls}
        self.old_by_sources, self.new_by_sources = (
            _calls_by_sources(calls.values()) for calls in (self.old_calls, self.new_calls)
        )
        self.input_names = _match_inputs(old.typed, new.typed)
        self.new_names: dict[str, str] = {}
        self.old_names: dict[str, str] = {}
        given = old.explicit_names | new.explicit_names
        self._match_by_name(name for name in self.old_calls if name in given)
        if len(self.old_calls) * len(self.new_calls) <= MAX_LAYER_PAIRS:
            self._match_by_position(given)
        self._match_by_name(self.old_calls, same_type=True)

    def translated_sources(self, call: Call) -> tuple[str, ...]:
        """What an old call takes, by today's names."""
        return tuple(map(self.new_name, call.sources))

    def new_name(self, value: str) -> str:
        """Today's name of an old value; a layer's further outputs are called after it."""
        name, dot, output = value.partition(".")
        return self.input_names.get(value) or self.new_names.get(name, name) + dot + output

    def _pair(self, old: str, new: str) -> None:
        self.new_names[old], self.old_names[new] = new, old

    def _match_by_name(self, names: Iterable[str], same_type: bool = False) -> None:
        for name in names:
            open_ = name in self.new_calls and name not in self.new_names and name not in self.old_names
            if open_ and not (same_type and type_name_of(self.old_calls[name]) != type_name_of(self.new_calls[name])):
                self._pair(name, name)

    def _match_by_position(self, explicit_names: frozenset[str]) -> None:
        before, after = list(self.old_calls.values()), list(self.new_calls.values())
        old = [self.new_names.get(call.name) or _call_content(call) for call in before]
        new = [call.name if call.name in self.old_names else _call_content(call) for call in after]
        for at, to, length in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
            for one, other in zip(before[at : at + length], after[to : to + length], strict=True):
                if one.name not in self.new_names and (
                    not {one.name, other.name} & explicit_names or self._is_renamed(one, other)
                ):
                    self._pair(one.name, other.name)

    def _is_renamed(self, old: Call, new: Call) -> bool:
        """Whether two calls of equal content stand at one place, and no others do."""
        content = _call_content(old)
        around = (self.old_by_sources[old.sources], self.new_names), (self.new_by_sources[new.sources], self.old_names)
        like = [
            [c.name for c in calls if c.name not in known and _call_content(c) == content] for calls, known in around
        ]
        return self.translated_sources(old) == new.sources and like == [[old.name], [new.name]]


def _calls_by_sources(calls: Iterable[Call]) -> dict[tuple[str, ...], list[Call]]:
    found: dict[tuple[str, ...], list[Call]] = {}
    for call in calls:
        found.setdefault(call.sources, []).append(call)
    return found


def _call_content(call: Call) -> tuple[str, str]:
    """Type and arguments; of a further call of a layer that it is one."""
    arguments = json.dumps(call.layer.to_json(), sort_keys=True) if call.layer else ""
    return ("use" if call.owner != call.name else "type"), arguments


def _match_inputs(old: TypedNetwork, new: TypedNetwork) -> dict[str, str]:
    """Today's names of the old inputs. One was renamed where another of its type stands in its place."""
    found = {name: name for name in old.inputs if name in new.inputs}
    for (name, type), (other, other_type) in zip(old.inputs.items(), new.inputs.items(), strict=False):
        if name not in new.inputs and other not in old.inputs and str(type) == str(other_type):
            found[name] = other
    return found
