"""Expands the entries of a network or of a block into steps: repeats and names them, and makes templates of blocks."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from ... import library
from ...core.components import Json
from ...core.diagnostics import JsonPath, Report, did_you_mean, quoted_or_list, suggested
from ...core.fixes import Suggestion
from ...core.limits import MAX_EXPANDED_ENTRIES, MAX_LAYERS, MAX_TEMPLATES
from ...layers import LAYERS
from ...layers.unsupported import unsupported_layer
from ..default_names import default_name, free_name
from ..foreign.foreign_help import foreign_name_help
from ..schema.error_messages import NESTED_BLOCK_HELP
from ..schema.phrases import short_name, short_repr
from ..schema.schema import ENTRY_KEYS, INNER_NAME_SCHEMA, NAME_SCHEMA, REGISTRIES
from .block_arguments import block_arguments
from .block_definitions import BlockDefinition
from .entries import EntryExpander
from .evaluator import EvaluationScope, Evaluator, ExpansionTooLarge, identity_key
from .expression_values import Values
from .input_shapes import read_input_shapes
from .parameters import Parameter
from .references import ReferenceResolver, Symbol, replace_with_identity
from .template import BlockUse, Copies, Ref, Step, Template, block_use_notes

NAME_HELP = "a name consists of letters, digits, - and _; in a block it may begin with a digit"

KNOWN_TYPES = {name for registry in (LAYERS, *REGISTRIES) for name in registry.by_name}
"""The values that `type` may have inside a layer."""


class TemplateCache:
    """Makes the templates of one document, once per block and parameter values."""

    def __init__(self, blocks: Mapping[str, BlockDefinition | None], report: Report) -> None:
        self.blocks, self.report, self.evaluator = blocks, report, Evaluator(report)
        self.used_blocks: set[str] = set()
        """Blocks with a template. A block without one is not used, or only repeated 0 times."""
        self.used_inputs: set[tuple[str, int]] = set()
        """Inputs of blocks (block, number of the input) that a layer takes."""
        self.entry_count = 0
        self.globals: Values = {}
        """The values of the network's parameters."""
        self._templates: dict[Hashable, Template] = {}

    def template(
        self, block: BlockDefinition, arguments: Values, block_use: BlockUse, input_count: int | None = None
    ) -> Template:
        """The template of a block for given arguments. Errors in it are reported for this use of the block.

        Of the block's optional inputs, it takes those among the first `input_count`; None for all.
        """
        taken = block.inputs if input_count is None else block.inputs[: max(input_count, block.required_input_count)]
        key = (
            block.name,
            len(taken),
            *(identity_key(arguments[name]) if name in arguments else None for name in block.parameters),
        )
        if key not in self._templates:
            if len(self._templates) >= MAX_TEMPLATES:
                message = f"blocks are used with more than {MAX_TEMPLATES:,} different combinations of arguments"
                self.report.add("too-large", block_use.path, message, help=TOO_LARGE_HELP)
                raise ExpansionTooLarge
            self.used_blocks.add(block.name)
            path = block.path
            values, invalid_names = self.parameter_values(block.parameters, arguments, block_use)
            values |= {name: name in taken for name in block.inputs[block.required_input_count :]}
            self.used_inputs |= {(block.name, number) for number in range(len(taken), len(block.inputs))}
            inputs = {name: number for number, name in enumerate(taken)}
            evaluation_scope = EvaluationScope(block_use, invalid_names)
            scope = Scope(self, block.layers, (*path, "layers"), values, evaluation_scope, inputs, block_use)
            template = self._templates[key] = scope.template(block.outputs, (*path, "outputs"))
            template.input_count = len(taken)
            if block.input_shapes:
                template.input_shapes = read_input_shapes(block, values, evaluation_scope, self.evaluator, len(taken))
        return self._templates[key]

    def parameter_values(
        self, parameters: Mapping[str, Parameter], arguments: Values, block_use: BlockUse | None = None
    ) -> tuple[dict[str, Json], frozenset[str]]:
        """The values of parameters and of the block's globals, and the names of those without a valid value.

        A parameter without an argument has its default, which may use other parameters.
        """
        globals = block_use.block.globals if block_use else ()
        values = {name: self.globals[name] for name in globals if name in self.globals}
        values |= {name: arguments[name] for name in parameters if name in arguments}
        defaults = {
            name: parameter.default
            for name, parameter in parameters.items()
            if parameter.has_default and name not in arguments
        }
        order = TopologicalSorter(
            {
                name: [other for other in self.evaluator.names(default) or () if other in defaults]
                for name, default in defaults.items()
            }
        )
        try:
            order.prepare()
        except CycleError as error:
            cycle = error.args[1][::-1]
            message = f"the parameters {' -> '.join(cycle[:9])} depend on one another in a cycle"
            notes = block_use_notes(block_use)
            path = parameters[cycle[0]].default_path
            self.report.add("cycle", path, message, help="give one of them a plain value", notes=notes)
        scope = EvaluationScope(block_use, frozenset([*parameters, *globals]))
        while ready := order.get_ready():
            for name in ready:
                invalid_paths: list[JsonPath] = []
                path = parameters[name].default_path
                value = self.evaluator.evaluate(defaults[name], values, path, invalid_paths, scope)
                if not invalid_paths:
                    values[name] = value
            order.done(*ready)
        return values, frozenset([*parameters, *globals]) - values.keys()

    def count_entry(self, path: JsonPath) -> None:
        """Counts an expanded entry. Reports an error and raises ExpansionTooLarge if there are too many."""
        self.entry_count += 1
        if self.entry_count > MAX_EXPANDED_ENTRIES:
            message = (
                f"blocks are used with too many combinations of arguments: more than {MAX_EXPANDED_ENTRIES:,} entries"
            )
            self.report.add("too-large", path, message, help=TOO_LARGE_HELP)
            raise ExpansionTooLarge


