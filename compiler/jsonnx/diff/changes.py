"""Everything that differs between two networks, layer by layer and as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..core.components import Brick, Json
from ..frontend.formatter import reading_order
from ..frontend.network import Call
from ..training.section import Training
from .matching import Cost, Matches, Side, kind_of
from .signature import SignatureChange, renamed_sizes, signature_changes, todays_sizes


class Change(NamedTuple):
    """A value before and after; None where there was, or is, none."""

    old: Any
    new: Any

    def __bool__(self) -> bool:
        return bool(self.old != self.new)


SAME = Change(None, None)


@dataclass(frozen=True)
class LayerChange:
    """A layer that was added (`old` is None), removed (`new` is None), or that differs in some of the rest."""

    old: str | None
    new: str | None
    type: Change
    arguments: Mapping[str, Change] = field(default_factory=dict)
    sources: Change = SAME
    weights_of: Change = SAME
    shapes: Change = SAME
    parameters: Change = SAME
    macs: Change = SAME

    @property
    def is_one(self) -> bool:
        """Whether there is anything to tell."""
        changes = (self.type, self.sources, self.weights_of, self.shapes, self.parameters, self.macs)
        return self.old != self.new or bool(self.arguments) or any(changes)


class Weights(NamedTuple):
    """How the old weights do in the new network, by their names there: what goes in as it is, under another name, what
    is of another shape, and what is missing; and by their old names those that nothing takes."""

    fitting: list[str]
    renamed: dict[str, str]
    reshaped: dict[str, Change]
    missing: list[str]
    unused: list[str]


@dataclass(frozen=True)
class Comparison:
    layers: list[LayerChange]
    signature: list[SignatureChange]
    training: dict[str, Change]
    weights: Weights
    parameters: Change
    macs: Change

    @property
    def breaks(self) -> bool:
        """Whether programs that run the old model have to change."""
        return any(change.breaks for change in self.signature)

    @property
    def is_none(self) -> bool:
        return not (self.layers or self.signature or self.training)


def compared(old: Side, new: Side) -> Comparison:
    """Every difference in meaning."""
    matches = Matches(old, new)
    symbols = todays_sizes(old.typed, new.typed, matches)
    layers = [change for change in _layers(old, new, matches, symbols) if change.is_one]
    return Comparison(
        layers,
        signature_changes(old, new, matches, symbols),
        dict(_training(old.network.training, new.network.training)),
        _weights(old, new, matches),
        Change(*(sum(cost.parameters for cost in side.costs.values()) for side in (old, new))),
        Change(*(_sum([cost.macs for cost in side.costs.values()]) for side in (old, new))),
    )


def _sum(numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


# -- layers ------------------------------------------------------------------------------------------------------------


def _layers(old: Side, new: Side, matches: Matches, symbols: Mapping[str, str]) -> Iterator[LayerChange]:
    """In the order of the new network; what was removed stands where it was."""
    place = {name: index for index, name in enumerate(matches.old)}
    removed = [name for name in matches.old if name not in matches.now][::-1]
    for name, call in matches.new.items():
        before = matches.before.get(name)
        while before is not None and removed and place[removed[-1]] < place[before]:
            yield _removed(old, matches.old[removed.pop()])
        if before is None:
            yield _added(new, call)
        else:
            yield _changed(old, new, matches.old[before], call, matches, symbols)
    while removed:
        yield _removed(old, matches.old[removed.pop()])


NOTHING = Cost(0, 0)


def _added(side: Side, call: Call) -> LayerChange:
    cost = side.costs.get(call.name, NOTHING)
    return LayerChange(
        None,
        call.name,
        Change(None, kind_of(call)),
        {name: Change(None, value) for name, value in _written(call).items()},
        Change(None, call.sources),
        Change(None, _borrowed(call)),
        Change(None, _shapes(side, call)),
        Change(0, cost.parameters),
        Change(0, cost.macs),
    )


def _removed(side: Side, call: Call) -> LayerChange:
    made = _added(side, call)
    turned = {name: Change(*change[::-1]) for name, change in vars(made).items() if isinstance(change, Change)}
    return LayerChange(
        call.name, None, arguments={name: Change(*change[::-1]) for name, change in made.arguments.items()}, **turned
    )


def _changed(
    old: Side, new: Side, before: Call, after: Call, matches: Matches, symbols: Mapping[str, str]
) -> LayerChange:
    cost, now = old.costs.get(before.name, NOTHING), new.costs.get(after.name, NOTHING)
    same = matches.sources(before) == after.sources
    owner = _borrowed(before)
    return LayerChange(
        before.name,
        after.name,
        Change(kind_of(before), kind_of(after)),
        _arguments(before, after),
        Change(None, None) if same else Change(before.sources, after.sources),
        Change(owner and matches.called(owner), _borrowed(after)),
        Change(_shapes(old, before, symbols), _shapes(new, after)),
        Change(cost.parameters, now.parameters),
        Change(cost.macs, now.macs),
    )


def _borrowed(call: Call) -> str | None:
    """The layer whose weights a call uses, if they are not its own."""
    return call.owner if call.owner != call.name else None


def _shapes(side: Side, call: Call, symbols: Mapping[str, str] = {}) -> tuple[str, ...]:
    return tuple(renamed_sizes(side.typed.types[name], symbols) for name in call.results)


def _written(call: Call) -> dict[str, Json]:
    """The arguments that are no defaults, as people read them."""
    if call.layer is None or _borrowed(call):
        return {}
    written = call.layer.to_json()
    return {name: written[name] for name in reading_order(type(call.layer)) if name in written}  # type: ignore[arg-type]


def _arguments(before: Call, after: Call) -> dict[str, Change]:
    if before.layer is None or after.layer is None or _borrowed(after):
        return {}
    if kind_of(before) != kind_of(after):
        return {name: Change(None, value) for name, value in _written(after).items()}
    return dict(_attributes(before.layer, after.layer))


def _attributes(old: Brick, new: Brick, path: str = "") -> Iterator[tuple[str, Change]]:
    """What differs between two bricks of a type, by dotted path, defaults as if they were written."""
    for name in reading_order(type(new)):  # type: ignore[arg-type]
        form = new.forms()[name]
        one, other = getattr(old, name), getattr(new, name)
        if isinstance(one, Brick) and type(one) is type(other):
            yield from _attributes(one, other, f"{path}{name}.")
        elif one != other:
            yield path + name, Change(form.write(one), form.write(other))


# -- training and weights ----------------------------------------------------------------------------------------------


def _training(old: Training | None, new: Training | None) -> Iterator[tuple[str, Change]]:
    """What differs, by dotted path."""
    if old is None or new is None:
        if old is not new:
            yield "training", Change(old and old.to_json(), new and new.to_json())
        return
    yield from _attributes(old, new)


def _weights(old: Side, new: Side, matches: Matches) -> Weights:
    found = Weights([], {}, {}, [], [])
    taken = set()
    for name, shape in new.weights.items():
        owner, slash, rest = name.partition("/")
        before = matches.before.get(owner, "") + slash + rest
        if before not in old.weights:
            found.missing.append(name)
            continue
        taken.add(before)
        if old.weights[before] != shape:
            found.reshaped[name] = Change(old.weights[before], shape)
        elif before != name:
            found.renamed[name] = before
        else:
            found.fitting.append(name)
    found.unused.extend(name for name in old.weights if name not in taken)
    return found
