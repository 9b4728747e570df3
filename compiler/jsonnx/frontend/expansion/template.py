"""What the entries of a network or of a block come to, for given values of the parameters, before names are joined.

A `Template` is made once for a block and values, however often the block is used with them: so what a document comes to
is counted before it is written out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ..schema.phrases import quoted
from .block_definitions import Block

LAYERS_AT_MOST = 100_000
"""Layers that a document may come to."""

Ref = int | str
"""A value in a template: an input by its number, or a value inside by its name."""


class Frame(NamedTuple):
    """A use of a block, in which others may stand. `given` is the entry that has the arguments.

    Without a name it is none: the block is looked at by itself.
    """

    path: JsonPath
    given: JsonPath
    name: str
    block: Block
    around: Frame | None
    uses: tuple[tuple[str, str], ...] = ()
    """This use and those around it, from the outermost, by their whole names, and which blocks they are."""

    def chain(self) -> list[Frame]:
        """The uses, from this one outwards."""
        found: list[Frame] = []
        frame: Frame | None = self
        while frame is not None:
            found.append(frame)
            frame = frame.around
        return found


def notes_of(frame: Frame | None) -> tuple[tuple[JsonPath, str], ...]:
    """What is to be said beside a fault inside a block."""
    uses = [use for use in frame.chain() if use.name] if frame else []
    return tuple((use.path, f"in block {quoted(use.block.name)}, used here as {quoted(use.name)}") for use in uses)


@dataclass(eq=False)
class Step:
    """One entry, once. A layer has its keys in `body`; a block its template."""

    path: JsonPath
    body: Json
    name: str = ""
    block: Block | None = None
    template: Template | None = None
    owner: Step | None = None
    """The step that this one `use`s."""
    gone: bool = False
    """Whether it stands for an entry that is repeated 0 times, in the eyes of what took it."""
    sources: list[Ref | None] | None = None
    """What it takes; None where that is not written as names."""
    wrong: list[JsonPath] = field(default_factory=list)
    """What of it is known to be wrong."""

    @property
    def prefix(self) -> str:
        """What stands before the names of the layers in a block; always something where it is called again."""
        return "" if self.block is not None and self.block.own_names and not self.uses else f"{self.name}_"

    @property
    def uses(self) -> bool:
        return isinstance(self.body, dict) and "use" in self.body

    @property
    def count(self) -> int:
        """The layers that it comes to."""
        return self.template.count if self.template else 1


@dataclass(eq=False)
class Template:
    """Steps, what they result in by name, and how much that is. Beyond what is allowed steps are counted only."""

    steps: list[Step]
    outputs: dict[str, Ref]
    count: int
    weight: int
    exact: bool = True
    """Whether `count` is all, or what was counted until it was enough."""
    largest: tuple[int, JsonPath] = (0, ())
    """The entry that comes to most layers, and how many."""

    @property
    def first(self) -> Ref | None:
        return next(iter(self.outputs.values()), None)
