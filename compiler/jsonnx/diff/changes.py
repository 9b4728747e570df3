"""Everything that differs between two networks, layer by layer and as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..core.components import Component, Json
from ..frontend.formatter import attribute_order
from ..frontend.network import Call
from ..training.section import Training
from .matching import ComparedNetwork, LayerCost, LayerMatches, type_name_of
from .signature import SignatureChange, signature_changes, size_renames, type_text_with_sizes


class Change(NamedTuple):
    """A value before and after; None where there was, or is, none."""

    old: Any
    new: Any

    def __bool__(self) -> bool:
        return bool(self.old != self.new)


NO_CHANGE = Change(None, None)


@dataclass(frozen=True)
class LayerChange:
    """A layer that was added (`old_calls` is None), removed (`new_calls` is None), or that differs in some of the rest."""

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
        """Whether there is anything to tell."""
        changes = (self.type, self.sources, self.weights_of, self.shapes, self.parameters, self.macs)
        return self.old != self.new or bool(self.arguments) or any(changes)


class WeightChanges(NamedTuple):
    """How the old weights do in the new network, by their names there: what goes in as it is, under another name, what
    is of another shape, and what is missing; and by their old names those that nothing takes."""

    unchanged: list[str]
    renamed: dict[str, str]
    reshaped: dict[str, Change]
    missing: list[str]
    unused: list[str]


@dataclass(frozen=True)
class Comparison:
    layers: list[LayerChange]
    signature: list[SignatureChange]
    training: dict[str, Change]
    weights: WeightChanges
    parameters: Change
    macs: Change

    @property
    def breaks_signature(self) -> bool:
        """Whether programs that run the old model have to change."""
        return any(change.breaks for change in self.signature)

    @property
    def is_empty(self) -> bool:
        return not (self.layers or self.signature or self.training)


def compare_networks(old: ComparedNetwork, new: ComparedNetwork) -> Comparison:
    """Every difference in meaning."""
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
    )


def _sum_or_none(numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


# -- layers ------------------------------------------------------------------------------------------------------------


def _layer_changes(
    old: ComparedNetwork, new: ComparedNetwork, matches: LayerMatches, symbols: Mapping[str, str]
) -> Iterator[LayerChange]:
    """In the order of the new network; what was removed stands where it was."""
    place = {name: index for index, name in enumerate(matches.old_calls)}
    removed = [name for name in matches.old_calls if name not in matches.new_names][::-1]
    for name, call in matches.new_calls.items():
        before = matches.old_names.get(name)
        while before is not None and removed and place[removed[-1]] < place[before]:
            yield _removed_layer(old, matches.old_calls[removed.pop()])
        if before is None:
            yield _added_layer(new, call)
        else:
            yield _changed_layer(old, new, matches.old_calls[before], call, matches, symbols)
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
    made = _added_layer(side, call)
    turned = {name: Change(*change[::-1]) for name, change in vars(made).items() if isinstance(change, Change)}
    return LayerChange(
        call.name, None, arguments={name: Change(*change[::-1]) for name, change in made.arguments.items()}, **turned
    )


def _changed_layer(
    old: ComparedNetwork,
    new: ComparedNetwork,
    before: Call,
    after: Call,
    matches: LayerMatches,
    symbols: Mapping[str, str],
) -> LayerChange:
    cost, now = old.costs.get(before.name, ZERO_COST), new.costs.get(after.name, ZERO_COST)
    same = matches.translated_sources(before) == after.sources
    owner = _shared_weights_owner(before)
    return LayerChange(
        before.name,
        after.name,
        Change(type_name_of(before), type_name_of(after)),
        _argument_changes(before, after),
        Change(None, None) if same else Change(before.sources, after.sources),
        Change(owner and matches.new_name(owner), _shared_weights_owner(after)),
        Change(_shape_texts(old, before, symbols), _shape_texts(new, after)),
        Change(cost.parameters, now.parameters),
        Change(cost.macs, now.macs),
    )


def _shared_weights_owner(call: Call) -> str | None:
    """The layer whose weights a call uses, if they are not its own."""
    return call.owner if call.owner != call.name else None


def _shape_texts(side: ComparedNetwork, call: Call, symbols: Mapping[str, str] = {}) -> tuple[str, ...]:
    return tuple(type_text_with_sizes(side.typed.types[name], symbols) for name in call.results)


def _explicit_arguments(call: Call) -> dict[str, Json]:
    """The arguments that are no defaults, as people read them."""
    if call.layer is None or _shared_weights_owner(call):
        return {}
    written = call.layer.to_json()
    return {name: written[name] for name in attribute_order(type(call.layer)) if name in written}  # type: ignore[arg-type]


def _argument_changes(before: Call, after: Call) -> dict[str, Change]:
    if before.layer is None or after.layer is None or _shared_weights_owner(after):
        return {}
    if type_name_of(before) != type_name_of(after):
        return {name: Change(None, value) for name, value in _explicit_arguments(after).items()}
    return dict(_attribute_changes(before.layer, after.layer))


def _attribute_changes(old: Component, new: Component, path: str = "") -> Iterator[tuple[str, Change]]:
    """What differs between two bricks of a type, by dotted path, defaults as if they were written."""
    for name in attribute_order(type(new)):  # type: ignore[arg-type]
        form = new.codecs()[name]
        one, other = getattr(old, name), getattr(new, name)
        if isinstance(one, Component) and type(one) is type(other):
            yield from _attribute_changes(one, other, f"{path}{name}.")
        elif one != other:
            yield path + name, Change(form.write(one), form.write(other))


# -- training and weights ----------------------------------------------------------------------------------------------


def _training_changes(old: Training | None, new: Training | None) -> Iterator[tuple[str, Change]]:
    """What differs, by dotted path."""
    if old is None or new is None:
        if old is not new:
            yield "training", Change(old and old.to_json(), new and new.to_json())
        return
    yield from _attribute_changes(old, new)


def _weight_changes(old: ComparedNetwork, new: ComparedNetwork, matches: LayerMatches) -> WeightChanges:
    found = WeightChanges([], {}, {}, [], [])
    taken = set()
    for name, shape in new.weights.items():
        owner, slash, rest = name.partition("/")
        before = matches.old_names.get(owner, "") + slash + rest
        if before not in old.weights:
            found.missing.append(name)
            continue
        taken.add(before)
        if old.weights[before] != shape:
            found.reshaped[name] = Change(old.weights[before], shape)
        elif before != name:
            found.renamed[name] = before
        else:
            found.unchanged.append(name)
    found.unused.extend(name for name in old.weights if name not in taken)
    return found
