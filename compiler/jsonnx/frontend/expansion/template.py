"""What the entries of a network or of a block come to, for given values of the parameters, before names are joined.

A `Template` is made once for a block and values, however often the block is used with them: so what a document comes to
is counted before it is written out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ..schema.phrases import short_name
from .block_definitions import BlockDefinition

MAX_LAYERS = 100_000
"""Layers that a document may come to."""

Ref = int | str
"""A value in a template: an input by its number, or a value inside by its name."""


class BlockUse(NamedTuple):
    """A use of a block, in which others may stand. `arguments_path` is the entry that has the arguments.

    Without a name it is none: the block is looked at by itself.
    """

    path: JsonPath
    arguments_path: JsonPath
    name: str
    block: BlockDefinition
    outer: BlockUse | None
    block_uses: tuple[tuple[str, str], ...] = ()
    """This use and those around it, from the outermost, by their whole names, and which blocks they are."""

    def enclosing_uses(self) -> list[BlockUse]:
        """The uses, from this one outwards."""
        found: list[BlockUse] = []
        frame: BlockUse | None = self
        while frame is not None:
            found.append(frame)
            frame = frame.outer
        return found


def block_use_notes(block_use: BlockUse | None) -> tuple[tuple[JsonPath, str], ...]:
    """What is to be said beside a fault inside a block."""
    uses = [use for use in block_use.enclosing_uses() if use.name] if block_use else []
    return tuple(
        (use.path, f"in block {short_name(use.block.name)}, used here as {short_name(use.name)}") for use in uses
    )


@dataclass(eq=False)
class Step:
    """One entry, once. A layer has its keys in `body`; a block its template."""

    path: JsonPath
    body: Json
    name: str = ""
    block: BlockDefinition | None = None
    template: Template | None = None
    used_step: Step | None = None
    """The step that this one `use`s."""
    is_elided: bool = False
    """Whether it stands for an entry that is repeated 0 times, in the eyes of what took it."""
    sources: list[Ref | None] | None = None
    """What it takes; None where that is not written as names."""
    invalid_paths: list[JsonPath] = field(default_factory=list)
    """What of it is known to be wrong."""

    @property
    def prefix(self) -> str:
        """What stands before the names of the layers in a block; always something where it is called again."""
        return "" if self.block is not None and self.block.has_own_names and not self.is_use else f"{self.name}_"

    @property
    def is_use(self) -> bool:
        return isinstance(self.body, dict) and "use" in self.body

    @property
    def layer_count(self) -> int:
        """The layers that it comes to."""
        return self.template.layer_count if self.template else 1


@dataclass(eq=False)
class Template:
    """Steps, what they result in by name, and how much that is. Beyond what is allowed steps are counted only."""

    steps: list[Step]
    outputs: dict[str, Ref]
    layer_count: int
    value_count: int
    is_exact: bool = True
    """Whether `layer_count` is all, or what was counted until it was enough."""
    largest_entry: tuple[int, JsonPath] = (0, ())
    """The entry that comes to most layers, and how many."""

    @property
    def first_output(self) -> Ref | None:
        return next(iter(self.outputs.values()), None)
