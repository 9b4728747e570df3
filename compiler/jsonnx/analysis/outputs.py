"""Checks that the first axis of each network output is the batch."""

from __future__ import annotations

from ..core.diagnostics import JsonPath, Report
from ..core.types import BATCH
from .shape_inference import TypedNetwork

BATCH_FIRST_HELP = "a network has one result per sample: after a reduction over the batch, restore its axis"


def check_outputs_batch_first(typed: TypedNetwork, report: Report) -> None:
    """Reports every output whose first axis is not the batch."""
    network = typed.network
    written = network.document.get("outputs") if network.document else None
    for name in network.outputs:
        type = typed.types.get(name)
        if type is None or type.shape[:1] == (BATCH,):
            continue
        path: JsonPath = network.paths[name]
        if written is not None:
            path = ("outputs",) if isinstance(written, str) else ("outputs", written.index(name))
        notes = [(network.paths[name], f"{name!r} is computed here")] if written is not None else []
        message = f"the output {name!r} is {type}, whose first axis is not the batch"
        report.add("shape-mismatch", path, message, help=BATCH_FIRST_HELP, notes=notes)
