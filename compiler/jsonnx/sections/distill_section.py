"""The section `distill` of a training."""

from __future__ import annotations

from ..core.components import attr
from .section_base import Section


class DistillSection(Section):
    """Knowledge distillation: the network also learns from the outputs of a trained model, its teacher."""

    teacher: str = attr(
        doc="Path of the teacher, relative to the spec: a RUN folder, or an ONNX model with an output for each output "
        "of the network with a loss."
    )
    temperature: float = attr(
        3.0,
        doc="Number by which logits are divided before those of teacher and network are compared. The divergence is "
        "multiplied by its square. It has no effect on outputs that are neither classes nor labels.",
        above=0,
        maximum=1e6,
    )
    alpha: float = attr(
        0.5,
        doc="Weight of the loss on the targets; the difference from the teacher has the weight `1 - alpha`.",
        minimum=0,
        maximum=1,
    )
