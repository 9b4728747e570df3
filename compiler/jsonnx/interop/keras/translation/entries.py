"""The flat model that a Keras model is translated to: one spec entry per call, connected by names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ....core.components import Json
from ....core.diagnostics import JsonPath
from ....core.types import ShapeError
from ....frontend.expansion.expressions import escape_expressions
from .layer_entries import LayerEntry
from .masks import NamedTensor, output_mask

Results = Any
"""The results of a call: a tensor, a list of tensors, or a structure of them. None after an error."""


class SpecEntry(NamedTuple):
    """An entry of the spec: a layer with its arguments, or `use` of an earlier layer."""

    name: str
    spec: Mapping[str, Json]
    sources: tuple[str, ...]
    layer_entry: LayerEntry
    keras_path: JsonPath


class WeightOwner(NamedTuple):
    """A layer that may have weights: its name in the spec, its Keras class, and its location in weight files.

    `name_path`, used by legacy `.h5` files, holds the names of the enclosing models, without the outermost, and the
    layer's own Keras name; `group` is the layer's group in a `.weights.h5` file.
    """

    name: str
    class_name: str
    name_path: tuple[str, ...]
    group: str
    is_used: bool = True
    """Whether the layer contributes to an output. The weights of other layers are not imported."""


@dataclass
class FlatModel:
    """A model without nesting: inputs by name, entries in order, outputs."""

    name: str
    inputs: dict[str, dict[str, Json]] = field(default_factory=dict)
    entries: list[SpecEntry] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    input_paths: dict[str, JsonPath] = field(default_factory=dict)
    """The path of each input in the Keras file."""

    def add_entry(self, entry: SpecEntry, inputs: Sequence[NamedTensor]) -> NamedTensor | list[NamedTensor]:
        """Appends an entry and returns its result, or a list if it has several.

        Text from the Keras file is escaped, so that it is never evaluated as an expression of the spec.
        """
        self.entries.append(entry._replace(spec={key: escape_expressions(value) for key, value in entry.spec.items()}))
        layer = entry.layer_entry.layer
        try:
            extra_outputs = layer.output_names()
        except ShapeError:  # an inner layer is wrong: the check of the whole spec reports it
            extra_outputs = ()
        mask, masked_count = output_mask(layer, inputs), layer.masked_output_count()
        names = [entry.name, *(f"{entry.name}.{output}" for output in extra_outputs)]
        results = [NamedTensor(name, mask if index < masked_count else None) for index, name in enumerate(names)]
        return results if extra_outputs else results[0]

    def drop_unused(self) -> None:
        """Removes calls that contribute to no output, such as calls for unused outputs of a nested model.

        If the first call of a shared layer is removed, its next call becomes the entry that defines the layer.
        """
        needed, needed_entries = {producer_name(name) for name in self.outputs}, []
        for entry in reversed(self.entries):
            if entry.name in needed:
                needed |= {producer_name(source) for source in entry.sources}
                needed_entries.append(entry)
        definitions = {entry.name: entry.spec for entry in self.entries if "use" not in entry.spec}
        new_names: dict[str, str] = {}
        defined: set[str] = set()
        self.entries = []
        for entry in reversed(needed_entries):
            owner = str(entry.spec.get("use", entry.name))
            if owner not in defined and owner != entry.name:
                new_names[entry.name] = owner
                entry = entry._replace(name=owner, spec=definitions[owner])
            defined.add(owner)
            sources = tuple(_with_new_name(source, new_names) for source in entry.sources)
            self.entries.append(entry._replace(sources=sources))
        self.outputs = [_with_new_name(name, new_names) for name in self.outputs]


def producer_name(name: str) -> str:
    """The entry that produces the tensor of this name: `lstm` for `lstm.state_h`."""
    return name.partition(".")[0]


def _with_new_name(name: str, new_names: Mapping[str, str]) -> str:
    layer, dot, output = name.partition(".")
    return new_names.get(layer, layer) + dot + output
