"""The trainer that users construct: from a spec, not from a plan."""

from __future__ import annotations

import os

from .driver import Weights, compiled, plan
from .model import Model
from .runtime.trainer import Trainer as PlanTrainer
from .runtime.weights import read_weights
from .validation import Checked, Spec, check


class Trainer(PlanTrainer):
    """Trains the network of a spec on stock onnxruntime, as its `training` section says.

    `seed` replaces the spec's, `weights` (arrays by name, or a file of them) the initial ones. Raises CompileError
    for a
    spec that is wrong, FeedError for weights that do not fit, UsageError where the provider is not there.
    """

    def __init__(
        self,
        spec: Spec | Checked,
        provider: str = "cpu",
        seed: int | None = None,
        weights: Weights = None,
        threads: int | None = None,
    ) -> None:
        self._checked = spec if isinstance(spec, Checked) else check(spec)
        given = read_weights(weights) if isinstance(weights, (str, os.PathLike)) else weights
        super().__init__(plan(self._checked, seed), provider, threads, given)

    def model(self) -> Model:
        """The inference model with the weights as they are now."""
        return compiled(self._checked, self.weights())


__all__ = ["Trainer"]
