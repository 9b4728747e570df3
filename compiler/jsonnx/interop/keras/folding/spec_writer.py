"""Writes a flat model as a concise spec: names and sources are omitted if they are the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....core.components import Json
from ....frontend.default_names import default_name, free_name
from ..translation.entries import FlatModel, SpecEntry

MAX_ROUNDS = 8
"""Iterations to find the names that can be omitted; beyond that, all names are written."""


def spec_document(flat_model: FlatModel, training: Json = None) -> dict[str, Any]:
    """The spec of a model, without blocks."""
    name_is_required = required_names(flat_model.entries, flat_model.inputs)
    previous = next(iter(flat_model.inputs)) if len(flat_model.inputs) == 1 else None
    layers: list[dict[str, Json]] = []
    for entry, with_name in zip(flat_model.entries, name_is_required, strict=True):
        layers.append(entry_json(entry, with_name, previous))
        previous = entry.name
    spec: dict[str, Any] = {} if flat_model.name == "model" else {"name": flat_model.name}
    spec |= {"inputs": flat_model.inputs, "layers": layers}
    if flat_model.entries and flat_model.outputs != [flat_model.entries[-1].name]:
        spec["outputs"] = flat_model.outputs[0] if len(flat_model.outputs) == 1 else flat_model.outputs
    return spec if training is None else spec | {"training": training}


def entry_json(entry: SpecEntry, with_name: bool, previous: str | None) -> dict[str, Json]:
    """The JSON of an entry. `from` is omitted if the only source is the previous entry."""
    first_key = "use" if "use" in entry.spec else "type"
    json: dict[str, Json] = {first_key: entry.spec[first_key]}
    if with_name:
        json["name"] = entry.name
    if entry.sources != (previous,):
        json["from"] = entry.sources[0] if len(entry.sources) == 1 else list(entry.sources)
    return json | {key: value for key, value in entry.spec.items() if key != first_key}


def required_names(entries: Sequence[SpecEntry], inputs: Mapping[str, Any]) -> list[bool]:
    """For each entry whether its name must be written, because its default name would differ.

    Default names depend on the names that are written, so this iterates to a fixed point.
    """
    is_written = [False] * len(entries)
    for _ in range(MAX_ROUNDS):
        names = default_names(entries, is_written, inputs)
        differs = [name != entry.name for name, entry in zip(names, entries, strict=True)]
        if not any(differs):
            return is_written
        is_written = [written or wrong for written, wrong in zip(is_written, differs, strict=True)]
    return [True] * len(entries)


def default_names(
    entries: Sequence[SpecEntry], name_is_written: Sequence[bool], inputs: Mapping[str, Any]
) -> list[str]:
    """The names that the entries have if only some names are written."""
    written_names = {entry.name.lower() for entry, written in zip(entries, name_is_written, strict=True) if written}
    used_names = {name.lower() for name in inputs} | written_names
    numbers: dict[str, int] = {}
    names = []
    for entry, written in zip(entries, name_is_written, strict=True):
        name = entry.name
        if not written:
            is_use = "use" in entry.spec
            base = str(entry.spec["use"]) if is_use else default_name(str(entry.spec["type"]))
            name = free_name(base, used_names, numbers, int(is_use))
            used_names.add(name.lower())
        names.append(name)
    return names
