"""What a model becomes: entries of our document, one a call, connected by names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...core.types import ShapeError
from ...frontend.expansion.expressions import escape_expressions
from ...layers import Layer
from .layer_entries import LayerEntry
from .masks import MaskExpression, output_mask


@dataclass(frozen=True)
class NamedTensor:
    """A tensor by its name with us. `mask` says how the mask beside it is made."""

    name: str
    mask: MaskExpression = None
    expression: MaskExpression = None
    """Of a mask that is called with: how it is made itself."""


class SpecEntry(NamedTuple):
    """An entry of our document: a layer with its arguments, or `use` of another."""

    name: str
    spec: Mapping[str, Json]
    sources: tuple[str, ...]
    layer_entry: LayerEntry
    keras_path: JsonPath


class WeightOwner(NamedTuple):
    """A layer that may have weights: our name, Keras' class, and where the layer is in the file.

    `name_path` are the names of the models around it, but for the outermost, and its own, as a legacy `.h5` file has them;
    `group` is its group in a `.weights.h5` file.
    """

    name: str
    class_name: str
    name_path: tuple[str, ...]
    group: str
    is_used: bool = True
    """Whether it leads to an output; else its weights, which the file may have, are not wanted."""


@dataclass
class FlatModel:
    """The whole model: inputs by name, steps, outputs."""

    name: str
    inputs: dict[str, dict[str, Json]] = field(default_factory=dict)
    entries: list[SpecEntry] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    owners: list[WeightOwner] = field(default_factory=list)
    input_paths: dict[str, JsonPath] = field(default_factory=dict)
    """Where each input stands."""

    def add_entry(self, entry: SpecEntry, inputs: list[Any]) -> NamedTensor | list[NamedTensor]:
        """Adds a step; the answer is its result, or all its results. No text of Keras' is an expression of ours."""
        self.entries.append(entry._replace(spec={key: escape_expressions(value) for key, value in entry.spec.items()}))
        brick = entry.layer_entry.layer
        assert isinstance(brick, Layer)
        try:
            more = brick.output_names()
        except ShapeError:  # what is wrong with a layer inside it, the check of the whole says
            more = ()
        mask, masked = output_mask(brick, inputs), brick.masked_output_count()
        names = [entry.name, *(f"{entry.name}.{output}" for output in more)]
        results = [NamedTensor(name, mask if place < masked else None) for place, name in enumerate(names)]
        return results if more else results[0]

    def drop_unused(self) -> None:
        """Drops calls that lead to no output, as of a nested model of which not all outputs are taken."""
        needed, kept = {producer_name(name) for name in self.outputs}, []
        for step in reversed(self.entries):
            if step.name in needed:
                needed |= {producer_name(source) for source in step.sources}
                kept.append(step)
        firsts = {step.name: step.spec for step in self.entries if "use" not in step.spec}
        renamed: dict[str, str] = {}
        there: set[str] = set()
        self.entries = []
        for step in reversed(kept):
            owner = str(step.spec.get("use", step.name))
            if owner not in there and owner != step.name:  # the layer's first call is gone
                renamed[step.name] = owner
                step = step._replace(name=owner, spec=firsts[owner])
            there.add(owner)
            self.entries.append(
                step._replace(sources=tuple(_with_new_name(source, renamed) for source in step.sources))
            )
        self.outputs = [_with_new_name(name, renamed) for name in self.outputs]


def producer_name(name: str) -> str:
    """The entry whose result a name means."""
    return name.partition(".")[0]


def _with_new_name(name: str, new_names: Mapping[str, str]) -> str:
    layer, dot, output = name.partition(".")
    return new_names.get(layer, layer) + dot + output
