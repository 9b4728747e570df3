"""The trainer that users construct: from a spec, not from a plan."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .driver import compiled, plan
from .model import Model
from .runtime.trainer import Trainer as PlanTrainer
from .validation import Checked, Spec, check


class Trainer(PlanTrainer):
    """Trains the network of a spec on stock onnxruntime, as its `training` section says.

    `seed` replaces the spec's, `weights` the initial ones. Raises CompileError for a spec that is wrong, UsageError
    where the provider is not there.
    """

    def __init__(
        self,
        spec: Spec | Checked,
        provider: str = "cpu",
        seed: int | None = None,
        weights: Mapping[str, np.ndarray] | None = None,
        threads: int | None = None,
    ) -> None:
        self._checked = spec if isinstance(spec, Checked) else check(spec)
        super().__init__(plan(self._checked, seed), provider, threads, weights)

    def model(self) -> Model:
        """The inference model with the weights as they are now."""
        return compiled(self._checked, self.weights())


__all__ = ["Trainer"]
