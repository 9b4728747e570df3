"""What training a spec will need, before it begins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...analysis.activation_memory import symbolic_sizes
from ...core.diagnostics import UsageError, quoted_or_list, suggestion
from ...core.types import BATCH
from ...ir import unlearned_states
from ...runtime.execution.step_memory import TrainingEstimate, estimate_step_memory
from ..check.budget import budget_of
from ..check.check import CheckedSpec
from .plan_training import plan_training


def estimate_training(
    checked: CheckedSpec, batch_size: int | None = None, sizes: Mapping[str, int] = {}, threads: int | None = None
) -> TrainingEstimate:
    """The memory of steps with batches of these sizes; without one, those of the spec's `training` and `budget`.

    Raises CompileError if the spec cannot be trained, UsageError `bad-option` for a size that is missing or that no
    input has.
    """
    plan = plan_training(checked)
    names = symbolic_sizes(checked.require())
    sizes = {**budget_of(checked).sizes, **sizes}
    for name in sizes:
        if name not in names:
            known = f"the inputs have the sizes {quoted_or_list(names)}" if names else "no size of an input is symbolic"
            raise UsageError("bad-option", f"no input has a size {name!r}", suggestion(name, names) or known)
    missing = [name for name in names if name not in sizes]
    if missing:
        message = f"the memory of a training step depends on the size {missing[0]!r}"
        raise UsageError("bad-option", message, f"add --size {missing[0]}=100, or `sizes` to the `budget` of the spec")
    samples = batch_size or plan.training.batch_size
    tokens = {"string": np.array(["token"], object), "int64": np.array([1])}
    vocabularies = {name: tokens[state.dtype] for name, state in unlearned_states(plan.train).items()}
    return estimate_step_memory(plan, {str(BATCH): samples, **sizes}, threads, vocabularies)
