"""The trainer that users construct: from a spec, not from a plan."""

from __future__ import annotations

from ..runtime.trainer import Trainer as PlanTrainer
from ..runtime.variables import DonatedArrays
from .check import CheckedSpec, Spec, check_spec
from .compile import compile_checked
from .initial_weights import Weights, resolve_initial_weights
from .model import Model
from .plan_training import plan_training


class Trainer(PlanTrainer):
    """Trains the network of a spec on stock onnxruntime, as its `training` section says.

    `seed` replaces the spec's; `weights` (arrays by name, or a file of them) those that the spec names, or else the
    initial ones. They must be all that there are; with `partial` what does not fit is left out and drawn:
    `weights_report` tells. `scale` is the name of one of the spec's scales. Without `fast` the graphs run as they are,
    not in the form that suits this machine best. Raises CompileError for a spec that is wrong or a file that does not
    fit, FeedError for weights that do not fit, UsageError where the provider is not there.
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
    ) -> None:
        self._checked = spec if isinstance(spec, CheckedSpec) else check_spec(spec, scale=scale)
        made = plan_training(self._checked, seed)
        values = {**made.train.parameters, **made.train.states}
        wanted = {name: values[name].type for name in made.weight_names}
        initial_weights, self.weights_report = resolve_initial_weights(self._checked, wanted, weights, partial)
        donated_weights = DonatedArrays(initial_weights)
        del initial_weights  # the engine frees each array once it is copied
        super().__init__(made, provider, threads, fast=fast, donated_weights=donated_weights)

    def model(self) -> Model:
        """The inference model with the weights as they are now."""
        return compile_checked(self._checked, self.weights())


__all__ = ["Trainer"]
