"""Matches the layers of two networks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from ..analysis.shape_inference import TypedNetwork
from ..frontend.network import Call, Network

MAX_LAYER_PAIRS = 4_000_000
"""Pairs of layers that are compared by position; in larger networks layers are matched by name only."""


@dataclass(frozen=True)
class LayerCost:
    """The cost of a layer call: parameters, and multiply-adds per sample (None if a size is symbolic)."""

    parameters: int
    macs: int | None


@dataclass(frozen=True)
class ComparedNetwork:
    """A network with the costs of its layers and the shapes of its weights."""

    typed: TypedNetwork
    explicit_names: frozenset[str] = frozenset()
    """The names of layers that are written in the spec."""
    costs: Mapping[str, LayerCost] = field(default_factory=dict)
    weights: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The shape of every weight by name."""
    activation_bytes: int | None = None
    """The peak memory of the layers' values for one sample; None if it depends on symbolic sizes."""

    @property
    def network(self) -> Network:
        return self.typed.network


def type_name_of(call: Call) -> str:
    return call.layer.type_name if call.layer else "?"


class LayerMatches:
    """The new names of old layers and values.

    Layers with explicit names are matched by name. Layers with default names are matched by position. A layer with
    an explicit name was renamed if exactly one layer in each network has its type, arguments and sources.
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
        explicit_names = old.explicit_names | new.explicit_names
        self._match_by_name(name for name in self.old_calls if name in explicit_names)
        if len(self.old_calls) * len(self.new_calls) <= MAX_LAYER_PAIRS:
            self._match_by_position(explicit_names)
        self._match_by_name(self.old_calls, same_type=True)

    def translated_sources(self, call: Call) -> tuple[str, ...]:
        """The sources of an old call by their new names."""
        return tuple(map(self.new_name, call.sources))

    def new_name(self, value: str) -> str:
        """The new name of an old value."""
        name, dot, output = value.partition(".")
        return self.input_names.get(value) or self.new_names.get(name, name) + dot + output

    def _pair(self, old: str, new: str) -> None:
        self.new_names[old], self.old_names[new] = new, old

    def _match_by_name(self, names: Iterable[str], same_type: bool = False) -> None:
        for name in names:
            is_unmatched = name in self.new_calls and name not in self.new_names and name not in self.old_names
            if is_unmatched and (
                not same_type or type_name_of(self.old_calls[name]) == type_name_of(self.new_calls[name])
            ):
                self._pair(name, name)

    def _match_by_position(self, explicit_names: frozenset[str]) -> None:
        """Matches the longest common subsequences of calls with equal type and arguments."""
        old_calls, new_calls = list(self.old_calls.values()), list(self.new_calls.values())
        old_keys = [self.new_names.get(call.name) or _call_content(call) for call in old_calls]
        new_keys = [call.name if call.name in self.old_names else _call_content(call) for call in new_calls]
        for i, j, length in SequenceMatcher(None, old_keys, new_keys, autojunk=False).get_matching_blocks():
            for old, new in zip(old_calls[i : i + length], new_calls[j : j + length], strict=True):
                if old.name not in self.new_names and (
                    not {old.name, new.name} & explicit_names or self._is_renamed(old, new)
                ):
                    self._pair(old.name, new.name)

    def _is_renamed(self, old: Call, new: Call) -> bool:
        """Whether two unmatched calls of equal content have the same sources, and no other calls do."""
        content = _call_content(old)
        candidates = (
            (self.old_by_sources[old.sources], self.new_names),
            (self.new_by_sources[new.sources], self.old_names),
        )
        equal_calls = [
            [call.name for call in calls if call.name not in matched and _call_content(call) == content]
            for calls, matched in candidates
        ]
        return self.translated_sources(old) == new.sources and equal_calls == [[old.name], [new.name]]


def _calls_by_sources(calls: Iterable[Call]) -> dict[tuple[str, ...], list[Call]]:
    calls_by_sources: dict[tuple[str, ...], list[Call]] = {}
    for call in calls:
        calls_by_sources.setdefault(call.sources, []).append(call)
    return calls_by_sources


def _call_content(call: Call) -> tuple[str, str]:
    """The type and arguments of a call, and whether it uses another call's layer."""
    arguments = json.dumps(call.layer.to_json(), sort_keys=True) if call.layer else ""
    return ("use" if call.owner != call.name else "type"), arguments


def _match_inputs(old: TypedNetwork, new: TypedNetwork) -> dict[str, str]:
    """The new names of the old inputs. An input was renamed if a new input of its type has its position."""
    new_names = {name: name for name in old.inputs if name in new.inputs}
    for (name, type), (new_name, new_type) in zip(old.inputs.items(), new.inputs.items(), strict=False):
        if name not in new.inputs and new_name not in old.inputs and str(type) == str(new_type):
            new_names[name] = new_name
    return new_names
