"""Runs of consecutive entries that a use of a block can replace: their inputs, structure and output."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import dumps

from ..translation.entries import FlatModel, SpecEntry, producer_name

MIN_BLOCK_LAYERS = 3
"""The number of layers of the smallest block."""

MAX_BLOCK_LAYERS = 200
"""The number of layers of the largest block."""

INNER_REFERENCE = re.compile(r"#(\d+)")
"""A reference to an entry inside the run, by index."""


@dataclass(frozen=True)
class LayerRun:
    """Consecutive entries."""

    prefix: str
    """The common prefix of their names, without the underscore; empty if the names have none."""
    start: int
    entries: tuple[SpecEntry, ...]
    sources: tuple[tuple[str, ...], ...]
    """The sources of each entry: `#3` is the entry of that index, `input` and `input_2` are sources outside the run."""
    outer_sources: tuple[str, ...]
    """The sources outside the run, in order of use."""
    output_index: int
    """The index of the only entry whose result is used outside."""

    @property
    def end(self) -> int:
        return self.start + len(self.entries)

    @property
    def names(self) -> list[str]:
        """The names of the entries, without the prefix."""
        return [entry.name[len(self.prefix) + 1 if self.prefix else 0 :] for entry in self.entries]

    @property
    def structure_key(self) -> str:
        """A key that is equal for runs of equal structure.

        Covers types, sources, arguments that are objects and, if the run has a prefix, names.
        """
        entries = [
            [entry.spec["type"], sources, {k: v for k, v in entry.spec.items() if isinstance(v, dict)}]
            for entry, sources in zip(self.entries, self.sources, strict=True)
        ]
        names = self.names if self.prefix else []
        return dumps([entries, names, len(self.outer_sources), self.output_index], sort_keys=True)

    def sources_with_names(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """The sources of each entry if the entries have these names."""

        def named(source: str) -> str:
            return INNER_REFERENCE.sub(lambda match: names[int(match[1])], source)

        return [tuple(map(named, sources)) for sources in self.sources]


Consumers = Mapping[str, Mapping[str, Sequence[int]]]
"""By entry and by result: the indices of the entries that use it."""


def find_consumers(flat_model: FlatModel) -> Consumers:
    """The consumers of all tensors; a model output counts as used by an entry after the last."""
    consumers: dict[str, dict[str, list[int]]] = {}
    uses = [(index, source) for index, entry in enumerate(flat_model.entries) for source in entry.sources]
    uses += [(len(flat_model.entries), name) for name in flat_model.outputs]
    for index, source in uses:
        consumers.setdefault(producer_name(source), {}).setdefault(source, []).append(index)
    return consumers


def layer_run(prefix: str, start: int, entries: Sequence[SpecEntry], consumers: Consumers) -> LayerRun | None:
    """The run of some entries; None unless it has inputs and exactly one result that is used outside."""
    end = start + len(entries)
    inner_indices = {entry.name: index for index, entry in enumerate(entries)}
    outer_names: dict[str, str] = {}
    sources = []
    for entry in entries:
        references = []
        for source in entry.sources:
            layer, dot, result = source.partition(".")
            if layer in inner_indices:
                references.append(f"#{inner_indices[layer]}{dot}{result}")
            else:
                number = len(outer_names) + 1
                references.append(outer_names.setdefault(source, f"input_{number}" if number > 1 else "input"))
        sources.append(tuple(references))
    results = [
        name
        for entry in entries
        for name, indices in consumers.get(entry.name, {}).items()
        if any(not start <= index < end for index in indices)
    ]
    if len(results) != 1 or "." in results[0] or not outer_names:
        return None
    run = LayerRun(prefix, start, tuple(entries), tuple(sources), tuple(outer_names), inner_indices[results[0]])
    return None if set(run.names) & set(outer_names.values()) else run
