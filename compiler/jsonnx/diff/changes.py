"""Compares two networks: layers, signature, training section, weights and total cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..core.components import Component, Json
from ..frontend.network import Call
from ..frontend.text.formatter import attribute_order
from ..sections.budget_section import BUDGET_KEY, BudgetSection
from ..sections.training_section import Training
from .matching import ComparedNetwork, LayerCost, LayerMatches, type_name_of
from .signature import SignatureChange, signature_changes, size_renames, type_text_with_sizes


class Change(NamedTuple):
    """The old and the new value; None if there is none."""

    old: Any
    new: Any

    def __bool__(self) -> bool:
        return bool(self.old != self.new)


NO_CHANGE = Change(None, None)


@dataclass(frozen=True)
class LayerChange:
    """An added layer (`old` is None), a removed layer (`new` is None), or a changed layer; both are names of calls."""

    old: str | None
    new: str | None
    type: Change
    arguments: Mapping[str, Change] = field(default_factory=dict)
    sources: Change = NO_CHANGE
    weights_of: Change = NO_CHANGE
    shapes: Change = NO_CHANGE
    parameters: Change = NO_CHANGE
    macs: Change = NO_CHANGE

    @property
    def has_changes(self) -> bool:
        """Whether the layer differs at all."""
        changes = (self.type, self.sources, self.weights_of, self.shapes, self.parameters, self.macs)
        return self.old != self.new or bool(self.arguments) or any(changes)


class WeightChanges(NamedTuple):
    """The old weights that the new network can take. All names are new ones, except the names of unused weights."""

    unchanged: list[str]
    renamed: dict[str, str]
    """The old name by the new one."""
    reshaped: dict[str, Change]
    """The shapes of weights that cannot be taken."""
    missing: list[str]
    unused: list[str]

    @property
    def load(self) -> bool:
        """Whether the new network takes a file of the old weights as it is."""
        return not (self.renamed or self.reshaped or self.missing or self.unused)

    @property
    def needed(self) -> int:
        """The number of weights of the new network."""
        return len(self.unchanged) + len(self.renamed) + len(self.reshaped) + len(self.missing)


@dataclass(frozen=True)
class Comparison:
    """All differences between two networks."""

    layers: list[LayerChange]
    signature: list[SignatureChange]
    training: dict[str, Change]
    weights: WeightChanges
    parameters: Change
    macs: Change
    activation_bytes: Change = NO_CHANGE
    budget: dict[str, Change] = field(default_factory=dict)

    @property
    def breaks_signature(self) -> bool:
        """Whether programs that run the old model must be changed."""
        return any(change.breaks for change in self.signature)

    @property
    def is_empty(self) -> bool:
        return not (self.layers or self.signature or self.training or self.budget)


def compare_networks(old: ComparedNetwork, new: ComparedNetwork) -> Comparison:
    """All differences in meaning between two networks."""
    matches = LayerMatches(old, new)
    symbols = size_renames(old.typed, new.typed, matches)
    layers = [change for change in _layer_changes(old, new, matches, symbols) if change.has_changes]
    return Comparison(
        layers,
        signature_changes(old, new, matches, symbols),
        dict(_training_changes(old.network.training, new.network.training)),
        _weight_changes(old, new, matches),
        Change(*(sum(cost.parameters for cost in side.costs.values()) for side in (old, new))),
        Change(*(_sum_or_none([cost.macs for cost in side.costs.values()]) for side in (old, new))),
        Change(old.activation_bytes, new.activation_bytes),
        dict(_attribute_changes(_budget(old), _budget(new))),
    )


def _budget(side: ComparedNetwork) -> BudgetSection:
    return BudgetSection(**(side.network.flat_document.get(BUDGET_KEY) or {}))


def _sum_or_none(numbers: list[int | None]) -> int | None:
    """The sum of numbers, or None if one of them is unknown."""
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


# -- layers ------------------------------------------------------------------------------------------------------------


def _layer_changes(
    old: ComparedNetwork, new: ComparedNetwork, matches: LayerMatches, symbols: Mapping[str, str]
) -> Iterator[LayerChange]:
    """Yields all layers in the order of the new network, with removed layers at their old positions."""
    old_positions = {name: position for position, name in enumerate(matches.old_calls)}
    removed = [name for name in matches.old_calls if name not in matches.new_names][::-1]
    for name, call in matches.new_calls.items():
        old_name = matches.old_names.get(name)
        while old_name is not None and removed and old_positions[removed[-1]] < old_positions[old_name]:
            yield _removed_layer(old, matches.old_calls[removed.pop()])
        if old_name is None:
            yield _added_layer(new, call)
        else:
            yield _changed_layer(old, new, matches.old_calls[old_name], call, matches, symbols)
    while removed:
        yield _removed_layer(old, matches.old_calls[removed.pop()])


ZERO_COST = LayerCost(0, 0)


def _added_layer(side: ComparedNetwork, call: Call) -> LayerChange:
    cost = side.costs.get(call.name, ZERO_COST)
    return LayerChange(
        None,
        call.name,
        Change(None, type_name_of(call)),
        {name: Change(None, value) for name, value in _explicit_arguments(call).items()},
        Change(None, call.sources),
        Change(None, _shared_weights_owner(call)),
        Change(None, _shape_texts(side, call)),
        Change(0, cost.parameters),
        Change(0, cost.macs),
    )


def _removed_layer(side: ComparedNetwork, call: Call) -> LayerChange:
    addition = _added_layer(side, call)
    reversed_changes = {
        name: _reversed(change) for name, change in vars(addition).items() if isinstance(change, Change)
    }
    arguments = {name: _reversed(change) for name, change in addition.arguments.items()}
    return LayerChange(call.name, None, arguments=arguments, **reversed_changes)


def _reversed(change: Change) -> Change:
    return Change(change.new, change.old)


def _changed_layer(
    old: ComparedNetwork,
    new: ComparedNetwork,
    old_call: Call,
    new_call: Call,
    matches: LayerMatches,
    symbols: Mapping[str, str],
) -> LayerChange:
    old_cost, new_cost = old.costs.get(old_call.name, ZERO_COST), new.costs.get(new_call.name, ZERO_COST)
    has_same_sources = matches.translated_sources(old_call) == new_call.sources
    old_owner = _shared_weights_owner(old_call)
    return LayerChange(
        old_call.name,
        new_call.name,
        Change(type_name_of(old_call), type_name_of(new_call)),
        _argument_changes(old_call, new_call),
        NO_CHANGE if has_same_sources else Change(old_call.sources, new_call.sources),
        Change(old_owner and matches.new_name(old_owner), _shared_weights_owner(new_call)),
        Change(_shape_texts(old, old_call, symbols), _shape_texts(new, new_call)),
        Change(old_cost.parameters, new_cost.parameters),
        Change(old_cost.macs, new_cost.macs),
    )


def _shared_weights_owner(call: Call) -> str | None:
    """The layer whose weights a call uses, or None if it has its own."""
    return call.owner if call.owner != call.name else None


def _shape_texts(side: ComparedNetwork, call: Call, symbols: Mapping[str, str] = {}) -> tuple[str, ...]:
    """The types of a call's results as text, with names of sizes replaced according to `symbols`."""
    return tuple(type_text_with_sizes(side.typed.types[name], symbols) for name in call.results)


