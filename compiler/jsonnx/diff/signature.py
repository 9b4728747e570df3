"""What changes for those who run a model: inputs, outputs, labels; and whether they must change too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..analysis.shape_inference import TypedNetwork
from ..core.types import TensorType
from .matching import ComparedNetwork, LayerMatches

INPUT, OUTPUT, LABELS, MODEL = "input", "output", "labels", "model"


class SignatureChange(NamedTuple):
    """One change, in words; `breaks` where a program that runs the old model does not run the new one as it is."""

    part: str
    name: str
    message: str
    breaks: bool


@dataclass
class _SignatureComparison:
    old: TypedNetwork
    new: TypedNetwork
    matches: LayerMatches
    symbols: Mapping[str, str]
    changes: list[SignatureChange] = field(default_factory=list)

    def add(self, part: str, name: str, message: str, breaks: bool = True) -> None:
        self.changes.append(SignatureChange(part, name, message, breaks))


def signature_changes(
    old: ComparedNetwork, new: ComparedNetwork, matches: LayerMatches, symbols: Mapping[str, str]
) -> list[SignatureChange]:
    """Every change, those of inputs first; `symbols` are today's names of sizes."""
    of = _SignatureComparison(old.typed, new.typed, matches, symbols)
    if old.network.name != new.network.name:
        of.add(MODEL, new.network.name, f"was called {old.network.name!r}", breaks=False)
    _compare_inputs(of)
    _compare_outputs(of)
    _compare_labels(of, old.network.labels, new.network.labels)
    return of.changes


def _compare_inputs(comparison: _SignatureComparison) -> None:
    now = comparison.matches.input_names
    for name, type in comparison.old.inputs.items():
        if name not in now:
            comparison.add(INPUT, name, f"is gone: {type}")
            continue
        if now[name] != name:
            comparison.add(INPUT, name, f"is called {now[name]!r} now")
        _compare_input_type(comparison, now[name], type, comparison.new.inputs[now[name]])
    for name, type in comparison.new.inputs.items():
        if name not in now.values():
            comparison.add(INPUT, name, f"is new, and must be fed: {type}")
    _compare_order(
        comparison, INPUT, [now[name] for name in comparison.old.inputs if name in now], list(comparison.new.inputs)
    )


def _compare_input_type(comparison: _SignatureComparison, name: str, old: TensorType, new: TensorType) -> None:
    """An axis of a free size takes what one of a fixed size took."""
    if old.dtype != new.dtype or old.rank != new.rank:
        comparison.add(INPUT, name, f"is {new}, was {old}")
        return
    narrowed = False
    for before, after in zip(old.shape, new.shape, strict=True):
        if isinstance(after, int):
            narrowed = narrowed or before != after
    if str(old) != str(new):
        comparison.add(INPUT, name, f"is {new}, was {old}", breaks=narrowed)


def _compare_outputs(comparison: _SignatureComparison) -> None:
    now = {name: comparison.matches.new_name(name) for name in comparison.old.outputs}
    there = {name: other for name, other in now.items() if other in comparison.new.outputs}
    for name, type in comparison.old.outputs.items():
        if name not in there:
            comparison.add(OUTPUT, name, f"is gone: {type}")
            continue
        if there[name] != name:
            comparison.add(OUTPUT, name, f"is called {there[name]!r} now")
        other = comparison.new.outputs[there[name]]
        if str(type) != str(other):
            renamed = type_text_with_sizes(type, comparison.symbols) == str(other)
            comparison.add(OUTPUT, there[name], f"is {other}, was {type}", breaks=not renamed)
    for name, type in comparison.new.outputs.items():
        if name not in there.values():
            comparison.add(OUTPUT, name, f"is new: {type}", breaks=False)
    _compare_order(comparison, OUTPUT, list(there.values()), list(comparison.new.outputs))


def size_renames(old: TypedNetwork, new: TypedNetwork, matches: LayerMatches) -> dict[str, str]:
    """Today's names of the sizes that the inputs know by name."""
    found: dict[str, str] = {}
    for name, type in old.inputs.items():
        other = new.inputs.get(matches.input_names.get(name, ""))
        for before, after in zip(type.shape, other.shape if other else (), strict=False):
            if not isinstance(before, int) and not isinstance(after, int):
                found.setdefault(str(before), str(after))
    return found


def type_text_with_sizes(type: TensorType, symbols: Mapping[str, str]) -> str:
    """An old type with today's names of sizes."""
    named = (re.sub(r"[^\W\d][\w-]*", lambda word: symbols.get(word[0], word[0]), str(size)) for size in type.shape)
    return f"{type.dtype}[{', '.join(named)}]"


def _compare_order(comparison: _SignatureComparison, part: str, old: Sequence[str], new: Sequence[str]) -> None:
    """Programs count inputs and outputs too: what was the first must be the first."""
    kept = [name for name in new if name in old]
    if kept != list(old):
        comparison.add(part, ", ".join(kept), f"stand in another order: they were {', '.join(old)}")
    elif list(new[: len(old)]) != list(old):
        comparison.add(part, ", ".join(kept), f"stand behind new ones: {', '.join(new)}")


def _compare_labels(
    comparison: _SignatureComparison, old: Mapping[str, Sequence[str]], new: Mapping[str, Sequence[str]]
) -> None:
    before = {comparison.matches.new_name(name): labels for name, labels in old.items()}
    for name in dict.fromkeys([*before, *new]):
        one, other = before.get(name), new.get(name)
        if one == other or (other is None and name not in comparison.new.outputs):
            continue  # that the output is gone is told
        if one is None or other is None:
            comparison.add(
                LABELS, name, "are given now" if one is None else "are no longer given", breaks=other is None
            )
        elif sorted(one) == sorted(other):
            comparison.add(LABELS, name, "stand in another order: what was one class is another now")
        else:
            comparison.add(LABELS, name, _changed_labels_text(one, other))


def _changed_labels_text(old: Sequence[str], new: Sequence[str]) -> str:
    gone, come = ([label for label in some if label not in others] for some, others in ((old, new), (new, old)))
    parts = [
        f"{word} {', '.join(map(repr, names[:8]))}" for word, names in (("without", gone), ("with", come)) if names
    ]
    return f"are others: {' and '.join(parts) or 'some stand twice'}"
