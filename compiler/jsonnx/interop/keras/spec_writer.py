"""Steps as a document that reads as if a person had written it: nothing is said that goes without saying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.components import Json
from ...frontend.default_names import default_name, free_name
from .entries import FlatModel, SpecEntry

MAX_ROUNDS = 8


def spec_document(flat_model: FlatModel, training: Json = None) -> dict[str, Any]:
    """The flat document of a model."""
    named = required_names(flat_model.entries, flat_model.inputs)
    before = next(iter(flat_model.inputs)) if len(flat_model.inputs) == 1 else None
    layers: list[dict[str, Json]] = []
    for step, name in zip(flat_model.entries, named, strict=True):
        layers.append(entry_json(step, name, before))
        before = step.name
    written: dict[str, Any] = {} if flat_model.name == "model" else {"name": flat_model.name}
    written |= {"inputs": flat_model.inputs, "layers": layers}
    if flat_model.entries and flat_model.outputs != [flat_model.entries[-1].name]:
        written["outputs"] = flat_model.outputs[0] if len(flat_model.outputs) == 1 else flat_model.outputs
    return written if training is None else written | {"training": training}


def entry_json(entry: SpecEntry, with_name: bool, previous: str | None) -> dict[str, Json]:
    """One entry: its type, its name and what it takes where those are not clear, and its arguments."""
    first = "use" if "use" in entry.spec else "type"
    written: dict[str, Json] = {first: entry.spec[first]}
    if with_name:
        written["name"] = entry.name
    if entry.sources != (previous,):
        written["from"] = entry.sources[0] if len(entry.sources) == 1 else list(entry.sources)
    return written | {key: value for key, value in entry.spec.items() if key != first}


def required_names(entries: Sequence[SpecEntry], inputs: Mapping[str, Any]) -> list[bool]:
    """Of each entry, whether its name has to be written: whether it would be called otherwise without.

    What one name is without depends on those that are written, so it is tried until nothing changes.
    """
    written = [False] * len(entries)
    for _ in range(MAX_ROUNDS):
        would = default_names(entries, written, inputs)
        wrong = [name != step.name for name, step in zip(would, entries, strict=True)]
        if not any(wrong):
            return written
        written = [one or other for one, other in zip(written, wrong, strict=True)]
    return [True] * len(entries)


def default_names(
    entries: Sequence[SpecEntry], name_is_written: Sequence[bool], inputs: Mapping[str, Any]
) -> list[str]:
    """What entries are called if some of their names are written."""
    taken = {name.lower() for name in inputs} | {
        step.name.lower() for step, said in zip(entries, name_is_written, strict=True) if said
    }
    numbers: dict[str, int] = {}
    names = []
    for step, said in zip(entries, name_is_written, strict=True):
        name = step.name
        if not said:
            again = "use" in step.spec
            base = str(step.spec["use"]) if again else default_name(str(step.spec["type"]))
            name = free_name(base, taken, numbers, int(again))
            taken.add(name.lower())
        names.append(name)
    return names