def _explicit_arguments(call: Call) -> dict[str, Json]:
    """The arguments that differ from their defaults, in canonical order."""
    if call.layer is None or _shared_weights_owner(call):
        return {}
    json_object = call.layer.to_json()
    names = attribute_order(type(call.layer))  # type: ignore[arg-type]
    return {name: json_object[name] for name in names if name in json_object}


def _argument_changes(old_call: Call, new_call: Call) -> dict[str, Change]:
    """The changed arguments of a call; all new arguments if the type changed."""
    if old_call.layer is None or new_call.layer is None or _shared_weights_owner(new_call):
        return {}
    if type_name_of(old_call) != type_name_of(new_call):
        return {name: Change(None, value) for name, value in _explicit_arguments(new_call).items()}
    return dict(_attribute_changes(old_call.layer, new_call.layer))


def _attribute_changes(old: Component, new: Component, path: str = "") -> Iterator[tuple[str, Change]]:
    """Yields the changed attributes of a component by dotted path, with defaults in place of missing ones."""
    for name in attribute_order(type(new)):  # type: ignore[arg-type]
        if name in getattr(new, "attributes_of_file", ()):
            continue
        codec = new.codecs()[name]
        old_value, new_value = getattr(old, name), getattr(new, name)
        if isinstance(old_value, Component) and type(old_value) is type(new_value):
            yield from _attribute_changes(old_value, new_value, f"{path}{name}.")
        elif old_value != new_value:
            yield path + name, Change(codec.write(old_value), codec.write(new_value))


# -- training and weights ----------------------------------------------------------------------------------------------


def _training_changes(old: Training | None, new: Training | None) -> Iterator[tuple[str, Change]]:
    """Yields the changed attributes of the training section by dotted path."""
    if old is None or new is None:
        if old is not new:
            yield "training", Change(old and old.to_json(), new and new.to_json())
        return
    yield from _attribute_changes(old, new)


def _weight_changes(old: ComparedNetwork, new: ComparedNetwork, matches: LayerMatches) -> WeightChanges:
    changes = WeightChanges([], {}, {}, [], [])
    matched_old_names = set()
    for name, shape in new.weights.items():
        owner, slash, rest = name.partition("/")
        old_name = matches.old_names.get(owner, "") + slash + rest
        if old_name not in old.weights:
            changes.missing.append(name)
            continue
        matched_old_names.add(old_name)
        if old.weights[old_name] != shape:
            changes.reshaped[name] = Change(old.weights[old_name], shape)
        elif old_name != name:
            changes.renamed[name] = old_name
        else:
            changes.unchanged.append(name)
    changes.unused.extend(name for name in old.weights if name not in matched_old_names)
    return changes
