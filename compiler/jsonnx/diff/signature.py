"""Compares the signatures of two networks: inputs, outputs and labels, as programs that run the model see them."""

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
    """One change, as a text; `breaks` if a program that runs the old model cannot run the new one unchanged."""

    part: str
    name: str
    message: str
    breaks: bool


@dataclass
class _SignatureComparison:
    """The networks that are compared, and the changes found so far."""

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
    """All changes, of inputs first; `symbols` are the new names of symbolic sizes, by the old ones."""
    comparison = _SignatureComparison(old.typed, new.typed, matches, symbols)
    if old.network.name != new.network.name:
        comparison.add(MODEL, new.network.name, f"was called {old.network.name!r}", breaks=False)
    _compare_inputs(comparison)
    _compare_outputs(comparison)
    _compare_labels(comparison, old.network.labels, new.network.labels)
    return comparison.changes


def _compare_inputs(comparison: _SignatureComparison) -> None:
    """Compares the inputs of the compiled models, without inputs that only a loss reads."""
    old_inputs, new_inputs = comparison.old.network.inference_inputs, comparison.new.network.inference_inputs
    pairs = comparison.matches.input_names.items()
    new_names = {old: new for old, new in pairs if old in old_inputs and new in new_inputs}
    for name, type in old_inputs.items():
        if name not in new_names:
            comparison.add(INPUT, name, f"was removed: {type}")
            continue
        if new_names[name] != name:
            comparison.add(INPUT, name, f"was renamed to {new_names[name]!r}")
        _compare_input_type(comparison, new_names[name], type, new_inputs[new_names[name]])
    for name, type in new_inputs.items():
        if name not in new_names.values():
            comparison.add(INPUT, name, f"is new and must be fed: {type}")
    old_order = [new_names[name] for name in old_inputs if name in new_names]
    _compare_order(comparison, INPUT, old_order, list(new_inputs))


def _compare_input_type(comparison: _SignatureComparison, name: str, old: TensorType, new: TensorType) -> None:
    """Compares the types of an input. A symbolic size in place of a fixed one breaks nothing."""
    if old.dtype != new.dtype or old.rank != new.rank:
        comparison.add(INPUT, name, f"is {new}, was {old}")
    elif str(old) != str(new):
        sizes = zip(old.shape, new.shape, strict=True)
        is_narrower = any(isinstance(new_size, int) and old_size != new_size for old_size, new_size in sizes)
        comparison.add(INPUT, name, f"is {new}, was {old}", breaks=is_narrower)


def _compare_outputs(comparison: _SignatureComparison) -> None:
    new_names = {name: comparison.matches.new_name(name) for name in comparison.old.inference_outputs}
    new_names = {name: new_name for name, new_name in new_names.items() if new_name in comparison.new.inference_outputs}
    for name, type in comparison.old.inference_outputs.items():
        if name not in new_names:
            comparison.add(OUTPUT, name, f"was removed: {type}")
            continue
        if new_names[name] != name:
            comparison.add(OUTPUT, name, f"was renamed to {new_names[name]!r}")
        new_type = comparison.new.inference_outputs[new_names[name]]
        if str(type) != str(new_type):
            only_sizes_renamed = type_text_with_sizes(type, comparison.symbols) == str(new_type)
            comparison.add(OUTPUT, new_names[name], f"is {new_type}, was {type}", breaks=not only_sizes_renamed)
    for name, type in comparison.new.inference_outputs.items():
        if name not in new_names.values():
            comparison.add(OUTPUT, name, f"is new: {type}", breaks=False)
    _compare_order(comparison, OUTPUT, list(new_names.values()), list(comparison.new.inference_outputs))


def size_renames(old: TypedNetwork, new: TypedNetwork, matches: LayerMatches) -> dict[str, str]:
    """The new names of the symbolic sizes of the inputs, by the old ones."""
    renames: dict[str, str] = {}
    for name, type in old.inputs.items():
        new_type = new.inputs.get(matches.input_names.get(name, ""))
        for old_size, new_size in zip(type.shape, new_type.shape if new_type else (), strict=False):
            if not isinstance(old_size, int) and not isinstance(new_size, int):
                renames.setdefault(str(old_size), str(new_size))
    return renames


def type_text_with_sizes(type: TensorType, symbols: Mapping[str, str]) -> str:
    """A type as text, with the names of symbolic sizes replaced according to `symbols`."""
    sizes = (re.sub(r"[^\W\d][\w-]*", lambda word: symbols.get(word[0], word[0]), str(size)) for size in type.shape)
    return f"{type.dtype}[{', '.join(sizes)}]"


def _compare_order(comparison: _SignatureComparison, part: str, old: Sequence[str], new: Sequence[str]) -> None:
    """Compares the order of inputs or outputs, since programs may address them by position."""
    kept = [name for name in new if name in old]
    if kept != list(old):
        comparison.add(part, ", ".join(kept), f"are in a different order: they were {', '.join(old)}")
    elif list(new[: len(old)]) != list(old):
        comparison.add(part, ", ".join(kept), f"come after new ones: {', '.join(new)}")


def _compare_labels(
    comparison: _SignatureComparison, old: Mapping[str, Sequence[str]], new: Mapping[str, Sequence[str]]
) -> None:
    renamed_old = {comparison.matches.new_name(name): labels for name, labels in old.items()}
    for name in dict.fromkeys([*renamed_old, *new]):
        old_labels, new_labels = renamed_old.get(name), new.get(name)
        if old_labels == new_labels or (new_labels is None and name not in comparison.new.inference_outputs):
            continue  # the removed output is reported already
        if old_labels is None:
            comparison.add(LABELS, name, "were added", breaks=False)
        elif new_labels is None:
            comparison.add(LABELS, name, "were removed")
        elif sorted(old_labels) == sorted(new_labels):
            comparison.add(LABELS, name, "are in a different order: class indexes have a different meaning")
        else:
            comparison.add(LABELS, name, _changed_labels_text(old_labels, new_labels))


def _changed_labels_text(old: Sequence[str], new: Sequence[str]) -> str:
    removed = [label for label in old if label not in new]
    added = [label for label in new if label not in old]
    parts = [
        f"{word} {', '.join(map(repr, labels[:8]))}"
        for word, labels in (("without", removed), ("with", added))
        if labels
    ]
    moved = [label for label in new if label in old and old.index(label) != new.index(label)]
    other_indexes = f"; {', '.join(map(repr, moved[:8]))} with another class index" if moved else ""
    return f"differ: {' and '.join(parts) or 'some occur twice'}{other_indexes}"
