"""The precision that a spec asks for, and the providers that have it."""

from __future__ import annotations

from ...core.diagnostics import CompileError, Diagnostic
from ...core.providers.known_providers import PROVIDERS
from ..providers.providers import Provider
from ..training_plan import TrainingPlan


def require_precision(plan: TrainingPlan, provider: Provider) -> None:
    """Raises CompileError `unsupported-precision` if the provider cannot train in the precision of the spec."""
    precision = plan.training.precision
    dtype = precision.removeprefix("mixed_")
    types = provider.record.compute_types
    if dtype == "float32" or types is None or dtype in types:
        return
    able = [record.name for record in PROVIDERS.values() if dtype in (record.compute_types or ())]
    message = f"the provider {provider.name!r} does not train in {precision}"
    help = f"train in float32, or with a provider that has {dtype}: {', '.join(able)}"
    raise CompileError(
        [plan.source.locate_diagnostic(Diagnostic("unsupported-precision", message, help=help), PRECISION_PATH)]
    )


PRECISION_PATH = ("training", "precision")
