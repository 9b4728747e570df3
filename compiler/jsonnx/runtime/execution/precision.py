"""The precision that a spec asks for, and the providers that have it."""

from __future__ import annotations

from ...core.diagnostics import CompileError, Diagnostic
from ..providers.providers import PROVIDERS, Provider
from ..training_plan import TrainingPlan


def require_precision(plan: TrainingPlan, provider: Provider) -> None:
    """Raises CompileError `unsupported-precision` if the provider cannot train in the precision of the spec."""
    precision = plan.training.precision
    dtype = precision.removeprefix("mixed_")
    if dtype == "float32" or provider.name not in PROVIDERS or dtype in PROVIDERS[provider.name].compute_types:
        return
    able = [name for name, info in PROVIDERS.items() if dtype in info.compute_types]
    message = f"the provider {provider.name!r} does not train in {precision}"
    help = f"train in float32, or with a provider that has {dtype}: {', '.join(able)}"
    raise CompileError(
        [plan.source.locate_diagnostic(Diagnostic("unsupported-precision", message, help=help), PRECISION_PATH)]
    )


PRECISION_PATH = ("training", "precision")
