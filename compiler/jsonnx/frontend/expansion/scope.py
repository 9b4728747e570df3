"""The entries of a network or of a block as steps: repeated, named, with templates for the blocks among them."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ...layers import LAYERS
from ...layers.unsupported import absent
from ..default_names import default_name, free_name
from ..schema.phrases import quoted, shown
from ..schema.schema import ENTRY_KEYS, FAMILIES, INNER_NAME, NAME
from .block_definitions import Block
from .evaluator import Evaluator, Site, identity
from .expressions import Values, has_expressions
from .references import Wiring, hold
from .template import LAYERS_AT_MOST, Frame, Ref, Step, Template, notes_of

ENTRIES_AT_MOST, TEMPLATES_AT_MOST = 2 * LAYERS_AT_MOST, LAYERS_AT_MOST // 10
"""Entries that are read for one document, those of blocks once for all values given; and how often that may be."""


NAMES = "a name is made of letters, digits, - and _; in a block it may begin with a digit"

KNOWN = {name for family in (LAYERS, *FAMILIES) for name in family.names}
"""What a type may be inside a layer."""


class TooLarge(Exception):
    """More entries than are read; that it is so is reported."""


class Maker:
    """Makes the templates of one document, each once."""

    def __init__(self, blocks: Mapping[str, Block | None], report: Report) -> None:
        self.blocks, self.report, self.evaluator = blocks, report, Evaluator(report)
        self.used: set[str] = set()
        """Blocks that have a template: others are repeated 0 times wherever they stand."""
        self.taken: set[tuple[str, int]] = set()
        """Inputs of blocks that something takes."""
        self.entries = 0
        self._templates: dict[Hashable, Template] = {}

    def template(self, block: Block, given: Values, frame: Frame) -> Template:
        key = (block.name, *(identity(given[name]) if name in given else None for name in block.parameters))
        if key not in self._templates:
            if len(self._templates) >= TEMPLATES_AT_MOST:
                message = f"blocks are used with more than {TEMPLATES_AT_MOST:,} different values"
                self.report.add("too-large", frame.path, message, help="repeat less, or give fewer different values")
                raise TooLarge
            self.used.add(block.name)
            path = block.path
            values, broken = self.parameters(block.parameters, (*path, "parameters"), given, frame)
            inputs = {name: number for number, name in enumerate(block.inputs)}
            site = Site(frame, broken)
            scope = Scope(self, block.layers, (*path, "layers"), values, site, inputs, frame)
            self._templates[key] = scope.template(block.outputs, (*path, "outputs"))
        return self._templates[key]

    def parameters(
        self, written: Mapping[str, Json], path: JsonPath, given: Values, frame: Frame | None = None
    ) -> tuple[dict[str, Json], frozenset[str]]:
        """The values of parameters, and which are wrong: those not given may be made of others."""
        values = {name: given[name] for name in written if name in given}
        own = {name: of for name, of in written.items() if name not in given}
        order = TopologicalSorter(
            {name: [other for other in self.evaluator.names(of) or () if other in own] for name, of in own.items()}
        )
        try:
            order.prepare()
        except CycleError as error:
            ring = error.args[1][::-1]
            message = f"the parameters {' -> '.join(ring[:9])} are made of one another in a circle"
            self.report.add("cycle", (*path, ring[0]), message, help="give one of them a value", notes=notes_of(frame))
        site = Site(frame, frozenset(own))
        while ready := order.get_ready():
            for name in ready:
                wrong: list[JsonPath] = []
                value = self.evaluator.value(own[name], values, (*path, name), wrong, site)
                if not wrong:
                    values[name] = value
            order.done(*ready)
        return values, frozenset(written.keys() - values.keys())

    def count(self, path: JsonPath) -> None:
        self.entries += 1
        if self.entries > ENTRIES_AT_MOST:
            message = f"blocks with ever new values: more than {ENTRIES_AT_MOST:,} entries in all"
            self.report.add("too-large", path, message, help="repeat less, or give fewer different values")
            raise TooLarge


@dataclass(eq=False)
class Entry:
    """What is written once, and the steps that it comes to."""

    path: JsonPath
    written: Mapping[str, Json]
    times: int
    steps: list[Step] = field(default_factory=list)
    """Where it is repeated too often to be made, the first."""

    @property
    def one_name(self) -> str | None:
        """The name that is written, where it is the same for every repetition."""
        name = self.written.get("name")
        return name if isinstance(name, str) and not has_expressions(name) else None

    @property
    def count(self) -> int:
        """The layers that it comes to."""
        more = (self.times - len(self.steps)) * self.steps[0].count if self.times else 0
        return sum(step.count for step in self.steps if not step.gone) + more


class Scope:
    """One list of entries, with what its expressions and its `from` may name."""

    def __init__(
        self,
        maker: Maker,
        layers: Sequence[Json],
        path: JsonPath,
        values: Values,
        site: Site,
        inputs: Mapping[str, Ref],
        frame: Frame | None = None,
    ) -> None:
        self.maker, self.report, self.evaluator = maker, maker.report, maker.evaluator
        self.values, self.site, self.frame = values, site, frame
        self.room = LAYERS_AT_MOST
        self.table: dict[str, Step | Ref] = dict(inputs)
        self.lower: dict[str, tuple[str, Step | Ref]] = {name.lower(): (name, ref) for name, ref in inputs.items()}
        self.entries = [self._entry(written, (*path, index)) for index, written in enumerate(layers)]
        self._name({name.lower() for name in inputs})
        self.exact = self._fill()
        self.wiring = Wiring(self.table, [entry.steps for entry in self.entries], inputs, frame, maker.report, site)
        if frame is not None:
            maker.taken |= {(frame.block.name, number) for number in self.wiring.taken}

    def template(self, outputs: Json, path: JsonPath) -> Template:
        """What the entries come to. `outputs` is what is written at a path, or None."""
        wrong: list[JsonPath] = []
        results = self.wiring.outputs(self.evaluator.value(outputs, self.values, path, wrong, self.site), path)
        if self.frame is not None:
            self.maker.taken |= {(self.frame.block.name, number) for number in self.wiring.taken}
        steps = [step for entry in self.entries for step in entry.steps if not step.gone]
        weight = sum(step.template.weight if step.template else self.evaluator.weight(step.body) for step in steps)
        largest = max(((entry.count, entry.path) for entry in self.entries), default=(0, path))
        count = sum(entry.count for entry in self.entries)
        exact = self.exact and all(step.template.exact for step in steps if step.template)
        return Template(steps, results, count, weight, exact, largest)

    # -- entries -----------------------------------------------------------------------------------------------------

    def _entry(self, written: Json, path: JsonPath) -> Entry:
        if not isinstance(written, dict):
            return Entry(path, {}, 1, [Step(path, written)])
        times = self._times(written, path)
        repeats = {"index": 0} if "repeat" in written else {}
        if not times:
            step = self._step({key: written[key] for key in ("name", "from") if key in written}, path, repeats)
            step.gone = True
            return Entry(path, written, 0, [step])
        made = times if times <= self.room else 1
        self.room -= made
        first = self._step(written, path, repeats)
        if repeats and "index" in (self.evaluator.names(written) or ()):
            rest = [self._step(written, path, {"index": index}) for index in range(1, made)]
        else:
            rest = [Step(path, first.body, wrong=list(first.wrong)) for _ in range(1, made)]
        return Entry(path, written, times, [first, *rest])

    def _step(self, written: Mapping[str, Json], path: JsonPath, more: Values) -> Step:
        self.maker.count(path)
        wrong: list[JsonPath] = []
        values = {**self.values, **more} if more else self.values
        body = {
            key: self.evaluator.value(value, values, (*path, key), wrong, self.site)
            for key, value in written.items()
            if key != "repeat"
        }
        return Step(path, body, wrong=wrong)

    def _times(self, written: Mapping[str, Json], path: JsonPath) -> int:
        """How often an entry stands there; 1 where what is written is wrong."""
        if "repeat" not in written:
            return 1
        path, wrong = (*path, "repeat"), list[JsonPath]()
        times = self.evaluator.value(written["repeat"], self.values, path, wrong, self.site)
        if wrong:
            return 1
        if isinstance(times, bool) or not isinstance(times, (int, float)) or times != int(times):
            message = f"expected an integer for 'repeat', got {shown(times)}"
            self.report.add("wrong-type", path, message, notes=self.site.notes)
            return 1
        if times < 0:
            message = f"'repeat' must be at least 0, got {shown(times)}"
            self.report.add("out-of-range", path, message, notes=self.site.notes)
            return 1
        return int(times)

    # -- names -------------------------------------------------------------------------------------------------------

    def _name(self, inputs: set[str]) -> None:
        """Give every step its name. The name of a repeated entry is the last one's too."""
        for entry in self.entries:
            for number, step in enumerate(entry.steps, 1):
                name = step.body.get("name") if isinstance(step.body, dict) else None
                if isinstance(name, str):
                    step.name = f"{name}_{number}" if entry.one_name and entry.times > 1 else name
        steps = [step for entry in self.entries for step in entry.steps]
        taken = inputs | {step.name.lower() for step in steps if step.name}
        taken |= {entry.one_name.lower() for entry in self.entries if entry.one_name}
        numbers: dict[str, int] = {}
        for entry in self.entries:
            for step in entry.steps:
                if not step.name and isinstance(step.body, dict) and not step.gone:
                    step.name = self._default(step.body, taken, numbers)
                self._define(step, step.name)
            if entry.times > 1 and entry.one_name:
                self._define(entry.steps[-1], entry.one_name)

    def _default(self, body: Mapping[str, Json], taken: set[str], numbers: dict[str, int]) -> str:
        again = body.get("use")
        base = again if isinstance(again, str) else default_name(str(body.get("type")))
        name = free_name(base, taken, numbers, first=int(isinstance(again, str)))
        taken.add(name.lower())
        return name

    def _define(self, step: Step, name: str) -> None:
        """Let a name mean a step. Two layers of one name meet again where names are joined, and are told of there."""
        if not name:
            return
        self.table.setdefault(name, step)
        known, other = self.lower.setdefault(name.lower(), (name, step))
        if other is step or (isinstance(other, Step) and name == step.name and not self._blocks(step, other)):
            return
        place = (*step.path, "name")
        notes = [(other.path, f"{quoted(known)} is defined here")] if isinstance(other, Step) else []
        how = "is defined twice" if known == name else f"differs from {quoted(known)} only in case"
        message, help = f"the name {quoted(name)} {how}", "give one of them another name"
        self.report.add("duplicate-name", place, message, help=help, notes=[*notes, *self.site.notes])
        step.wrong.append(place)

    def _blocks(self, *steps: Step) -> bool:
        """Whether a block is among them."""
        kinds = [step.body.get("type") for step in steps if isinstance(step.body, dict)]
        return any(isinstance(kind, str) and kind in self.maker.blocks for kind in kinds)

    # -- blocks ------------------------------------------------------------------------------------------------------

    def _fill(self) -> bool:
        """Make the templates of blocks; false where that was broken off since they come to too much already."""
        total = 0
        for entry in self.entries:
            first, body = entry.steps[0], entry.steps[0].body
            for step in entry.steps:
                if step is not first and step.body is body:
                    step.body, step.block, step.template = first.body, first.block, first.template
                    step.wrong = list(first.wrong)
                elif isinstance(step.body, dict) and isinstance(step.body.get("type"), str):
                    self._make(step, entry.written["type"])
                    if total > LAYERS_AT_MOST and step is not first:
                        return False
                total += step.count
        for entry in self.entries:
            for step in entry.steps:
                if step.uses and isinstance(step.body["use"], str):
                    self._use(step)
        return True

    def _make(self, step: Step, written: str) -> None:
        kind = step.body["type"]
        if kind in LAYERS.names:
            for key, value in step.body.items() if self.maker.blocks else ():
                self._check_inside(step, (*step.path, key), value)
            return
        if kind not in self.maker.blocks:
            near = None if absent(kind) else self.report.suggestion(kind, [*LAYERS.names, *self.maker.blocks])
            if near and any(repr(name) in near for name in self.maker.blocks):
                self._wrong(step, "unknown-type", "type", f"there is no layer type or block {quoted(kind)}", near)
            return
        block = self.maker.blocks[kind]
        if written != kind:
            help = "write the name itself; only the types of layers may be computed"
            self._wrong(step, "invalid-expression", "type", f"the block {quoted(kind)} is named by an expression", help)
        elif block is None or not self._well_called(step):
            hold(step)
        else:
            given = self._given(step, block)
            step.block = block
            step.template = self.maker.template(block, given, Frame(step.path, step.path, step.name, block, self.frame))

    def _check_inside(self, step: Step, path: JsonPath, value: Json) -> None:
        """Reports blocks inside a layer, where there is room for one layer only."""
        if isinstance(value, (list, dict)):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                self._check_inside(step, (*path, key), inner)
            kind = value.get("type") if isinstance(value, dict) else None
            if isinstance(kind, str) and kind in self.maker.blocks and kind not in KNOWN:
                message = f"the block {quoted(kind)} stands inside {step.body['type']}, which goes around one layer"
                help = "write the layer there, with expressions if need be; blocks stand in lists of layers"
                self.report.add("unknown-type", (*path, "type"), message, help=help, notes=self.site.notes)
                step.wrong.append(path)

    def _well_called(self, step: Step) -> bool:
        """Whether the name and the `from` of a use are of the right types; a layer's are checked with it."""
        if (*step.path, "name") in step.wrong:
            return False
        name, sources = step.body.get("name", "a"), step.body.get("from", "a")
        several = sources if isinstance(sources, list) and sources else [sources]
        fine = True
        pattern = (INNER_NAME if self.frame else NAME)["pattern"]
        if not isinstance(name, str) or not re.fullmatch(str(pattern), name):
            fine = False
            self._wrong(step, "invalid-name", "name", f"{shown(name)} is not a name", NAMES)
        if not all(isinstance(source, str) for source in several):
            fine = False
            message = f"expected a name or an array of names for 'from', got {shown(sources)}"
            self._wrong(step, "wrong-type", "from", message, None)
        return fine

    def _given(self, step: Step, block: Block) -> dict[str, Json]:
        """The arguments of a use, as far as they are right."""
        given: dict[str, Json] = {}
        for key, value in step.body.items():
            path = (*step.path, key)
            if key in ENTRY_KEYS:
                continue
            if key not in block.parameters:
                names = list(block.parameters)
                help = self.report.suggestion(key, names)
                help = help or (f"it has: {', '.join(names)}" if names else "it has no parameters")
                message = f"the block {quoted(block.name)} has no parameter {quoted(key)}"
                self.report.add("unknown-key", path, message, help=help, at_key=True, notes=self.site.notes)
            elif not any(wrong[: len(path)] == path for wrong in step.wrong):
                given[key] = value
        return given

    def _use(self, step: Step) -> None:
        """Let a step use another one: a layer by its name, a block by its template."""
        name, help = step.body["use"], "name the layer or block that is to be called again"
        target = self.table.get(name)
        if isinstance(target, Step) and target.template is not None:
            if target.uses:
                self._wrong(step, "unknown-name", "use", f"{quoted(name)} is a use of another, not a block", help)
                return
            for key in [key for key in step.body if key not in ENTRY_KEYS]:
                message, why = f"an entry with 'use' has no key {quoted(key)}", "it is as it was the first time"
                self.report.add("unknown-key", (*step.path, key), message, help=why, at_key=True, notes=self.site.notes)
            if self._well_called(step):
                step.owner, step.block, step.template = target, target.block, target.template
        elif isinstance(target, Step) and target.path in target.wrong:
            hold(step)
        elif isinstance(target, Step) and not target.gone:
            step.owner = target
        elif not step.wrong and (self.frame is not None or self._near_a_block(name)):
            layers = [known for known, of in self.table.items() if isinstance(of, Step)]
            what = f"nothing is called {quoted(name)}" if target is None else f"{quoted(name)} is not a layer here"
            self._wrong(step, "unknown-name", "use", what, self.report.suggestion(name, layers) or help)

    def _near_a_block(self, name: str) -> bool:
        """Whether nothing has a name, and the use of a block, which the flat document does not have, is near to it."""
        layers = {known: of for known, of in self.table.items() if isinstance(of, Step)}
        near = None if name in self.table else self.report.suggestion(name, layers)
        return near is not None and any(of.template is not None and repr(known) in near for known, of in layers.items())

    def _wrong(self, step: Step, code: str, key: str, message: str, help: str | None) -> None:
        self.report.add(code, (*step.path, key), message, help=help, notes=self.site.notes)
        hold(step)
