"""Resolves the `from` references among the steps of a scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ..schema.phrases import known_names_help, name_list, short_name
from .carried_results import check_carried_results
from .evaluator import EvaluationScope, Evaluator
from .template import (
    PLACEHOLDER_TYPE,
    BlockUse,
    Copies,
    Entry,
    LeftOutStep,
    Ref,
    Step,
    further_outputs,
    keep_single_input,
    may_lack_inputs,
)


class StepResult(NamedTuple):
    """A result of a use of a block."""

    step: Step
    output: str


Symbol = Step | Ref | Copies
"""What a name of a scope stands for."""

Pointer = Step | StepResult | Ref | Copies | None
"""A source of a step: the first result of another step, a result of it, an input by its number, a name to look up,
copies, or none."""


def replace_with_identity(step: Step) -> None:
    """Replaces an invalid step by a placeholder, so that references to its name remain valid."""
    step.body, step.block, step.template, step.used_step = {"type": PLACEHOLDER_TYPE}, None, None, None
    step.invalid_paths.append(step.path)


class ReferenceResolver:
    """Resolves names of a scope to layers and inputs, and sets the sources of its steps."""

    def __init__(
        self,
        symbols: Mapping[str, Symbol],
        entries: Sequence[Entry],
        inputs: Mapping[str, Ref],
        block_use: BlockUse | None,
        evaluator: Evaluator,
        evaluation_scope: EvaluationScope,
    ) -> None:
        self.symbols, self.entries, self.inputs, self.block_use = symbols, entries, inputs, block_use
        self.evaluator, self.report, self.evaluation_scope = evaluator, evaluator.report, evaluation_scope
        self.used_inputs: set[int] = set()
        """The numbers of the inputs that a step takes."""
        self.unresolved_names: list[tuple[JsonPath, str]] = []
        """Names in the `from` of uses of blocks that are not defined in this scope, with their paths."""
        single_names = [entry.steps[0].name for entry in entries if entry.is_single_copy]
        self.numbered_names = {name: f"{name}_1" for name in single_names if f"{name}_1" not in symbols}
        """The names that single copies would have among several."""
        self._pointers: dict[Step, list[Pointer]] = {}
        check_carried_results(entries, self.report, evaluation_scope)
        self.last_result = self._collect_pointers()
        steps = [step for entry in entries for step in entry.steps]
        for step in steps:
            self._check_input_count(step)
        for step in steps:
            if step.is_elided:
                self._check_elided(step)
            else:
                step.sources = self._resolve_sources(step)

    def _collect_pointers(self) -> Pointer:
        """Collects the sources of each step, as written or by default, and returns the source of a further entry.

        The first sources of a chained copy are results of the copy before.
        """
        block = self.block_use.block if self.block_use else None
        required_count = block.required_input_count if block else len(self.inputs)
        default: Pointer = next(iter(self.inputs)) if required_count == 1 else None
        for entry in self.entries:
            previous: Step | None = None
            for step in entry.steps:
                if not isinstance(step.body, dict):
                    continue
                has_default = "from" in step.body or not may_lack_inputs(step)
                reference = step.body.get("from", default) if has_default else []
                pointers: list[Pointer] = list(reference) if isinstance(reference, list) else [reference]
                if previous is not None and has_default and entry.repetition.is_chained:
                    carried: list[Pointer] = [StepResult(previous, name) for name in entry.repetition.carry]
                    carried = carried or [previous]
                    pointers = [*carried, *pointers[len(carried) :]]
                if any(map(self._is_collection, pointers)):
                    pointers = self._with_members(pointers, step, entry)
                self._pointers[step] = pointers
                previous = step
            default = entry.copies or previous or default
        return default

    def _is_collection(self, pointer: Pointer) -> bool:
        """Whether a pointer stands for several values: a pattern, or copies."""
        return self._copies(pointer) is not None or (isinstance(pointer, str) and has_patterns(pointer))

    def _copies(self, pointer: Pointer) -> Copies | None:
        symbol = self.symbols.get(pointer.partition(".")[0]) if isinstance(pointer, str) else pointer
        return symbol if isinstance(symbol, Copies) else None

    def _with_members(self, pointers: Sequence[Pointer], step: Step, entry: Entry) -> list[Pointer]:
        """The sources of a step with the values that patterns and copies stand for; reports one without a value."""
        result: list[Pointer] = []
        indexes: list[int] = []
        for index, pointer in enumerate(pointers):
            members: Sequence[Pointer] = [pointer]
            path: JsonPath = (*step.path, "from")
            path = (*path, index) if isinstance(step.body.get("from"), list) else path
            copies = self._copies(pointer)
            if copies is not None:
                members = self._members(pointer)
                if not copies.has_valid_count:
                    step.invalid_paths.append((*step.path, "from"))
            elif isinstance(pointer, str) and has_patterns(pointer):
                members = self._matching_values(pointer, entry, path)
                if not members:
                    step.invalid_paths.append(path)
                    members = [None]
            result += members
            indexes += [index] * len(members)
        if "from" in step.body:
            step.source_indexes = indexes
        if not result:
            self._report_no_copies(step)
            return [None]
        if len(result) == 1:
            keep_single_input(step)
        return result

    def _members(self, pointer: Pointer) -> list[Pointer]:
        """The values of copies: their first results, or those that a name such as `copies.skip` names."""
        copies, output = self._copies(pointer), pointer.partition(".")[2] if isinstance(pointer, str) else ""
        members = copies.members if copies else ()
        if not output:
            return [*members]
        return [f"{member.name if isinstance(member, Step) else member}.{output}" for member in members]

    def _report_no_copies(self, step: Step) -> None:
        """Reports that all sources of a step are repeated 0 times."""
        path: JsonPath = (*step.path, "from") if "from" in step.body else step.path
        message = f"{short_name(step.name)} has no input: all that it takes is repeated 0 times"
        help = "leave it out as well, or let it take another input"
        self.report.add("wrong-inputs", path, message, help=help, notes=self.evaluation_scope.notes)
        step.invalid_paths.append((*step.path, "from"))

    def _matching_values(self, pattern: str, entry: Entry, path: JsonPath) -> list[str]:
        """The inputs and the results of other entries whose names a pattern matches, in order.

        Reports an error at the path if there are none.
        """
        head, dot, output_pattern = pattern.partition(".")
        steps = [step for other in self.entries if other is not entry for step in other.steps if not step.is_elided]
        self.evaluator.spend(len(steps), path, self.evaluation_scope)
        candidates = [] if dot else [*self.inputs]
        for step in steps:
            candidates += [f"{step.name}.{output}" for output in further_outputs(step)] if dot else [step.name]
        single = {name for name, number in self.numbered_names.items() if fnmatchcase(number, head)}
        names = [
            name
            for name in candidates
            if (fnmatchcase(owner := name.partition(".")[0], head) or owner in single)
            and fnmatchcase(name.partition(".")[2], output_pattern)
        ]
        if not names:
            known = sorted(filter(None, candidates))
            help = self.report.suggestion(pattern, known) or (known_names_help(known) if known else None)
            message = f"{short_name(pattern)} matches the name of no {'output' if dot else 'layer'}"
            self.report.add("unknown-name", path, message, help=help, notes=self.evaluation_scope.notes)
        return names

    def _check_input_count(self, step: Step) -> None:
        """Reports a step without a default source, and a use of a block with the wrong number of inputs."""
        pointers = self._pointers.get(step, [])
        from_path = (*step.path, "from")
        if any(invalid[: len(from_path)] == from_path for invalid in step.invalid_paths):
            return
        block_inputs = step.block.inputs if step.block else ()
        path, block = step.path, step.block.name if step.block else ""
        if pointers == [None] and (step.block or self.block_use):
            message = f"{short_name(step.name)} is the first layer, and there are {len(self.inputs)} inputs"
            help: str | None = f'name the input that it takes: "from": "{next(iter(self.inputs), "...")}"'
            self.report.add("missing-key", path, message, help=help, notes=self.evaluation_scope.notes)
        elif step.block and step.template and len(pointers) != step.template.input_count:
            optional = block_inputs[step.block.required_input_count :]
            inputs = f"{len(block_inputs)} input{'s' if len(block_inputs) > 1 else ''}, {name_list(block_inputs)}"
            inputs += f", of which {name_list(optional)} may be left out" if optional else ""
            path = (*path, "from") if "from" in step.body else path
            message = f"the block {short_name(block)} takes {inputs}; {short_name(step.name)} takes {len(pointers)}"
            help = 'name all of them: "from": ["a", "b"]' if len(pointers) < len(block_inputs) else None
            self.report.add("wrong-inputs", path, message, help=help, notes=self.evaluation_scope.notes)
        else:
            return
        replace_with_identity(step)

    def _check_elided(self, step: Step) -> None:
        """Reports a `from` that is not written as names; the `from` of a layer that is not elided is checked later."""
        reference, path = step.body.get("from"), (*step.path, "from")
        is_written = "from" in step.body and path not in step.invalid_paths
        if is_written and (not reference or not _are_names(reference)):
            message = "expected a name or an array of names"
            self.report.add("wrong-type", path, message, notes=self.evaluation_scope.notes)
            step.invalid_paths.append(path)

    def _resolve_sources(self, step: Step) -> list[Ref | None] | None:
        """The sources of a step, with None for unknown names; None if `from` is not written as names."""
        pointers, path = self._pointers.get(step, []), (*step.path, "from")
        reference = step.body.get("from") if isinstance(step.body, dict) else None
        if path in step.invalid_paths or (reference is not None and not _are_names(reference)):
            return None
        indexes = range(len(pointers)) if step.source_indexes is None else step.source_indexes
        paths = [(*path, index) if isinstance(reference, list) else path for index in indexes]
        pointers_by_path = list(zip(paths, pointers, strict=False))
        if step.template is not None:
            self.unresolved_names += [
                (name_path, name)
                for name_path, name in pointers_by_path
                if isinstance(name, str) and name.partition(".")[0] not in self.symbols
            ]
        return [self.resolve(pointer, name_path, step.invalid_paths) for name_path, pointer in pointers_by_path]

    def left_out_steps(self) -> list[LeftOutStep]:
        """The steps left out that have further sources than the one that they stand for."""
        left_out = []
        for step in (step for entry in self.entries for step in entry.steps if step.is_elided):
            first, *further = self._pointers.get(step) or [None]
            refs = [self._written_result(pointer) for pointer in further]
            if isinstance(first, str):
                left_out.append(LeftOutStep(step, first, [ref for ref in refs if isinstance(ref, str)]))
        return left_out

    def results_by_name(self) -> dict[str, str]:
        """The names of results of layers, by the names of steps and of results of blocks that lead to them."""
        names = [*self.symbols]
        for name, symbol in self.symbols.items():
            if isinstance(symbol, Step) and symbol.template is not None:
                names += [f"{name}.{output}" for output in symbol.template.outputs]
        refs = {name: self._written_result(name) for name in names}
        return {name: ref for name, ref in refs.items() if isinstance(ref, str)}

    def _written_result(self, pointer: Pointer) -> Ref | None:
        """The result of a step that a name stands for; None for other names."""
        head, _, output = pointer.partition(".") if isinstance(pointer, str) else ("", "", "")
        symbol = self.symbols.get(head)
        return self._result(symbol, output) if isinstance(symbol, Step) and not symbol.is_elided else None

    def outputs(self, raw: Json, path: JsonPath) -> dict[str, Ref]:
        """The outputs of a block by name: those written at a path, or the result of the last entry."""
        names = list(raw) if isinstance(raw, (list, dict)) else [raw]
        outputs: dict[str, Ref] = {}
        if raw is None:
            return self._default_outputs(path)
        notes = self.evaluation_scope.notes
        for index, name in enumerate(names):
            if not isinstance(name, str):
                self.report.add("wrong-type", path, "expected a name or an array of names", notes=notes)
                continue
            name_path = (*path, index) if isinstance(raw, list) else (*path, name) if isinstance(raw, dict) else path
            if self.block_use is None and self._copies(name) is not None:
                continue  # several outputs of the network, which have the names of the layers
            ref, key = self.resolve(name, name_path, []), name.partition(".")[2] or name
            if key in outputs:
                message = f"the output {short_name(key)} is named twice"
                self.report.add("duplicate-name", name_path, message, help="remove one of them", notes=notes)
            elif ref is not None:
                outputs[key] = ref
        return outputs

    def _default_outputs(self, path: JsonPath) -> dict[str, Ref]:
        """The result of the last entry, or in a network the results of its copies."""
        results = [self.last_result]
        if self.block_use is None and isinstance(self.last_result, Copies):
            results = [*self.last_result.members]
        names = [result.name if isinstance(result, Step) else "output" for result in results]
        refs = [self.resolve(result, path, []) for result in results]
        return {name: ref for name, ref in zip(names, refs, strict=True) if ref is not None}

    def resolve_all(self, name: str, path: JsonPath, invalid_paths: list[JsonPath]) -> list[Ref]:
        """The values that a name leads to: one, or those of copies. Errors are reported as in `resolve`."""
        pointers = self._members(name) if self._copies(name) is not None else [name]
        refs = [self.resolve(pointer, path, invalid_paths) for pointer in pointers]
        return [ref for ref in refs if ref is not None]

    def resolve(self, pointer: Pointer, path: JsonPath, invalid_paths: list[JsonPath]) -> Ref | None:
        """The value that a pointer leads to, through elided steps and outputs of blocks.

        If there is none, an error is reported at the path, and the path is appended to `invalid_paths`.
        """
        visited: dict[Step, None] = {}
        name = output = ""
        while True:
            if isinstance(pointer, str):
                name = pointer
                head, dot, output = name.partition(".")
                target = self.symbols.get(head)
                if target is None or (dot and not isinstance(target, (Step, Copies))):
                    return self._report_unknown(name, path, invalid_paths)
                pointer = target
                if isinstance(pointer, str):
                    return pointer
            if isinstance(pointer, Copies):
                self._report_copies(pointer, path, invalid_paths)
                return None
            if isinstance(pointer, StepResult):
                pointer, output = pointer
            if pointer is None:
                return self._report_unknown(name, path, invalid_paths) if visited else None
            if isinstance(pointer, int):
                self.used_inputs.add(pointer)
                return pointer
            number = 0
            if not pointer.is_elided:
                ref = self._result(pointer, output)
                if isinstance(ref, str):
                    return ref
                if ref is None and output:
                    return self._report_unknown(name, path, invalid_paths, pointer)
                if ref is None:
                    invalid_paths.append(path)  # the block's outputs have errors, which are reported
                    return None
                number = ref
            if pointer in visited:
                self._report_cycle(list(visited), path, invalid_paths)
                return None
            visited[pointer] = None
            step, pointers, output = pointer, self._pointers.get(pointer, []), ""
            pointer = pointers[number] if number < len(pointers) else None
            if "from" in step.body and not isinstance(pointer, (str, Step, StepResult)):  # no names, which is reported
                invalid_paths.append(path)
                return None

    def _result(self, step: Step, output: str) -> Ref | None:
        """A result of a step, by default the first: its name, or the number of the input that it is; None if there is
        none of that name."""
        if step.template is None:
            return f"{step.name}.{output}" if output else step.name
        ref = step.template.outputs.get(output) if output else step.template.first_output
        return f"{step.prefix}{ref}" if isinstance(ref, str) else ref

    def _report_copies(self, copies: Copies, path: JsonPath, invalid_paths: list[JsonPath]) -> None:
        """Reports a name of several values in a place of one, and takes these for used."""
        for member in copies.members:
            if isinstance(member, Step):
                member.invalid_paths.append(member.path)
        names = [member.name if isinstance(member, Step) else str(member) for member in copies.members]
        message = f"{short_name(copies.name or 'the last entry')} stands for {len(names)} values, and an output is one"
        help = "merge them, such as by Add or Concatenate" + (f", or name one: {names[0]!r}" if names else "")
        self.report.add("wrong-inputs", path, message, help=help, notes=self.evaluation_scope.notes)
        invalid_paths.append(path)

    def _report_unknown(
        self, name: str, path: JsonPath, invalid_paths: list[JsonPath], block: Step | None = None
    ) -> Ref | None:
        """Reports a name that does not exist.

        Outside blocks the name is returned instead: it may be the name of a layer inside a block, which is known later.
        """
        if self.block_use is None and block is None:
            return name
        known = sorted(self.symbols)
        message = f"nothing is called {short_name(name)}"
        if block:
            message = f"{short_name(block.name)} has no output {short_name(name.partition('.')[2])}"
            if block.template:
                known = [f"{block.name}.{output}" for output in block.template.outputs]
        help = self.report.suggestion(name, known) or known_names_help(known)
        self.report.add("unknown-name", path, message, help=help, notes=self.evaluation_scope.notes)
        invalid_paths.append(path)
        return None

    def _report_cycle(self, cycle: list[Step], path: JsonPath, invalid_paths: list[JsonPath]) -> None:
        names = [short_name(step.name or "an entry") for step in cycle[:8]]
        message = f"{' -> '.join(names)} form a cycle without a layer in it"
        help = "let one of them take another input"
        self.report.add("cycle", path, message, help=help, notes=self.evaluation_scope.notes)
        invalid_paths.append(path)


def has_patterns(reference: Json) -> bool:
    """Whether a `from` contains a pattern, which stands for all names that it matches."""
    names = reference if isinstance(reference, list) else [reference]
    return any(isinstance(name, str) and ("*" in name or "?" in name or "[" in name) for name in names)


def _are_names(value: Json) -> bool:
    """Whether a value is a name or a list of names."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(name, str) for name in value))
