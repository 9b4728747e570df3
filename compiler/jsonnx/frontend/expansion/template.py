"""Templates: the expanded entries of a block, or of the network, for given values of the parameters.

A `Template` is made once per block and parameter values, and used for every use of the block with these values. So the
size of an expansion is known before it is written. Names in a template are relative to the use of the block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...core.types import ShapeError
from ...layers import LAYERS, Layer
from ..network import InputShape
from ..schema.fast_validator import is_valid
from ..schema.phrases import short_name
from ..schema.schema import ENTRY_KEYS, definition
from .block_definitions import BlockDefinition
from .expressions import has_expressions

PLACEHOLDER_TYPE = "Identity"
"""The type of the layer that replaces an invalid step, or one that merges a single value."""

Ref = int | str
"""A value in a template: an input by its number, or the result of a layer by its name."""


class BlockUse(NamedTuple):
    """A use of a block, and the enclosing use. `arguments_path` is the path of the entry with the arguments.

    An empty name means that the block is checked without being used.
    """

    path: JsonPath
    arguments_path: JsonPath
    name: str
    block: BlockDefinition
    outer: BlockUse | None
    block_uses: tuple[tuple[str, str], ...] = ()
    """This use and the enclosing ones, from the outermost: the full name of the use and the name of the block."""

    def enclosing_uses(self) -> list[BlockUse]:
        """This use and the enclosing ones, from the innermost."""
        uses: list[BlockUse] = []
        block_use: BlockUse | None = self
        while block_use is not None:
            uses.append(block_use)
            block_use = block_use.outer
        return uses


def block_use_notes(block_use: BlockUse | None) -> tuple[tuple[JsonPath, str], ...]:
    """The notes of a diagnostic inside a block: the uses of blocks that lead to it."""
    uses = [use for use in block_use.enclosing_uses() if use.name] if block_use else []
    return tuple(
        (use.path, f"in block {short_name(use.block.name)}, used here as {short_name(use.name)}") for use in uses
    )


class Repetition(NamedTuple):
    """The copies of an entry."""

    copy_count: int = 1
    """The number of copies; 0 leaves the entry out."""
    is_chained: bool = True
    """Whether each copy takes the results of the copy before, in place of its first sources."""
    carry: tuple[str, ...] = ()
    """The results of a block that the next copy takes in place of its first sources; by default the first result."""
    has_valid_count: bool = True
    has_valid_sources: bool = True
    """Whether no source that the copies after the first do not read has an index."""


ONCE = Repetition()


@dataclass(eq=False, repr=False)
class Step:
    """One copy of an entry: a layer, with its keys in `body`, or a use of a block, with its template."""

    path: JsonPath
    body: Json
    name: str = ""
    block: BlockDefinition | None = None
    template: Template | None = None
    used_step: Step | None = None
    """The step that this one `use`s."""
    later_repetitions: int = 0
    """The number of copies of the entry after this one."""
    is_elided: bool = False
    """Whether its entry is left out. References to the step lead to its first source."""
    sources: list[Ref | None] | None = None
    """The values that it takes, None for unknown names; None if they are not written as names."""
    source_indexes: list[int] | None = None
    """For each source, the index in `from` of the pattern that matches it; None if there are no patterns."""
    invalid_paths: list[JsonPath] = field(default_factory=list)
    """Source paths in the entry with errors, which have been reported."""

    @property
    def prefix(self) -> str:
        """The prefix of the names of the layers in the block. Never empty if the block is called again."""
        return "" if self.block is not None and self.block.has_own_names and not self.is_use else f"{self.name}_"

    @property
    def is_use(self) -> bool:
        return isinstance(self.body, dict) and "use" in self.body

    def uses(self, block: str) -> bool:
        """Whether it is the first use of weights of a block of this name."""
        return self.block is not None and self.block.name == block and not self.is_use

    @property
    def layer_count(self) -> int:
        """The number of layers in its expansion."""
        return self.template.layer_count if self.template else 1


@dataclass(eq=False, repr=False)
class Entry:
    """An entry of `layers` and its expansion."""

    path: JsonPath
    raw: Mapping[str, Json]
    repetition: Repetition = ONCE
    steps: list[Step] = field(default_factory=list)
    """One step per copy; only the first one if there are too many copies, and an elided one if there are none."""

    @property
    def copies(self) -> Copies | None:
        """The results of copies side by side; None for other entries."""
        if self.repetition.is_chained:
            return None
        members = [step for step in self.steps if not step.is_elided]
        return Copies(self.fixed_name or "", self.path, members, self.repetition.has_valid_count)

    @property
    def fixed_name(self) -> str | None:
        """The written name, if it contains no expression."""
        name = self.raw.get("name")
        return name if isinstance(name, str) and not has_expressions(name) else None

    @property
    def is_single_copy(self) -> bool:
        """Whether it is repeated once in a chain, so that its copy has the written name, without a number."""
        return "repeat" in self.raw and self.repetition.is_chained and self.repetition.copy_count == 1

    @property
    def layer_count(self) -> int:
        """The number of layers in its expansion."""
        count = self.repetition.copy_count
        omitted = (count - len(self.steps)) * self.steps[0].layer_count if count else 0
        return sum(step.layer_count for step in self.steps if not step.is_elided) + omitted


@dataclass(frozen=True, eq=False, repr=False)
class Copies:
    """Several values under one name: the first results of copies side by side, or inputs made by repetition."""

    name: str
    path: JsonPath
    members: Sequence[Step | Ref]
    has_valid_count: bool = True
    """Whether these are all members. If not, the error is reported."""


class LeftOutStep(NamedTuple):
    """A step that is left out, the first of its sources as written, and the results that it would take besides."""

    step: Step
    first_source: str
    further_sources: list[str]


@dataclass(eq=False, repr=False)
class Template:
    """Steps with their outputs by name, and the size of their expansion.

    If the size exceeds the limits, only some of the steps are made.
    """

    steps: list[Step]
    outputs: dict[str, Ref]
    layer_count: int
    value_count: int
    is_exact: bool = True
    """Whether `layer_count` is the exact number; otherwise counting was stopped there."""
    largest_entry: tuple[int, JsonPath] = (0, ())
    """The number of layers and the path of the entry with the most layers."""
    input_shapes: dict[int, InputShape] = field(default_factory=dict)
    """The shapes that the block's inputs must have, by the number of the input."""
    input_count: int = 0
    """The number of the block's inputs that it takes."""
    left_out: Sequence[LeftOutStep] = ()

    @property
    def first_output(self) -> Ref | None:
        return next(iter(self.outputs.values()), None)


