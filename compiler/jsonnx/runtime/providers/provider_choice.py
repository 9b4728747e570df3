"""The provider that `auto` took, and the reason."""

from __future__ import annotations

from ...core.providers.execution_provider import ExecutionProvider
from ...core.providers.known_providers import enumeration, providers_of_auto
from .provider_errors import missing_library
from .providers import Provider, load_runtime


def choice_text(taken: Provider) -> str:
    """The reason for the choice of `auto`: why the providers before this one were not taken."""
    runtime = load_runtime()
    order = providers_of_auto()
    before = order[: [provider.name for provider in order].index(taken.name)]
    present = runtime.get_available_providers()
    absent = [provider.name for provider in before if provider.ort_name not in present]
    reasons = [_failure(provider) for provider in before if provider.name not in absent]
    if absent:
        verb = "is" if len(absent) == 1 else "are"
        reasons.append(f"{enumeration(absent)} {verb} not in this onnxruntime {runtime.__version__}")
    return f"--provider auto took {taken.name}" + (f": {'; '.join(reasons)}" if reasons else "")


def _failure(provider: ExecutionProvider) -> str:
    library = missing_library(load_runtime(), provider)
    return f"{provider.name} does not start here" + (f" ({library} is missing)" if library else "")
