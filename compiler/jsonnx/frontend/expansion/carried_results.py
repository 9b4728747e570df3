"""Checks the results that `carry` names."""

from __future__ import annotations

from collections.abc import Iterable

from ...core.diagnostics import Report, quoted_list
from ...core.fixes import Suggestion
from ..schema.phrases import short_name
from .evaluator import EvaluationScope
from .template import Entry, Step


def check_carried_results(entries: Iterable[Entry], report: Report, scope: EvaluationScope) -> None:
    """Reports results in `carry` that a block does not have, or that have no source to replace."""
    for entry in entries:
        step, carry = entry.steps[0], entry.repetition.carry
        if not carry or step.path in step.invalid_paths or step.is_elided:
            continue
        problems = list(_problems(step, carry, report))
        for code, message, help in problems:
            report.add(code, (*entry.path, "carry"), message, help=help, notes=scope.notes)
        if problems:
            entry.repetition = entry.repetition._replace(carry=())
            for copy in entry.steps[1:]:
                copy.invalid_paths.append((*copy.path, "from"))


def _problems(step: Step, carry: tuple[str, ...], report: Report) -> Iterable[tuple[str, str, str | Suggestion]]:
    """Yields the errors in the `carry` of an entry with a certain first copy: code, message and help."""
    block, template = step.block, step.template
    if template is None or block is None:
        message = f"'carry' names results of a block, and {short_name(step.name)} is a layer"
        yield "invalid-value", message, "put the layer into a block that has these results as outputs"
        return
    if len(carry) > len(block.inputs):
        message = f"'carry' names {len(carry)} results, and the block has {len(block.inputs)} inputs"
        yield "wrong-inputs", message, "each result takes the place of one name in `from`, in order"
        return
    for name in carry:
        if name not in template.outputs:
            known = quoted_list(template.outputs)
            help = f"its outputs are {known}; each takes the place of one name in `from`, in order"
            message = f"the block {short_name(block.name)} has no output {short_name(name)}"
            yield "unknown-name", message, report.suggestion(name, template.outputs) or help
