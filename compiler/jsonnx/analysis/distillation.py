"""Checks which outputs are compared with those of a teacher."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.diagnostics import JsonPath, Report
from ..sections.training_section import Training
from ..training.losses.distillation import Distillation
from ..training.losses.losses import Loss
from .shape_inference import TypedNetwork

DISTILL_PATH: JsonPath = ("training", "distill")


def resolve_distillation(
    typed: TypedNetwork, training: Training, losses: Mapping[str, Loss], report: Report
) -> Distillation | None:
    """What the outputs with a loss learn from the teacher, which knows no auxiliary outputs; None without a teacher.

    Reports that there is no such output, and losses that align the steps of an output.
    """
    section = training.distill
    if section is None:
        return None
    compared = {name: loss for name, loss in losses.items() if name not in typed.network.auxiliary_outputs}
    if not compared and not report.has_errors():
        message = "the network has no output with a loss, so no output is compared with the teacher's"
        report.add("loss-mismatch", DISTILL_PATH, message, help="give a loss, or leave `distill` out")
    for name, loss in compared.items():
        if loss.aligns_steps:
            message = f"{name!r} cannot be compared with a teacher's output: {loss.type_name} aligns its steps"
            report.add("loss-mismatch", DISTILL_PATH, message, help="leave `distill` out")
    return Distillation(section.temperature, section.alpha, frozenset(compared))
