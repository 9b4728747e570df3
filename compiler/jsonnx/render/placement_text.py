"""The nodes that a provider cannot run, as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..targets import KernelTable, MissingKernel, Placement


def placements_text(found: Sequence[tuple[KernelTable, Mapping[str, Placement]]]) -> str:
    """For each provider and model the number of nodes with a kernel, and a line for each node without one."""
    parts = [_placement_text(table, title, placement) for table, models in found for title, placement in models.items()]
    if any(placement.missing for _, models in found for placement in models.values()):
        parts.append("Nodes without a kernel run on the CPU: their inputs and outputs are copied at every run.")
    return "\n".join(parts)


def _placement_text(table: KernelTable, title: str, placement: Placement) -> str:
    with_kernel = placement.nodes - len(placement.missing)
    head = f"{table.provider}, onnxruntime {table.runtime_version}, {title}: "
    counts = f"{with_kernel:,} of {placement.nodes:,} nodes have a kernel"
    return "\n".join([head + counts, *map(_node_line, placement.missing)])


def _node_line(missing: MissingKernel) -> str:
    layer = f" ({missing.path})" if missing.path else ""
    return f"  {missing.name}{layer}: {missing.reason}; gives {', '.join(missing.outputs)}"


def placements_json(found: Sequence[tuple[KernelTable, Mapping[str, Placement]]]) -> str:
    """A list with the source of each table, and for each model its number of nodes and those without a kernel."""
    document = [
        {
            "provider": table.provider,
            "onnxruntime": table.runtime_version,
            "source": table.source,
            "models": {
                title: {"nodes": placement.nodes, "without_kernel": [asdict(missing) for missing in placement.missing]}
                for title, placement in models.items()
            },
        }
        for table, models in found
    ]
    return json.dumps(document, indent=2)
