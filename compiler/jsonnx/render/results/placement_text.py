"""The nodes that a provider leaves to the CPU, as text and JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from ...placement import Copies, MissingKernel, PlacedModel, ProviderPlacement

BYTE_UNITS = ("bytes", "KB", "MB", "GB")


def placements_text(found: Sequence[ProviderPlacement]) -> str:
    """For each provider and model (`ProviderPlacement`) the number of nodes that it runs, a line for each reason at a
    layer to leave nodes to the CPU, and what is copied for them."""
    parts = [_model_text(provider, model) for provider in found for model in provider.models]
    if any(model.placement.missing for provider in found for model in provider.models):
        parts.append("For nodes that run on the CPU, inputs and outputs are copied at every run.")
    return "\n".join(parts)


def _model_text(provider: ProviderPlacement, model: PlacedModel) -> str:
    is_session = provider.source == "session"
    place = " on this machine" if is_session else ""
    head = f"{provider.provider}, onnxruntime {provider.runtime_version}{place}, {model.title}: "
    placement = model.placement
    on_provider = placement.nodes - len(placement.missing)
    verb = "run on the provider" if is_session else "have a kernel"
    counts = f"{on_provider:,} of {placement.nodes:,} nodes {verb}"
    lines = [head + counts, *_node_lines(placement.missing)]
    return "\n".join([*lines, f"  {copies_text(model.copies, model.batch_size)}"] if placement.missing else lines)


def _node_lines(nodes: Iterable[MissingKernel]) -> Iterator[str]:
    for first, others in alike_nodes(nodes):
        layer = f" ({first.path})" if first.path else ""
        yield f"  {first.name or first.op}{layer}: {first.reason}; gives {', '.join(first.outputs)}{others}"


class _FallbackNode(Protocol):
    """A node on the CPU: its path in the spec, and why it is there."""

    @property
    def path(self) -> str: ...
    @property
    def reason(self) -> str: ...


N = TypeVar("N", bound=_FallbackNode)


def alike_nodes(nodes: Iterable[N]) -> list[tuple[N, str]]:
    """The first node for each reason at a path, and how many more there are, such as `; 11 more nodes like it`: a block
    that is used twelve times is one item."""
    groups: dict[tuple[str, str], list[N]] = defaultdict(list)
    for node in nodes:
        groups[node.path, node.reason].append(node)
    return [(alike[0], _more_text(len(alike) - 1)) for alike in groups.values()]


def _more_text(others: int) -> str:
    return f"; {others:,} more node{'' if others == 1 else 's'} like it" if others else ""


def copies_text(copies: Copies, batch_size: int) -> str:
    """The copies of a run, such as `3 tensors are copied at every run, 1.5 MB for 32 samples`."""
    tensors = f"{copies.tensors:,} tensor{' is' if copies.tensors == 1 else 's are'} copied at every run"
    samples = f"{batch_size:,} sample{'' if batch_size == 1 else 's'}"
    if not copies.is_complete and not copies.bytes:
        return f"{tensors}, of unknown size"
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
    """A list with the source of each answer, and for each model its number of nodes, the nodes that the provider leaves
    to the CPU, and the tensors that are copied for them."""
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