TOO_LARGE_HELP = "use fewer repetitions, or fewer different arguments"


class Scope:
    """One list of entries, with the parameters that its expressions and the names that its `from` may use."""

    def __init__(
        self,
        templates: TemplateCache,
        layers: Sequence[Json],
        path: JsonPath,
        values: Values,
        evaluation_scope: EvaluationScope,
        inputs: Mapping[str, Ref],
        block_use: BlockUse | None = None,
        input_copies: Mapping[str, Copies] = {},
    ) -> None:
        """`input_copies` are the inputs made by repetition, which `inputs` contain one by one."""
        self.templates, self.report, self.evaluator = templates, templates.report, templates.evaluator
        self.values, self.evaluation_scope, self.block_use = values, evaluation_scope, block_use
        self.symbols: dict[str, Symbol] = {**inputs, **input_copies}
        """The steps, inputs, and copies of either by name."""
        self.symbols_by_lower_case: dict[str, tuple[str, Symbol]] = {
            name.lower(): (name, symbol) for name, symbol in self.symbols.items()
        }
        expander = EntryExpander(templates, self.evaluator, values, evaluation_scope)
        self.entries = [expander.expand(entry, (*path, index)) for index, entry in enumerate(layers)]
        self._assign_names(set(self.symbols_by_lower_case))
        self.is_exact = self._make_templates()
        self.resolver = ReferenceResolver(
            self.symbols, self.entries, inputs, block_use, self.evaluator, evaluation_scope
        )
        if block_use is not None:
            templates.used_inputs |= {(block_use.block.name, number) for number in self.resolver.used_inputs}

    def template(self, outputs: Json, path: JsonPath) -> Template:
        """The template of the entries. `outputs` are those written at a path, or None."""
        evaluated_outputs = self.evaluator.evaluate(outputs, self.values, path, [], self.evaluation_scope)
        outputs_by_name = self.resolver.outputs(evaluated_outputs, path)
        if self.block_use is not None:
            self.templates.used_inputs |= {(self.block_use.block.name, number) for number in self.resolver.used_inputs}
        steps = [step for entry in self.entries for step in entry.steps if not step.is_elided]
        value_count = sum(
            step.template.value_count if step.template else self.evaluator.entry_value_count(step.body)
            for step in steps
        )
        largest_entry = max(((entry.layer_count, entry.path) for entry in self.entries), default=(0, path))
        layer_count = sum(entry.layer_count for entry in self.entries)
        is_exact = self.is_exact and all(step.template.is_exact for step in steps if step.template)
        left_out = self.resolver.left_out_steps()
        return Template(steps, outputs_by_name, layer_count, value_count, is_exact, largest_entry, left_out=left_out)

    # -- names -------------------------------------------------------------------------------------------------------

    def _assign_names(self, inputs: set[str]) -> None:
        """Names all steps. The written name of a repeated entry also refers to its last copy, or to copies side by
        side."""
        for entry in self.entries:
            for number, step in enumerate(entry.steps, 1):
                name = step.body.get("name") if isinstance(step.body, dict) else None
                if isinstance(name, str):
                    is_numbered = entry.repetition.copy_count > 1 or not entry.repetition.is_chained
                    step.name = f"{name}_{number}" if entry.fixed_name and is_numbered else name
        steps = [step for entry in self.entries for step in entry.steps]
        used_names = inputs | {step.name.lower() for step in steps if step.name}
        used_names |= {entry.fixed_name.lower() for entry in self.entries if entry.fixed_name}
        last_numbers: dict[str, int] = {}
        for entry in self.entries:
            for step in entry.steps:
                if not step.name and isinstance(step.body, dict) and not step.is_elided:
                    step.name = self._default_name(step.body, used_names, last_numbers)
                if not (entry.copies and step.is_elided):
                    self._define_name(step, step.name)
            if entry.fixed_name and (entry.repetition.copy_count > 1 or entry.copies):
                self._define_name(entry.copies or entry.steps[-1], entry.fixed_name)

    def _default_name(self, body: Mapping[str, Json], used_names: set[str], last_numbers: dict[str, int]) -> str:
        use = body.get("use")
        base = use if isinstance(use, str) else default_name(str(body.get("type")))
        name = free_name(base, used_names, last_numbers, first=int(isinstance(use, str)))
        used_names.add(name.lower())
        return name

    def _define_name(self, symbol: Step | Copies, name: str) -> None:
        """Defines a name for a step or for copies, and reports a conflict with another name.

        Two layers of the same name are reported later, by `build_network`.
        """
        if not name:
            return
        self.symbols.setdefault(name, symbol)
        known, other = self.symbols_by_lower_case.setdefault(name.lower(), (name, symbol))
        are_steps = isinstance(symbol, Step) and isinstance(other, Step)
        if other is symbol or (are_steps and name == symbol.name and not self._has_block(symbol, other)):
            return
        path = (*symbol.path, "name")
        notes = [(other.path, f"{short_name(known)} is defined here")] if isinstance(other, (Step, Copies)) else []
        problem = "is defined twice" if known == name else f"differs from {short_name(known)} only in case"
        message, help = f"the name {short_name(name)} {problem}", "rename one of them"
        self.report.add("duplicate-name", path, message, help=help, notes=[*notes, *self.evaluation_scope.notes])
        if isinstance(symbol, Step):
            symbol.invalid_paths.append(path)

    def _has_block(self, *steps: object) -> bool:
        """Whether one of the steps uses a block."""
        kinds = [step.body.get("type") for step in steps if isinstance(step, Step) and isinstance(step.body, dict)]
        return any(isinstance(kind, str) and kind in self.templates.blocks for kind in kinds)

    # -- blocks ------------------------------------------------------------------------------------------------------

    def _make_templates(self) -> bool:
        """Makes the templates of the blocks that steps use. Returns False if it stopped because of too many layers."""
        layer_count = 0
        for entry in self.entries:
            first, body = entry.steps[0], entry.steps[0].body
            for step in entry.steps:
                if step is not first and step.body is body:
                    step.body, step.block, step.template = first.body, first.block, first.template
                    step.invalid_paths = list(first.invalid_paths)
                elif isinstance(step.body, dict) and isinstance(step.body.get("type"), str):
                    self._make_template(step, entry.raw["type"])
                    if layer_count > MAX_LAYERS and step is not first:
                        return False
                layer_count += step.layer_count
        for entry in self.entries:
            for step in entry.steps:
                if step.is_use and isinstance(step.body["use"], str):
                    self._resolve_use(step)
        return True

    def _make_template(self, step: Step, raw_type: str) -> None:
        """Makes the template of a step that uses a block; `raw_type` is its `type` as written.

        Reports a misspelled block, a block named by an expression, and blocks inside a layer.
        """
        kind = step.body["type"]
        if kind in LAYERS.by_name:
            for key, value in step.body.items() if self.templates.blocks else ():
                self._check_nested_blocks(step, (*step.path, key), value)
            return
        if kind not in self.templates.blocks:
            similar: list[str] = []
            known = [*LAYERS.by_name, *self.templates.blocks]
            if not unsupported_layer(kind) and not foreign_name_help("layer", kind, known):
                similar = self.report.similar_words(kind, known)
            if any(name in self.templates.blocks for name in similar):
                message = f"there is no layer type or block {short_name(kind)}"
                is_in_library = similar[0].startswith(library.PREFIX)
                is_meant = len(similar) == 1 and (not is_in_library or kind.startswith(library.PREFIX))
                is_valid_there = is_meant and self._accepts(similar[0], step)
                help = suggested(kind, similar) if is_valid_there else did_you_mean(similar)
                self._report_invalid(step, "unknown-type", "type", message, help)
            return
        block = self.templates.blocks[kind]
        if raw_type != kind:
            message = f"the block {short_name(kind)} is named by an expression"
            help = "write the name of the block; only the type of a layer may be an expression"
            self._report_invalid(step, "invalid-expression", "type", message, help)
        elif block is None or not self._is_valid_use(step):
            replace_with_identity(step)
        else:
            block_use = BlockUse(step.path, step.path, step.name, block, self.block_use)
            arguments = block_arguments(step, block, self.report, self.evaluation_scope.notes)
            step.block = block
            sources = step.body.get("from")
            input_count = len(sources) if isinstance(sources, list) else 1
            step.template = self.templates.template(block, arguments, block_use, input_count)

    def _check_nested_blocks(self, step: Step, path: JsonPath, value: Json) -> None:
        """Reports uses of blocks inside a layer, which may contain layers only."""
        if isinstance(value, (list, dict)):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                self._check_nested_blocks(step, (*path, key), inner)
            kind = value.get("type") if isinstance(value, dict) else None
            if isinstance(kind, str) and kind in self.templates.blocks and kind not in KNOWN_TYPES:
                message = f"the block {short_name(kind)} is used inside {step.body['type']}, which wraps a single layer"
                notes = self.evaluation_scope.notes
                self.report.add("unknown-type", (*path, "type"), message, help=NESTED_BLOCK_HELP, notes=notes)
                step.invalid_paths.append(path)

    def _is_valid_use(self, step: Step) -> bool:
        """Whether the name and the `from` of a use of a block have valid types; reports errors if not.

        Those of layers are validated with the flat document.
        """
        if (*step.path, "name") in step.invalid_paths:
            return False
        name, reference = step.body.get("name", "a"), step.body.get("from", "a")
        sources = reference if isinstance(reference, list) and reference else [reference]
        is_valid = True
        pattern = (INNER_NAME_SCHEMA if self.block_use else NAME_SCHEMA)["pattern"]
        if not isinstance(name, str) or not re.fullmatch(str(pattern), name):
            is_valid = False
            self._report_invalid(step, "invalid-name", "name", f"{short_repr(name)} is not a valid name", NAME_HELP)
        if not all(isinstance(source, str) for source in sources):
            is_valid = False
            message = f"expected a name or an array of names for 'from', got {short_repr(reference)}"
            self._report_invalid(step, "wrong-type", "from", message, None)
        elif not isinstance(step.body.get("description", ""), str):
            is_valid = False
            message = f"expected a string for 'description', got {short_repr(step.body['description'])}"
            self._report_invalid(step, "wrong-type", "description", message, None)
        return is_valid

    def _resolve_use(self, step: Step) -> None:
        """Sets the step that a step with `use` refers to, and its template if that is a use of a block."""
        name, help = step.body["use"], "name the layer or block to call again"
        target = self.symbols.get(name)
        if isinstance(target, Step) and target.template is not None:
            if target.is_use:
                message = f"{short_name(name)} is a use of another block, not a block"
                self._report_invalid(step, "unknown-name", "use", message, help)
                return
            for key in [key for key in step.body if key not in ENTRY_KEYS]:
                message = f"an entry with 'use' has no key {short_name(key)}"
                key_help, path = "the arguments are those of the first use", (*step.path, key)
                notes = self.evaluation_scope.notes
                self.report.add("unknown-key", path, message, help=key_help, at_key=True, notes=notes)
            if self._is_valid_use(step):
                step.used_step, step.block, step.template = target, target.block, target.template
        elif isinstance(target, Step) and target.path in target.invalid_paths:
            replace_with_identity(step)
        elif isinstance(target, Step) and not target.is_elided:
            step.used_step = target
        elif isinstance(target, Copies):
            names = [member.name for member in target.members if isinstance(member, Step)]
            help = f"name one of them: {quoted_or_list(names, 4)}" if names else help
            self._report_unknown_use(step, f"{short_name(name)} stands for all copies, and `use` calls one", help)
        elif not step.invalid_paths and target is None and name in self.templates.blocks:
            uses = [known for known, symbol in self.symbols.items() if isinstance(symbol, Step) and symbol.uses(name)]
            help = f"name a use of it: {quoted_or_list(uses)}" if uses else f'write "type": "{name}" to use it'
            message = f"{short_name(name)} is a block, and `use` names a layer or a use of a block"
            self._report_unknown_use(step, message, help)
        elif not step.invalid_paths and (self.block_use is not None or self._resembles_block_use(name)):
            layers = [known for known, symbol in self.symbols.items() if isinstance(symbol, Step)]
            message = f"{short_name(name)} is not a layer here"
            if target is None:
                message = f"nothing is called {short_name(name)}"
            self._report_unknown_use(step, message, self.report.suggestion(name, layers) or help)

    def _report_unknown_use(self, step: Step, message: str, help: str | Suggestion) -> None:
        """Reports the name in `use` of a step, which still takes its inputs."""
        path = (*step.path, "use")
        self.report.add("unknown-name", path, message, help=help, notes=self.evaluation_scope.notes)
        step.invalid_paths.append(path)

    def _resembles_block_use(self, name: str) -> bool:
        """Whether an unknown name is similar to the name of a use of a block, which the flat document lacks."""
        steps = {known: symbol for known, symbol in self.symbols.items() if isinstance(symbol, Step)}
        similar = [] if name in self.symbols else self.report.similar_words(name, steps)
        return any(steps[known].template is not None for known in similar)

    def _accepts(self, name: str, step: Step) -> bool:
        """Whether a step has the arguments of a block."""
        block = self.templates.blocks.get(name)
        if block is None:
            return False
        arguments = step.body.keys() - ENTRY_KEYS
        required = {key for key, parameter in block.parameters.items() if not parameter.has_default}
        return required <= arguments <= block.parameters.keys()

    def _report_invalid(self, step: Step, code: str, key: str, message: str, help: str | Suggestion | None) -> None:
        """Reports an error at a key of a step, and replaces the step by a placeholder."""
        self.report.add(code, (*step.path, key), message, help=help, notes=self.evaluation_scope.notes)
        replace_with_identity(step)
