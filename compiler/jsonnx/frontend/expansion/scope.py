"""The entries of a network or of a block as steps: repeated, named, with templates for the blocks among them."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ...layers import LAYERS
from ...layers.unsupported import unsupported_layer
from ..default_names import default_name, free_name
from ..schema.phrases import short_name, short_repr
from ..schema.schema import ENTRY_KEYS, INNER_NAME_SCHEMA, NAME_SCHEMA, REGISTRIES
from .block_definitions import BlockDefinition
from .evaluator import EvaluationScope, Evaluator, identity_key
from .expressions import Values, has_expressions
from .references import ReferenceResolver, replace_with_identity
from .template import MAX_LAYERS, BlockUse, Ref, Step, Template, block_use_notes

MAX_ENTRIES, MAX_TEMPLATES = 2 * MAX_LAYERS, MAX_LAYERS // 10
"""Entries that are read for one document, those of blocks once for all values given; and how often that may be."""


NAME_HELP = "a name is made of letters, digits, - and _; in a block it may begin with a digit"

KNOWN_TYPES = {name for family in (LAYERS, *REGISTRIES) for name in family.by_name}
"""What a type may be inside a layer."""


class ExpansionTooLarge(Exception):
    """More entries than are read; that it is so is reported."""


class TemplateCache:
    """Makes the templates of one document, each once."""

    def __init__(self, blocks: Mapping[str, BlockDefinition | None], report: Report) -> None:
        self.blocks, self.report, self.evaluator = blocks, report, Evaluator(report)
        self.used_blocks: set[str] = set()
        """Blocks that have a template: others are repeated 0 times wherever they stand."""
        self.used_inputs: set[tuple[str, int]] = set()
        """Inputs of blocks that something takes."""
        self.entry_count = 0
        self._templates: dict[Hashable, Template] = {}

    def template(self, block: BlockDefinition, arguments: Values, block_use: BlockUse) -> Template:
        key = (block.name, *(identity_key(arguments[name]) if name in arguments else None for name in block.parameters))
        if key not in self._templates:
            if len(self._templates) >= MAX_TEMPLATES:
                message = f"blocks are used with more than {MAX_TEMPLATES:,} different values"
                self.report.add(
                    "too-large", block_use.path, message, help="repeat less, or give fewer different values"
                )
                raise ExpansionTooLarge
            self.used_blocks.add(block.name)
            path = block.path
            values, broken = self.parameter_values(block.parameters, (*path, "parameters"), arguments, block_use)
            inputs = {name: number for number, name in enumerate(block.inputs)}
            site = EvaluationScope(block_use, broken)
            scope = Scope(self, block.layers, (*path, "layers"), values, site, inputs, block_use)
            self._templates[key] = scope.template(block.outputs, (*path, "outputs"))
        return self._templates[key]

    def parameter_values(
        self, definitions: Mapping[str, Json], path: JsonPath, arguments: Values, block_use: BlockUse | None = None
    ) -> tuple[dict[str, Json], frozenset[str]]:
        """The values of parameters, and which are wrong: those not given may be made of others."""
        values = {name: arguments[name] for name in definitions if name in arguments}
        own = {name: of for name, of in definitions.items() if name not in arguments}
        order = TopologicalSorter(
            {name: [other for other in self.evaluator.names(of) or () if other in own] for name, of in own.items()}
        )
        try:
            order.prepare()
        except CycleError as error:
            ring = error.args[1][::-1]
            message = f"the parameters {' -> '.join(ring[:9])} are made of one another in a circle"
            self.report.add(
                "cycle", (*path, ring[0]), message, help="give one of them a value", notes=block_use_notes(block_use)
            )
        site = EvaluationScope(block_use, frozenset(own))
        while ready := order.get_ready():
            for name in ready:
                wrong: list[JsonPath] = []
                value = self.evaluator.evaluate(own[name], values, (*path, name), wrong, site)
                if not wrong:
                    values[name] = value
            order.done(*ready)
        return values, frozenset(definitions.keys() - values.keys())

    def count_entry(self, path: JsonPath) -> None:
        self.entry_count += 1
        if self.entry_count > MAX_ENTRIES:
            message = f"blocks with ever new values: more than {MAX_ENTRIES:,} entries in all"
            self.report.add("too-large", path, message, help="repeat less, or give fewer different values")
            raise ExpansionTooLarge


@dataclass(eq=False)
class Entry:
    """What is written once, and the steps that it comes to."""

    path: JsonPath
    raw: Mapping[str, Json]
    repetitions: int
    steps: list[Step] = field(default_factory=list)
    """Where it is repeated too often to be made, the first."""

    @property
    def fixed_name(self) -> str | None:
        """The name that is written, where it is the same for every repetition."""
        name = self.raw.get("name")
        return name if isinstance(name, str) and not has_expressions(name) else None

    @property
    def layer_count(self) -> int:
        """The layers that it comes to."""
        more = (self.repetitions - len(self.steps)) * self.steps[0].layer_count if self.repetitions else 0
        return sum(step.layer_count for step in self.steps if not step.is_elided) + more


class Scope:
    """One list of entries, with what its expressions and its `from` may name."""

    def __init__(
        self,
        templates: TemplateCache,
        layers: Sequence[Json],
        path: JsonPath,
        values: Values,
        evaluation_scope: EvaluationScope,
        inputs: Mapping[str, Ref],
        block_use: BlockUse | None = None,
    ) -> None:
        self.templates, self.report, self.evaluator = templates, templates.report, templates.evaluator
        self.values, self.evaluation_scope, self.block_use = values, evaluation_scope, block_use
        self.remaining_layers = MAX_LAYERS
        self.symbols: dict[str, Step | Ref] = dict(inputs)
        self.symbols_by_lower_case: dict[str, tuple[str, Step | Ref]] = {
            name.lower(): (name, ref) for name, ref in inputs.items()
        }
        self.entries = [self._expand_entry(written, (*path, index)) for index, written in enumerate(layers)]
        self._assign_names({name.lower() for name in inputs})
        self.is_exact = self._make_templates()
        self.resolver = ReferenceResolver(
            self.symbols, [entry.steps for entry in self.entries], inputs, block_use, templates.report, evaluation_scope
        )
        if block_use is not None:
            templates.used_inputs |= {(block_use.block.name, number) for number in self.resolver.used_inputs}

    def template(self, outputs: Json, path: JsonPath) -> Template:
        """What the entries come to. `outputs` is what is written at a path, or None."""
        wrong: list[JsonPath] = []
        results = self.resolver.outputs(
            self.evaluator.evaluate(outputs, self.values, path, wrong, self.evaluation_scope), path
        )
        if self.block_use is not None:
            self.templates.used_inputs |= {(self.block_use.block.name, number) for number in self.resolver.used_inputs}
        steps = [step for entry in self.entries for step in entry.steps if not step.is_elided]
        weight = sum(
            step.template.value_count if step.template else self.evaluator.entry_value_count(step.body)
            for step in steps
        )
        largest = max(((entry.layer_count, entry.path) for entry in self.entries), default=(0, path))
        count = sum(entry.layer_count for entry in self.entries)
        exact = self.is_exact and all(step.template.is_exact for step in steps if step.template)
        return Template(steps, results, count, weight, exact, largest)

    # -- entries -----------------------------------------------------------------------------------------------------

    def _expand_entry(self, raw: Json, path: JsonPath) -> Entry:
        if not isinstance(raw, dict):
            return Entry(path, {}, 1, [Step(path, raw)])
        times = self._repetitions(raw, path)
        repeats = {"index": 0} if "repeat" in raw else {}
        if not times:
            step = self._make_step({key: raw[key] for key in ("name", "from") if key in raw}, path, repeats)
            step.is_elided = True
            return Entry(path, raw, 0, [step])
        made = times if times <= self.remaining_layers else 1
        self.remaining_layers -= made
        first = self._make_step(raw, path, repeats)
        if repeats and "index" in (self.evaluator.names(raw) or ()):
            rest = [self._make_step(raw, path, {"index": index}) for index in range(1, made)]
        else:
            rest = [Step(path, first.body, invalid_paths=list(first.invalid_paths)) for _ in range(1, made)]
        return Entry(path, raw, times, [first, *rest])

    def _make_step(self, raw: Mapping[str, Json], path: JsonPath, extra_values: Values) -> Step:
        self.templates.count_entry(path)
        wrong: list[JsonPath] = []
        values = {**self.values, **extra_values} if extra_values else self.values
        body = {
            key: self.evaluator.evaluate(value, values, (*path, key), wrong, self.evaluation_scope)
            for key, value in raw.items()
            if key != "repeat"
        }
        return Step(path, body, invalid_paths=wrong)

    def _repetitions(self, raw: Mapping[str, Json], path: JsonPath) -> int:
        """How often an entry stands there; 1 where what is written is wrong."""
        if "repeat" not in raw:
            return 1
        path, wrong = (*path, "repeat"), list[JsonPath]()
        times = self.evaluator.evaluate(raw["repeat"], self.values, path, wrong, self.evaluation_scope)
        if wrong:
            return 1
        if isinstance(times, bool) or not isinstance(times, (int, float)) or times != int(times):
            message = f"expected an integer for 'repeat', got {short_repr(times)}"
            self.report.add("wrong-type", path, message, notes=self.evaluation_scope.notes)
            return 1
        if times < 0:
            message = f"'repeat' must be at least 0, got {short_repr(times)}"
            self.report.add("out-of-range", path, message, notes=self.evaluation_scope.notes)
            return 1
        return int(times)

    # -- names -------------------------------------------------------------------------------------------------------

    def _assign_names(self, inputs: set[str]) -> None:
        """Give every step its name. The name of a repeated entry is the last one's too."""
        for entry in self.entries:
            for number, step in enumerate(entry.steps, 1):
                name = step.body.get("name") if isinstance(step.body, dict) else None
                if isinstance(name, str):
                    step.name = f"{name}_{number}" if entry.fixed_name and entry.repetitions > 1 else name
        steps = [step for entry in self.entries for step in entry.steps]
        taken = inputs | {step.name.lower() for step in steps if step.name}
        taken |= {entry.fixed_name.lower() for entry in self.entries if entry.fixed_name}
        numbers: dict[str, int] = {}
        for entry in self.entries:
            for step in entry.steps:
                if not step.name and isinstance(step.body, dict) and not step.is_elided:
                    step.name = self._default_name(step.body, taken, numbers)
                self._define_name(step, step.name)
            if entry.repetitions > 1 and entry.fixed_name:
                self._define_name(entry.steps[-1], entry.fixed_name)

    def _default_name(self, body: Mapping[str, Json], used_names: set[str], numbers: dict[str, int]) -> str:
        again = body.get("use")
        base = again if isinstance(again, str) else default_name(str(body.get("type")))
        name = free_name(base, used_names, numbers, first=int(isinstance(again, str)))
        used_names.add(name.lower())
        return name

    def _define_name(self, step: Step, name: str) -> None:
        """Let a name mean a step. Two layers of one name meet again where names are joined, and are told of there."""
        if not name:
            return
        self.symbols.setdefault(name, step)
        known, other = self.symbols_by_lower_case.setdefault(name.lower(), (name, step))
        if other is step or (isinstance(other, Step) and name == step.name and not self._has_block(step, other)):
            return
        place = (*step.path, "name")
        notes = [(other.path, f"{short_name(known)} is defined here")] if isinstance(other, Step) else []
        how = "is defined twice" if known == name else f"differs from {short_name(known)} only in case"
        message, help = f"the name {short_name(name)} {how}", "give one of them another name"
        self.report.add("duplicate-name", place, message, help=help, notes=[*notes, *self.evaluation_scope.notes])
        step.invalid_paths.append(place)

    def _has_block(self, *steps: Step) -> bool:
        """Whether a block is among them."""
        kinds = [step.body.get("type") for step in steps if isinstance(step.body, dict)]
        return any(isinstance(kind, str) and kind in self.templates.blocks for kind in kinds)

    # -- blocks ------------------------------------------------------------------------------------------------------

    def _make_templates(self) -> bool:
        """Make the templates of blocks; false where that was broken off since they come to too much already."""
        total = 0
        for entry in self.entries:
            first, body = entry.steps[0], entry.steps[0].body
            for step in entry.steps:
                if step is not first and step.body is body:
                    step.body, step.block, step.template = first.body, first.block, first.template
                    step.invalid_paths = list(first.invalid_paths)
                elif isinstance(step.body, dict) and isinstance(step.body.get("type"), str):
                    self._make_template(step, entry.raw["type"])
                    if total > MAX_LAYERS and step is not first:
                        return False
                total += step.layer_count
        for entry in self.entries:
            for step in entry.steps:
                if step.is_use and isinstance(step.body["use"], str):
                    self._resolve_use(step)
        return True

    def _make_template(self, step: Step, raw_type: str) -> None:
        kind = step.body["type"]
        if kind in LAYERS.by_name:
            for key, value in step.body.items() if self.templates.blocks else ():
                self._check_nested_blocks(step, (*step.path, key), value)
            return
        if kind not in self.templates.blocks:
            near = (
                None
                if unsupported_layer(kind)
                else self.report.suggestion(kind, [*LAYERS.by_name, *self.templates.blocks])
            )
            if near and any(repr(name) in near for name in self.templates.blocks):
                self._report_invalid(
                    step, "unknown-type", "type", f"there is no layer type or block {short_name(kind)}", near
                )
            return
        block = self.templates.blocks[kind]
        if raw_type != kind:
            help = "write the name itself; only the types of layers may be computed"
            self._report_invalid(
                step, "invalid-expression", "type", f"the block {short_name(kind)} is named by an expression", help
            )
        elif block is None or not self._is_valid_use(step):
            replace_with_identity(step)
        else:
            given = self._arguments(step, block)
            step.block = block
            step.template = self.templates.template(
                block, given, BlockUse(step.path, step.path, step.name, block, self.block_use)
            )

    def _check_nested_blocks(self, step: Step, path: JsonPath, value: Json) -> None:
        """Reports blocks inside a layer, where there is room for one layer only."""
        if isinstance(value, (list, dict)):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                self._check_nested_blocks(step, (*path, key), inner)
            kind = value.get("type") if isinstance(value, dict) else None
            if isinstance(kind, str) and kind in self.templates.blocks and kind not in KNOWN_TYPES:
                message = f"the block {short_name(kind)} stands inside {step.body['type']}, which goes around one layer"
                help = "write the layer there, with expressions if need be; blocks stand in lists of layers"
                self.report.add("unknown-type", (*path, "type"), message, help=help, notes=self.evaluation_scope.notes)
                step.invalid_paths.append(path)

    def _is_valid_use(self, step: Step) -> bool:
        """Whether the name and the `from` of a use are of the right types; a layer's are checked with it."""
        if (*step.path, "name") in step.invalid_paths:
            return False
        name, sources = step.body.get("name", "a"), step.body.get("from", "a")
        several = sources if isinstance(sources, list) and sources else [sources]
        fine = True
        pattern = (INNER_NAME_SCHEMA if self.block_use else NAME_SCHEMA)["pattern"]
        if not isinstance(name, str) or not re.fullmatch(str(pattern), name):
            fine = False
            self._report_invalid(step, "invalid-name", "name", f"{short_repr(name)} is not a name", NAME_HELP)
        if not all(isinstance(source, str) for source in several):
            fine = False
            message = f"expected a name or an array of names for 'from', got {short_repr(sources)}"
            self._report_invalid(step, "wrong-type", "from", message, None)
        return fine

    def _arguments(self, step: Step, block: BlockDefinition) -> dict[str, Json]:
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
                message = f"the block {short_name(block.name)} has no parameter {short_name(key)}"
                self.report.add("unknown-key", path, message, help=help, at_key=True, notes=self.evaluation_scope.notes)
            elif not any(wrong[: len(path)] == path for wrong in step.invalid_paths):
                given[key] = value
        return given

    def _resolve_use(self, step: Step) -> None:
        """Let a step use another one: a layer by its name, a block by its template."""
        name, help = step.body["use"], "name the layer or block that is to be called again"
        target = self.symbols.get(name)
        if isinstance(target, Step) and target.template is not None:
            if target.is_use:
                self._report_invalid(
                    step, "unknown-name", "use", f"{short_name(name)} is a use of another, not a block", help
                )
                return
            for key in [key for key in step.body if key not in ENTRY_KEYS]:
                message, why = f"an entry with 'use' has no key {short_name(key)}", "it is as it was the first time"
                self.report.add(
                    "unknown-key", (*step.path, key), message, help=why, at_key=True, notes=self.evaluation_scope.notes
                )
            if self._is_valid_use(step):
                step.used_step, step.block, step.template = target, target.block, target.template
        elif isinstance(target, Step) and target.path in target.invalid_paths:
            replace_with_identity(step)
        elif isinstance(target, Step) and not target.is_elided:
            step.used_step = target
        elif not step.invalid_paths and (self.block_use is not None or self._resembles_block_use(name)):
            layers = [known for known, of in self.symbols.items() if isinstance(of, Step)]
            what = (
                f"nothing is called {short_name(name)}" if target is None else f"{short_name(name)} is not a layer here"
            )
            self._report_invalid(step, "unknown-name", "use", what, self.report.suggestion(name, layers) or help)

    def _resembles_block_use(self, name: str) -> bool:
        """Whether nothing has a name, and the use of a block, which the flat document does not have, is near to it."""
        layers = {known: of for known, of in self.symbols.items() if isinstance(of, Step)}
        near = None if name in self.symbols else self.report.suggestion(name, layers)
        return near is not None and any(of.template is not None and repr(known) in near for known, of in layers.items())

    def _report_invalid(self, step: Step, code: str, key: str, message: str, help: str | None) -> None:
        self.report.add(code, (*step.path, key), message, help=help, notes=self.evaluation_scope.notes)
        replace_with_identity(step)
