"""The section `distill` of a training: a trained model whose outputs the network learns from."""

from __future__ import annotations

from ..core.components import attr
from .section_base import Section


class DistillSection(Section):
    """Knowledge distillation: the network also learns from the outputs of a trained model, its teacher."""

    teacher: str = attr(
        doc="Teacher: a RUN folder or an ONNX model, whose inputs are inputs of the network, and which has an output "
        "for each of its outputs with a loss. The path is relative to the spec."
    )
    temperature: float = attr(
        3.0,
        doc="Number by which the logits of classes and labels are divided before teacher and network are compared. "
        "Their divergence is multiplied by its square. It has no effect on other outputs.",
        above=0,
        maximum=1e6,
    )
    alpha: float = attr(
        0.5,
        doc="Weight of the loss on the targets; the difference from the teacher has the weight `1 - alpha`.",
        minimum=0,
        maximum=1,
    )
