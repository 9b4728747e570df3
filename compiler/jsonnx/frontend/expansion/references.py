"""What the steps of a scope take from one another: names looked up, and what stands for something else followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ..schema.phrases import name_list, short_name
from .evaluator import EvaluationScope
from .template import BlockUse, Ref, Step

Pointer = Step | Ref | None
"""What a step takes: the first result of another one, an input, a name that is still to be looked up, or nothing."""

PLACEHOLDER_TYPE = "Identity"
"""Stands where a block would be that is wrong."""


def replace_with_identity(step: Step) -> None:
    """Put a layer in the place of a step that is known to be wrong, so that others still find its name."""
    step.body, step.block, step.template, step.used_step = {"type": PLACEHOLDER_TYPE}, None, None, None
    step.invalid_paths.append(step.path)


class ReferenceResolver:
    """The names of a scope, and what its steps take."""

    def __init__(
        self,
        symbols: Mapping[str, Step | Ref],
        entries: Sequence[Sequence[Step]],
        inputs: Mapping[str, Ref],
        block_use: BlockUse | None,
        report: Report,
        evaluation_scope: EvaluationScope,
    ) -> None:
        self.symbols, self.inputs, self.block_use, self.report, self.evaluation_scope = (
            symbols,
            inputs,
            block_use,
            report,
            evaluation_scope,
        )
        self.used_inputs: set[int] = set()
        """The numbers of the inputs that something takes."""
        self.unresolved_names: list[tuple[JsonPath, str]] = []
        """Names that uses of blocks take and that are not known here, with their places."""
        self._pointers: dict[Step, list[Pointer]] = {}
        self.last_result = self._collect_pointers(entries)
        steps = [step for entry in entries for step in entry]
        for step in steps:
            self._check_input_count(step)
        for step in steps:
            if not step.is_elided:
                step.sources = self._resolve_sources(step)

    def _collect_pointers(self, entries: Sequence[Sequence[Step]]) -> Pointer:
        """What each step takes, as written or else by default; and what the next one would take."""
        before: Pointer = next(iter(self.inputs)) if len(self.inputs) == 1 else None
        for entry in entries:
            previous: Step | None = None
            for step in entry:
                if not isinstance(step.body, dict):
                    continue
                written = step.body.get("from", before)
                own: list[Pointer] = list(written) if isinstance(written, list) else [written]
                self._pointers[step] = own if previous is None else [previous, *own[1:]]
                previous = step
            before = previous or before
        return before

    def _check_input_count(self, step: Step) -> None:
        """Whether a use of a block has as many inputs as the block; reported where not."""
        pointers = self._pointers.get(step, [])
        wanted = step.block.inputs if step.block else ()
        path, block = step.path, step.block.name if step.block else ""
        if pointers == [None] and (step.block or self.block_use):
            message = f"{short_name(step.name)} is the first layer and there are {len(self.inputs)} inputs"
            help: str | None = f'say which it takes: "from": "{next(iter(self.inputs), "...")}"'
            self.report.add("missing-key", path, message, help=help, notes=self.evaluation_scope.notes)
        elif step.block and len(pointers) != len(wanted):
            inputs = f"{len(wanted)} input{'s' if len(wanted) > 1 else ''}, {name_list(wanted)}"
            path = (*path, "from") if "from" in step.body else path
            message = f"the block {short_name(block)} takes {inputs}; {short_name(step.name)} takes {len(pointers)}"
            help = 'name them: "from": ["a", "b"]' if len(pointers) < len(wanted) else None
            self.report.add("wrong-inputs", path, message, help=help, notes=self.evaluation_scope.notes)
        else:
            return
        replace_with_identity(step)

    def _resolve_sources(self, step: Step) -> list[Ref | None] | None:
        pointers, path = self._pointers.get(step, []), (*step.path, "from")
        written = step.body.get("from") if isinstance(step.body, dict) else None
        if path in step.invalid_paths or (written is not None and not _are_names(written)):
            return None
        places = [(*path, at) for at in range(len(pointers))] if isinstance(written, list) else [path]
        if step.template is not None:
            names = zip(places, pointers, strict=False)
            self.unresolved_names += [
                (at, n) for at, n in names if isinstance(n, str) and n.partition(".")[0] not in self.symbols
            ]
        return [self.resolve(pointer, at, step.invalid_paths) for at, pointer in zip(places, pointers, strict=False)]

    def outputs(self, raw: Json, path: JsonPath) -> dict[str, Ref]:
        """The results of a block by name: of what is written, or of the last entry."""
        names = raw if isinstance(raw, list) else [raw]
        found: dict[str, Ref] = {}
        if raw is None:
            ref = self.resolve(self.last_result, path, [])
            return (
                {} if ref is None else {self.last_result.name if isinstance(self.last_result, Step) else "output": ref}
            )
        for at, name in enumerate(names):
            if not isinstance(name, str):
                self.report.add(
                    "wrong-type", path, "expected a name or an array of names", notes=self.evaluation_scope.notes
                )
                continue
            place = (*path, at) if isinstance(raw, list) else path
            ref, key = self.resolve(name, place, []), name.partition(".")[2] or name
            if key in found:
                message = f"the output {short_name(key)} is named twice"
                self.report.add("duplicate-name", place, message, help="remove one", notes=self.evaluation_scope.notes)
            elif ref is not None:
                found[key] = ref
        return found

    def resolve(self, pointer: Pointer, path: JsonPath, invalid_paths: list[JsonPath]) -> Ref | None:
        """What a pointer leads to; where it leads nowhere that is reported at the path, and kept in `invalid_paths`."""
        passed: dict[Step, None] = {}
        name = output = ""
        while True:
            if isinstance(pointer, str):
                name = pointer
                head, dot, output = name.partition(".")
                target = self.symbols.get(head)
                if target is None or (dot and not isinstance(target, Step)):
                    return self._report_unknown(name, path, invalid_paths)
                pointer = target
                if isinstance(pointer, str):
                    return pointer
            if pointer is None:
                return self._report_unknown(name, path, invalid_paths) if passed else None
            if isinstance(pointer, int):
                self.used_inputs.add(pointer)
                return pointer
            number = 0
            if not pointer.is_elided:
                if pointer.template is None:
                    return f"{pointer.name}.{output}" if output else pointer.name
                ref = pointer.template.outputs.get(output) if output else pointer.template.first_output
                if ref is None:
                    return self._report_unknown(name, path, invalid_paths, pointer) if output else None
                if isinstance(ref, str):
                    return f"{pointer.prefix}{ref}"
                number = ref
            if pointer in passed:
                self._report_cycle(list(passed), path, invalid_paths)
                return None
            passed[pointer] = None
            pointer, output = self._pointers[pointer][number], ""

    def _report_unknown(
        self, name: str, path: JsonPath, invalid_paths: list[JsonPath], block: Step | None = None
    ) -> Ref | None:
        """A name that is not there. At the top it may be one of a layer inside a block, which is seen later."""
        if self.block_use is None and block is None:
            return name
        known = [f"{block.name}.{output}" for output in block.template.outputs] if block and block.template else None
        known = sorted(self.symbols) if known is None else known
        message = f"nothing is called {short_name(name)}"
        if block:
            message = f"{short_name(block.name)} has no output {short_name(name.partition('.')[2])}"
        help = self.report.suggestion(name, known) or f"there are: {', '.join(known[:20])}"
        self.report.add("unknown-name", path, message, help=help, notes=self.evaluation_scope.notes)
        invalid_paths.append(path)
        return None

    def _report_cycle(self, cycle: list[Step], path: JsonPath, invalid_paths: list[JsonPath]) -> None:
        names = [short_name(step.name or "an entry") for step in cycle[:8]]
        message = f"{' -> '.join(names)} only pass on what they take, in a circle"
        self.report.add("cycle", path, message, help="let one take from elsewhere", notes=self.evaluation_scope.notes)
        invalid_paths.append(path)


def _are_names(written: Json) -> bool:
    return isinstance(written, str) or (isinstance(written, list) and all(isinstance(name, str) for name in written))
