"""Checks the tolerances of quantized variants."""

from __future__ import annotations

from ..core.diagnostics import Report, quoted_list
from ..sections.quantization_section import DIFFERENCES, QUANTIZATION_KEY
from ..training.metrics.objective import Objective
from .objective import reported_metrics
from .shape_inference import TypedNetwork


def check_tolerances(typed: TypedNetwork, objective: Objective | None, report: Report) -> None:
    """Reports limits of variants that are neither metrics of the training nor differences of outputs."""
    if objective is None or not typed.network.variants:
        return
    metrics, lists = reported_metrics(objective, typed.network.outputs)
    known = [name for name in (*metrics, *DIFFERENCES) if name not in lists]
    for variant, section in typed.network.variants.items():
        for name in section.tolerance:
            if name not in known:
                path = (QUANTIZATION_KEY, variant, "tolerance", name)
                help = report.suggestion(name, known) or f"known are {quoted_list(known)}"
                report.add(
                    "unknown-figure",
                    path,
                    f"the tolerance has a limit of {name!r}, which is unknown",
                    help=help,
                    at_key=True,
                )
