"""Names of the optimizers that can be written without arguments."""

from __future__ import annotations

from jsonnx.training.optimizers.optimizers import OPTIMIZERS

NEEDS_ARGUMENTS = {"MultiOptimizer"}
OPTIMIZER_NAMES = sorted(OPTIMIZERS.members.keys() - NEEDS_ARGUMENTS)
