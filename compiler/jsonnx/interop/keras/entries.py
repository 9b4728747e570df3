"""What a model becomes: entries of our document, one a call, connected by names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...core.types import ShapeError
from ...frontend.expansion.expressions import escaped
from ...layers import Layer
from .layer_entries import Entry
from .masks import Key, mask_beside


@dataclass(frozen=True)
class Value:
    """A tensor by its name with us. `mask` says how the mask beside it is made."""

    name: str
    mask: Key = None
    made: Key = None
    """Of a mask that is called with: how it is made itself."""


class Step(NamedTuple):
    """An entry of our document: a layer with its arguments, or `use` of another."""

    name: str
    spec: Mapping[str, Json]
    sources: tuple[str, ...]
    entry: Entry
    path: JsonPath


class Owner(NamedTuple):
    """A layer that may have weights: our name, Keras' class, and where the layer is in the file.

    `names` are the names of the models around it, but for the outermost, and its own, as a legacy `.h5` file has them;
    `group` is its group in a `.weights.h5` file.
    """

    name: str
    kind: str
    names: tuple[str, ...]
    group: str
    used: bool = True
    """Whether it leads to an output; else its weights, which the file may have, are not wanted."""


@dataclass
class Flat:
    """The whole model: inputs by name, steps, outputs."""

    name: str
    inputs: dict[str, dict[str, Json]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    owners: list[Owner] = field(default_factory=list)
    places: dict[str, JsonPath] = field(default_factory=dict)
    """Where each input stands."""

    def add(self, step: Step, inputs: list[Any]) -> Value | list[Value]:
        """Adds a step; the answer is its result, or all its results. No text of Keras' is an expression of ours."""
        self.steps.append(step._replace(spec={key: escaped(value) for key, value in step.spec.items()}))
        brick = step.entry.brick
        assert isinstance(brick, Layer)
        try:
            more = brick.output_names()
        except ShapeError:  # what is wrong with a layer inside it, the check of the whole says
            more = ()
        mask, masked = mask_beside(brick, inputs), brick.masked_outputs()
        names = [step.name, *(f"{step.name}.{output}" for output in more)]
        results = [Value(name, mask if place < masked else None) for place, name in enumerate(names)]
        return results if more else results[0]

    def drop_unused(self) -> None:
        """Drops calls that lead to no output, as of a nested model of which not all outputs are taken."""
        needed, kept = {layer_of(name) for name in self.outputs}, []
        for step in reversed(self.steps):
            if step.name in needed:
                needed |= {layer_of(source) for source in step.sources}
                kept.append(step)
        firsts = {step.name: step.spec for step in self.steps if "use" not in step.spec}
        renamed: dict[str, str] = {}
        there: set[str] = set()
        self.steps = []
        for step in reversed(kept):
            owner = str(step.spec.get("use", step.name))
            if owner not in there and owner != step.name:  # the layer's first call is gone
                renamed[step.name] = owner
                step = step._replace(name=owner, spec=firsts[owner])
            there.add(owner)
            self.steps.append(step._replace(sources=tuple(_renamed(source, renamed) for source in step.sources)))
        self.outputs = [_renamed(name, renamed) for name in self.outputs]


def layer_of(name: str) -> str:
    """The entry whose result a name means."""
    return name.partition(".")[0]


def _renamed(name: str, renamed: Mapping[str, str]) -> str:
    layer, dot, output = name.partition(".")
    return renamed.get(layer, layer) + dot + output
