"""Which providers start on this machine, and how to get the others."""

from __future__ import annotations

from typing import NamedTuple

from ...core.diagnostics import UsageError
from ...core.providers.execution_provider import unlisted_provider
from ...core.providers.known_providers import PROVIDERS
from .provider_errors import library_help, missing_library
from .providers import (
    Provider,
    find_provider,
    how_to_get,
    known_provider,
    load_runtime,
    provider_starts,
)


class Availability(NamedTuple):
    """A row of `jsonnx providers`."""

    name: str
    full: str
    available: bool
    how: str


def provider_availability(name: str | None = None) -> list[Availability]:
    """Whether each known provider, and each further provider of this onnxruntime, starts on this machine; with a short
    or a full name, or `auto`, for one provider. Raises UsageError `unknown-provider`.
    """
    try:
        present = load_runtime().get_available_providers()
    except UsageError:
        present = []
    known_names = {info.ort_name for info in PROVIDERS.values()}
    further = [Provider(unlisted_provider(each)) for each in present if each not in known_names]
    providers = [*map(known_provider, PROVIDERS), *further]
    if name is not None:
        providers = [each for each in providers if name in (each.name, each.ort_name)] or [find_provider(name)]
    return [_availability(provider, provider.ort_name in present) for provider in providers]


def _availability(provider: Provider, is_installed: bool) -> Availability:
    if not is_installed:
        return Availability(provider.name, provider.ort_name, False, how_to_get(provider.record))
    if provider_starts(provider):
        return Availability(provider.name, provider.ort_name, True, "")
    library = missing_library(load_runtime(), provider.record)
    requirement = provider.record.requirement or "its device"
    cause = f"{library} is missing: {library_help(library)}" if library else f"it needs {requirement}"
    how = f"installed, but it does not start here; {cause}"
    return Availability(provider.name, provider.ort_name, False, how)
