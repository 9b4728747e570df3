"""What the provider `auto` took, and why."""

from __future__ import annotations

from .provider_faults import missing_library
from .providers import AUTO_ORDER, PROVIDERS, Provider, load_runtime

AUTO = "auto"


def choice_text(taken: Provider) -> str:
    """A sentence that tells why `auto` took this provider: what kept it from those before it in `AUTO_ORDER`."""
    runtime = load_runtime()
    before = AUTO_ORDER[: AUTO_ORDER.index(taken.name)]
    present = runtime.get_available_providers()
    absent = [name for name in before if PROVIDERS[name].ort_name not in present]
    reasons = [_failure(name) for name in before if name not in absent]
    if absent:
        verb = "is" if len(absent) == 1 else "are"
        reasons.append(f"{_list(absent)} {verb} not in this onnxruntime {runtime.__version__}")
    return f"--provider auto took {taken.name}" + (f": {'; '.join(reasons)}" if reasons else "")


def _failure(name: str) -> str:
    library = missing_library(load_runtime(), name)
    return f"{name} does not start here" + (f" ({library} is missing)" if library else "")


def _list(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} and {names[-1]}"