def further_outputs(step: Step) -> list[str]:
    """The names of the outputs of a use of a block, or of a layer besides its first."""
    if step.template is not None:
        return list(step.template.outputs)
    body, layer = _body_and_layer(step)
    if layer is None or layer.output_names is Layer.output_names:
        return []
    arguments = {key: value for key, value in body.items() if key not in ENTRY_KEYS}
    if not is_valid({"type": body["type"], **arguments}, definition(f"{LAYERS.kind}.{layer.type_name}")):
        return []
    try:
        return list(layer(**arguments).output_names())
    except ShapeError:
        return []


def _body_and_layer(step: Step) -> tuple[dict[str, Json], type[Layer] | None]:
    """The entry of the layer that a step calls, and the layer's class; None if it is not a layer."""
    body = step.used_step.body if step.used_step else step.body
    kind = body.get("type") if isinstance(body, dict) else None
    layer = LAYERS.by_name.get(kind) if isinstance(kind, str) else None
    return body, layer if layer is not None and issubclass(layer, Layer) else None


def keep_single_input(step: Step) -> None:
    """Replaces a layer that merges values by an Identity, if it is valid: there is only one value."""
    body, layer = _body_and_layer(step)
    if layer is None or not layer.keeps_single_input or step.is_use:
        return
    arguments = {key: value for key, value in body.items() if key not in ENTRY_KEYS}
    if is_valid({"type": body["type"], **arguments}, definition(f"{LAYERS.kind}.{layer.type_name}")):
        kept = (*ENTRY_KEYS, *LAYERS.by_name[PLACEHOLDER_TYPE].attributes)
        own = {key: value for key, value in body.items() if key in kept}
        step.body = {"name": step.name, **own, "type": PLACEHOLDER_TYPE}


def may_lack_inputs(step: Step) -> bool:
    """Whether a step may have no input: without `from`, it does not take the result before it."""
    _, layer = (None, None) if step.template is not None else _body_and_layer(step)
    return layer is not None and not layer.arity[0]
