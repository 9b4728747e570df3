"""Runs of steps that could be uses of a block: what they take, and what of them is taken."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import dumps

from .entries import FlatModel, SpecEntry

MIN_BLOCK_LAYERS = 3
"""Layers of the smallest block."""

MAX_BLOCK_LAYERS = 200
"""Layers of the greatest: beyond that it is no block but a network."""

INNER_REFERENCE = re.compile(r"#(\d+)")
"""How a step inside is meant: by its place."""


@dataclass(frozen=True)
class LayerRun:
    """Steps that stand one after the other."""

    prefix: str
    """The beginning that their names share, less an underscore; none where their names are their own."""
    start: int
    entries: tuple[SpecEntry, ...]
    sources: tuple[tuple[str, ...], ...]
    """Of each step: what it takes. `#3` is the step at that place, `input`, `input_2` are what comes from outside."""
    outer_sources: tuple[str, ...]
    """What comes from outside, in the order in which it is taken."""
    output_index: int
    """The place of the step whose result alone is used outside."""

    @property
    def end(self) -> int:
        return self.start + len(self.entries)

    @property
    def names(self) -> list[str]:
        """The names of the steps inside."""
        return [step.name[len(self.prefix) + 1 if self.prefix else 0 :] for step in self.entries]

    @property
    def structure_key(self) -> str:
        """What equal runs agree in: all but values of arguments that are no objects, and names of their own."""
        steps = [
            [step.spec["type"], sources, {k: v for k, v in step.spec.items() if isinstance(v, dict)}]
            for step, sources in zip(self.entries, self.sources, strict=True)
        ]
        return dumps(
            [steps, self.names if self.prefix else [], len(self.outer_sources), self.output_index], sort_keys=True
        )

    def sources_with_names(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """What each step takes, if the steps have these names."""
        return [
            tuple(INNER_REFERENCE.sub(lambda at: names[int(at[1])], one) for one in sources) for sources in self.sources
        ]


Consumers = Mapping[str, Mapping[str, Sequence[int]]]
"""By layer, and by result of it: the places of the steps that take it."""


def find_consumers(flat_model: FlatModel) -> Consumers:
    """What is taken where; outputs count as a step behind the last."""
    found: dict[str, dict[str, list[int]]] = {}
    takers = [(place, source) for place, step in enumerate(flat_model.entries) for source in step.sources]
    for place, source in [*takers, *((len(flat_model.entries), name) for name in flat_model.outputs)]:
        found.setdefault(source.partition(".")[0], {}).setdefault(source, []).append(place)
    return found


def layer_run(prefix: str, start: int, entries: Sequence[SpecEntry], consumers: Consumers) -> LayerRun | None:
    """The run of some steps; None where it has not just one result."""
    end = start + len(entries)
    inside = {step.name: place for place, step in enumerate(entries)}
    outside: dict[str, str] = {}
    sources = []
    for step in entries:
        given = []
        for source in step.sources:
            layer, dot, result = source.partition(".")
            if layer in inside:
                given.append(f"#{inside[layer]}{dot}{result}")
            else:
                number = len(outside) + 1
                given.append(outside.setdefault(source, f"input_{number}" if number > 1 else "input"))
        sources.append(tuple(given))
    results = [
        name
        for step in entries
        for name, takers in consumers.get(step.name, {}).items()
        if any(not start <= place < end for place in takers)
    ]
    if len(results) != 1 or "." in results[0] or not outside:
        return None
    run = LayerRun(prefix, start, tuple(entries), tuple(sources), tuple(outside), inside[results[0]])
    return None if set(run.names) & set(outside.values()) else run
