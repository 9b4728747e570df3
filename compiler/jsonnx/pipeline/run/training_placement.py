"""Warns before a training whose provider leaves large nodes to the CPU."""

from __future__ import annotations

from ...core.diagnostics import Diagnostic
from ...ir import Graph
from ...placement import SESSION, Copies, MissingKernel, PlacedModel, Placement, ProviderPlacement
from ...runtime.providers.providers import Provider, runtime_version
from ..check.check import CheckedSpec
from .place_nodes import step_placement

COMPUTE_OPERATORS = {"Attention", "Conv", "ConvTranspose", "Einsum", "Gemm", "GRU", "LSTM", "MatMul", "RNN", "Scan"}
"""Operators that take most of the time of a step, whatever is copied for them. Those that compute with texts are left
out: they are on the CPU for every provider."""
MIN_LARGE_COPY_BYTES = 1 << 20
"""Copies above this size make a node count as large: copying takes about as long as 100 small kernels."""
MAX_NAMED_NODES = 5


def training_placement(checked: CheckedSpec, step: Graph, provider: Provider) -> ProviderPlacement | None:
    """Where a provider runs the nodes of a training step; None if that is not known."""
    if provider.is_cpu:
        all_here = PlacedModel("training step", Placement(len(step.nodes), ()), Copies(0, 0, True, {}), 1)
        return ProviderPlacement(provider.name, runtime_version(), SESSION, (all_here,))
    if provider.record.builds_engines:
        return None
    return step_placement(checked, step, provider.name)


def fallback_diagnostic(placement: ProviderPlacement, *, is_error: bool, file: str | None = None) -> Diagnostic | None:
    """A diagnostic if large nodes of a training step run on the CPU."""
    (model,) = placement.models
    large = [missing for missing in model.placement.missing if _is_large(missing, model)]
    if not large:
        return None
    named = [f"{missing.name.lstrip('/')} ({missing.reason})" for missing in large[:MAX_NAMED_NODES]]
    more = f" and {len(large) - len(named):,} more" if len(large) > len(named) else ""
    message = (
        f"{len(large):,} large node{'' if len(large) == 1 else 's'} of the training step run on the CPU, not on "
        f"{placement.provider}: {', '.join(named)}{more}"
    )
    help = "`jsonnx providers SPEC --provider NAME` lists all such nodes and what is copied for them"
    if not is_error:
        help += "; with --strict this is an error"
    return Diagnostic("cpu-fallback", message, file=file, help=help, severity="error" if is_error else "warning")


def _is_large(missing: MissingKernel, model: PlacedModel) -> bool:
    copied_bytes = model.copies.bytes_by_node.get(missing.name, 0)
    gives_texts = all(output.startswith("string ") for output in missing.outputs)
    return (missing.op in COMPUTE_OPERATORS and not gives_texts) or copied_bytes >= MIN_LARGE_COPY_BYTES
