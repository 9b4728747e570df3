"""The public Trainer, which is constructed from a spec."""

from __future__ import annotations

from collections.abc import Sequence

from ..runtime.array_digest import array_digest
from ..runtime.trainer import Trainer as PlanTrainer
from ..runtime.variables import DonatedArrays
from .check import CheckedSpec, Spec, check_spec
from .compile import compile_checked
from .initial_weights import Weights, resolve_initial_weights
from .model import Model
from .plan_training import plan_training


class Trainer(PlanTrainer):
    """Trains the network of a spec on stock onnxruntime, as its `training` section says.

    `seed` replaces the spec's seed; `weights` (arrays by name, or a file) replace the spec's weight file and the random
    initial weights. Every weight must be given and fit; with `partial`, weights that are missing or do not fit are
    drawn, and `weights_report` lists them. `scale` is the name of one of the spec's scales, and a change is a text
    like `width=128`, as after `--set`. Without `fast`, the graphs are not rewritten for this machine. With `verify`, a
    weight file must match the digests that it records. Raises CompileError for an invalid spec or a weight file that
    does not fit, FeedError for arrays that do not fit, UsageError if the provider is not available.
    """

    def __init__(
        self,
        spec: Spec | CheckedSpec,
        provider: str = "cpu",
        seed: int | None = None,
        weights: Weights = None,
        threads: int | None = None,
        partial: bool = False,
        scale: str | None = None,
        fast: bool = True,
        verify: bool = True,
        changes: Sequence[str] = (),
    ) -> None:
        self._checked = spec if isinstance(spec, CheckedSpec) else check_spec(spec, changes=changes, scale=scale)
        plan = plan_training(self._checked, seed)
        variables = {**plan.train.parameters, **plan.train.states}
        types = {name: variables[name].type for name in plan.weight_names}
        initial_weights, self.weights_report = resolve_initial_weights(self._checked, types, weights, partial, verify)
        digest = array_digest(sorted(initial_weights.items())) if initial_weights else None
        donated_weights = DonatedArrays(initial_weights)
        del initial_weights  # the engine frees each array once it is copied
        super().__init__(plan, provider, threads, fast=fast, donated_weights=donated_weights)
        self.initial_weights_digest = digest

    def model(self) -> Model:
        """The inference model with the current weights."""
        return compile_checked(self._checked, self.weights())


__all__ = ["Trainer"]
