"""The providers that run the nodes of a model, as its session records them in onnxruntime 1.24 and later."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...core.diagnostics import UsageError
from ...core.files.loadable_model import LoadableModel
from ...core.providers.known_providers import CPU, PROVIDERS
from .providers import Provider, create_session, provider_starts, resolve_provider

OPTIMIZATION_LEVEL = "ORT_ENABLE_BASIC"
"""Nodes are assigned after the basic optimizations, and only then fused."""


class Assignment(NamedTuple):
    """The names of a model's nodes by where they run. Nodes that onnxruntime has removed or renamed are missing."""

    on_provider: frozenset[str]
    on_cpu: frozenset[str]


def usable_provider(name: str) -> Provider | None:
    """The provider of a name; None if it is not installed or does not start here.

    Raises UsageError `unknown-provider`.
    """
    try:
        provider = resolve_provider(name)
    except UsageError as error:
        if error.diagnostic.code == "unknown-provider":
            raise
        return None
    return provider if provider_starts(provider) else None


def assignment(model: bytes | LoadableModel, provider: Provider) -> Assignment | None:
    """Where a session on a provider runs the nodes of a model; None for onnxruntime before 1.24.

    Raises UsageError `provider-failed`, CompileError `bad-model`.
    """
    return recorded_assignment(create_session(model, provider, optimization=OPTIMIZATION_LEVEL, quiet=True))


def recorded_assignment(session: Any) -> Assignment | None:
    """The assignment of a session on a provider other than the CPU; None for onnxruntime before 1.24."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return None
    on_cpu: set[str] = set()
    on_provider: set[str] = set()
    for subgraph in session.get_provider_graph_assignment_info():
        names = on_cpu if subgraph.ep_name == PROVIDERS[CPU].ort_name else on_provider
        names.update(node.name for node in subgraph.get_nodes())
    return Assignment(frozenset(on_provider - on_cpu), frozenset(on_cpu))
