"""Steps as a document that reads as if a person had written it: nothing is said that goes without saying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.components import Json
from ...frontend.default_names import default_name, free_name
from .entries import Flat, Step

ROUNDS = 8


def document(flat: Flat, training: Json = None) -> dict[str, Any]:
    """The flat document of a model."""
    named = needed_names(flat.steps, flat.inputs)
    before = next(iter(flat.inputs)) if len(flat.inputs) == 1 else None
    layers: list[dict[str, Json]] = []
    for step, name in zip(flat.steps, named, strict=True):
        layers.append(entry(step, name, before))
        before = step.name
    written: dict[str, Any] = {} if flat.name == "model" else {"name": flat.name}
    written |= {"inputs": flat.inputs, "layers": layers}
    if flat.steps and flat.outputs != [flat.steps[-1].name]:
        written["outputs"] = flat.outputs[0] if len(flat.outputs) == 1 else flat.outputs
    return written if training is None else written | {"training": training}


def entry(step: Step, named: bool, before: str | None) -> dict[str, Json]:
    """One entry: its type, its name and what it takes where those are not clear, and its arguments."""
    first = "use" if "use" in step.spec else "type"
    written: dict[str, Json] = {first: step.spec[first]}
    if named:
        written["name"] = step.name
    if step.sources != (before,):
        written["from"] = step.sources[0] if len(step.sources) == 1 else list(step.sources)
    return written | {key: value for key, value in step.spec.items() if key != first}


def needed_names(steps: Sequence[Step], inputs: Mapping[str, Any]) -> list[bool]:
    """Of each entry, whether its name has to be written: whether it would be called otherwise without.

    What one name is without depends on those that are written, so it is tried until nothing changes.
    """
    written = [False] * len(steps)
    for _ in range(ROUNDS):
        would = default_names(steps, written, inputs)
        wrong = [name != step.name for name, step in zip(would, steps, strict=True)]
        if not any(wrong):
            return written
        written = [one or other for one, other in zip(written, wrong, strict=True)]
    return [True] * len(steps)


def default_names(steps: Sequence[Step], written: Sequence[bool], inputs: Mapping[str, Any]) -> list[str]:
    """What entries are called if some of their names are written."""
    taken = {name.lower() for name in inputs} | {
        step.name.lower() for step, said in zip(steps, written, strict=True) if said
    }
    numbers: dict[str, int] = {}
    names = []
    for step, said in zip(steps, written, strict=True):
        name = step.name
        if not said:
            again = "use" in step.spec
            base = str(step.spec["use"]) if again else default_name(str(step.spec["type"]))
            name = free_name(base, taken, numbers, int(again))
            taken.add(name.lower())
        names.append(name)
    return names
