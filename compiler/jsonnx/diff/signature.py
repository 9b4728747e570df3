"""What changes for those who run a model: inputs, outputs, labels; and whether they must change too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..analysis.shape_inference import TypedNetwork
from ..core.types import TensorType
from .matching import Matches, Side

INPUT, OUTPUT, LABELS, MODEL = "input", "output", "labels", "model"


class SignatureChange(NamedTuple):
    """One change, in words; `breaks` where a program that runs the old model does not run the new one as it is."""

    part: str
    name: str
    message: str
    breaks: bool


@dataclass
class _Signature:
    old: TypedNetwork
    new: TypedNetwork
    matches: Matches
    symbols: Mapping[str, str]
    found: list[SignatureChange] = field(default_factory=list)

    def add(self, part: str, name: str, message: str, breaks: bool = True) -> None:
        self.found.append(SignatureChange(part, name, message, breaks))


def signature_changes(old: Side, new: Side, matches: Matches, symbols: Mapping[str, str]) -> list[SignatureChange]:
    """Every change, those of inputs first; `symbols` are today's names of sizes."""
    of = _Signature(old.typed, new.typed, matches, symbols)
    if old.network.name != new.network.name:
        of.add(MODEL, new.network.name, f"was called {old.network.name!r}", breaks=False)
    _inputs(of)
    _outputs(of)
    _labels(of, old.network.labels, new.network.labels)
    return of.found


def _inputs(of: _Signature) -> None:
    now = of.matches.inputs
    for name, type in of.old.inputs.items():
        if name not in now:
            of.add(INPUT, name, f"is gone: {type}")
            continue
        if now[name] != name:
            of.add(INPUT, name, f"is called {now[name]!r} now")
        _input_type(of, now[name], type, of.new.inputs[now[name]])
    for name, type in of.new.inputs.items():
        if name not in now.values():
            of.add(INPUT, name, f"is new, and must be fed: {type}")
    _order(of, INPUT, [now[name] for name in of.old.inputs if name in now], list(of.new.inputs))


def _input_type(of: _Signature, name: str, old: TensorType, new: TensorType) -> None:
    """An axis of a free size takes what one of a fixed size took."""
    if old.dtype != new.dtype or old.rank != new.rank:
        of.add(INPUT, name, f"is {new}, was {old}")
        return
    narrowed = False
    for before, after in zip(old.shape, new.shape, strict=True):
        if isinstance(after, int):
            narrowed = narrowed or before != after
    if str(old) != str(new):
        of.add(INPUT, name, f"is {new}, was {old}", breaks=narrowed)


def _outputs(of: _Signature) -> None:
    now = {name: of.matches.called(name) for name in of.old.outputs}
    there = {name: other for name, other in now.items() if other in of.new.outputs}
    for name, type in of.old.outputs.items():
        if name not in there:
            of.add(OUTPUT, name, f"is gone: {type}")
            continue
        if there[name] != name:
            of.add(OUTPUT, name, f"is called {there[name]!r} now")
        other = of.new.outputs[there[name]]
        if str(type) != str(other):
            renamed = renamed_sizes(type, of.symbols) == str(other)
            of.add(OUTPUT, there[name], f"is {other}, was {type}", breaks=not renamed)
    for name, type in of.new.outputs.items():
        if name not in there.values():
            of.add(OUTPUT, name, f"is new: {type}", breaks=False)
    _order(of, OUTPUT, list(there.values()), list(of.new.outputs))


def todays_sizes(old: TypedNetwork, new: TypedNetwork, matches: Matches) -> dict[str, str]:
    """Today's names of the sizes that the inputs know by name."""
    found: dict[str, str] = {}
    for name, type in old.inputs.items():
        other = new.inputs.get(matches.inputs.get(name, ""))
        for before, after in zip(type.shape, other.shape if other else (), strict=False):
            if not isinstance(before, int) and not isinstance(after, int):
                found.setdefault(str(before), str(after))
    return found


def renamed_sizes(type: TensorType, symbols: Mapping[str, str]) -> str:
    """An old type with today's names of sizes."""
    named = (re.sub(r"[^\W\d][\w-]*", lambda word: symbols.get(word[0], word[0]), str(size)) for size in type.shape)
    return f"{type.dtype}[{', '.join(named)}]"


def _order(of: _Signature, part: str, old: Sequence[str], new: Sequence[str]) -> None:
    """Programs count inputs and outputs too: what was the first must be the first."""
    kept = [name for name in new if name in old]
    if kept != list(old):
        of.add(part, ", ".join(kept), f"stand in another order: they were {', '.join(old)}")
    elif list(new[: len(old)]) != list(old):
        of.add(part, ", ".join(kept), f"stand behind new ones: {', '.join(new)}")


def _labels(of: _Signature, old: Mapping[str, Sequence[str]], new: Mapping[str, Sequence[str]]) -> None:
    before = {of.matches.called(name): labels for name, labels in old.items()}
    for name in dict.fromkeys([*before, *new]):
        one, other = before.get(name), new.get(name)
        if one == other or (other is None and name not in of.new.outputs):
            continue  # that the output is gone is told
        if one is None or other is None:
            of.add(LABELS, name, "are given now" if one is None else "are no longer given", breaks=other is None)
        elif sorted(one) == sorted(other):
            of.add(LABELS, name, "stand in another order: what was one class is another now")
        else:
            of.add(LABELS, name, _named(one, other))


def _named(old: Sequence[str], new: Sequence[str]) -> str:
    gone, come = ([label for label in some if label not in others] for some, others in ((old, new), (new, old)))
    parts = [
        f"{word} {', '.join(map(repr, names[:8]))}" for word, names in (("without", gone), ("with", come)) if names
    ]
    return f"are others: {' and '.join(parts) or 'some stand twice'}"
