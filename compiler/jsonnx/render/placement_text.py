"""The nodes that a provider leaves to the CPU, as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..targets import Copies, MissingKernel, PlacedModel, ProviderPlacement

BYTE_UNITS = ("bytes", "KB", "MB", "GB")


def placements_text(found: Sequence[ProviderPlacement]) -> str:
    """For each provider and model (`ProviderPlacement`) the number of nodes that it runs, a line for each node that it
    leaves to the CPU, and what is copied for them."""
    parts = [_model_text(provider, model) for provider in found for model in provider.models]
    if any(model.placement.missing for provider in found for model in provider.models):
        parts.append("Nodes without a kernel run on the CPU: their inputs and outputs are copied at every run.")
    return "\n".join(parts)


def _model_text(provider: ProviderPlacement, model: PlacedModel) -> str:
    is_session = provider.source == "session"
    place = " on this machine" if is_session else ""
    head = f"{provider.provider}, onnxruntime {provider.runtime_version}{place}, {model.title}: "
    placement = model.placement
    on_provider = placement.nodes - len(placement.missing)
    verb = "run on the provider" if is_session else "have a kernel"
    counts = f"{on_provider:,} of {placement.nodes:,} nodes {verb}"
    lines = [head + counts, *map(_node_line, placement.missing)]
    return "\n".join([*lines, f"  {copies_text(model.copies, model.batch_size)}"] if placement.missing else lines)


def _node_line(missing: MissingKernel) -> str:
    layer = f" ({missing.path})" if missing.path else ""
    return f"  {missing.name}{layer}: {missing.reason}; gives {', '.join(missing.outputs)}"


def copies_text(copies: Copies, batch_size: int) -> str:
    """What is copied at a run, such as `3 tensors are copied at every run, 1.5 MB for 32 samples`."""
    tensors = f"{copies.tensors:,} tensor{' is' if copies.tensors == 1 else 's are'} copied at every run"
    samples = f"{batch_size:,} sample{'' if batch_size == 1 else 's'}"
    return f"{tensors}, {'' if copies.is_complete else 'at least '}{bytes_text(copies.bytes)} for {samples}"


def bytes_text(count: int) -> str:
    """A number of bytes in a unit in which it is below 1000."""
    size, unit = float(count), BYTE_UNITS[0]
    for unit in BYTE_UNITS:
        if size < 1000 or unit == BYTE_UNITS[-1]:
            break
        size /= 1000
    return f"{count} {unit}" if unit == BYTE_UNITS[0] else f"{size:.3g} {unit}"


def placements_json(found: Sequence[ProviderPlacement]) -> str:
    """A list with the source of each answer, and for each model its number of nodes, those that the provider leaves to
    the CPU, and the tensors that are copied for them."""
    document = [
        {
            "provider": provider.provider,
            "onnxruntime": provider.runtime_version,
            "source": provider.source,
            "models": {
                model.title: {
                    "nodes": model.placement.nodes,
                    "without_kernel": [
                        {**asdict(missing), "copied_bytes": model.copies.bytes_by_node.get(missing.name, 0)}
                        for missing in model.placement.missing
                    ],
                    "batch_size": model.batch_size,
                    "copied_tensors": model.copies.tensors,
                    "copied_bytes": model.copies.bytes,
                    "all_sizes_known": model.copies.is_complete,
                }
                for model in provider.models
            },
        }
        for provider in found
    ]
    return json.dumps(document, indent=2)
