"""Low-rank adaptation (LoRA): the settings of adapters, which are trained in place of the weights that they adapt."""

from __future__ import annotations

from math import sqrt
from typing import Annotated, NamedTuple

from ...core.components import Component, DictCodec, NumberCodec, ScalarCodec, attr
from .initializers import HeUniform, Initializer, Ones, Zeros

MAX_LORA_RANK = 1 << 14
Ranks = Annotated[dict[str, int], DictCodec(ScalarCodec(type="integer", minimum=1, maximum=MAX_LORA_RANK))]
LORA_RANK = (
    "Rank of a low-rank adaptation: the kernel is frozen, and the product of two matrices of this rank that is added "
    "to it is trained."
)
LORA_ALPHA = "Factor of a low-rank adaptation, which is divided by its rank. Null: the rank."


class LowRank(NamedTuple):
    """The settings of one adapter."""

    rank: int
    scale: float
    use_dora: bool = False

    @property
    def a_initializer(self) -> Initializer:
        return HeUniform()  # type: ignore[call-arg]

    @property
    def b_initializer(self) -> Initializer:
        return Zeros()

    @property
    def magnitude_initializer(self) -> Initializer:
        """Stands for the norms of the weight's columns, which are known once the weight is."""
        return Ones()


def layer_adapter(rank: int | None, alpha: float | None) -> LowRank | None:
    """The adapter that the arguments of a layer ask for, as in Keras."""
    return None if rank is None else LowRank(rank, 1.0 if alpha is None else alpha / rank)


class LoraSection(Component):
    """Low-rank adaptation of frozen weights: W becomes W + alpha / rank * A B, and A and B are trained."""

    has_type_key = False

    weights: tuple[str, ...] = attr(
        doc="Patterns for the names of the weights that are adapted, such as `*/query/kernel`, or of layers, all of "
        "whose matrices are adapted; `!` before one leaves weights or layers out. These weights are frozen."
    )
    rank: int = attr(8, doc="Rank of the two matrices.", minimum=1, maximum=MAX_LORA_RANK)
    alpha: float | None = attr(
        None,
        doc="Factor of the product of both matrices, which is divided by the rank. Null: the rank, as in Keras.",
        above=0,
    )
    rank_pattern: Ranks = attr(
        {}, doc="Other ranks, by patterns for the names of weights. The first pattern that matches applies."
    )
    alpha_pattern: Annotated[dict[str, float], DictCodec(NumberCodec())] = attr(
        {}, doc="Other values of `alpha`, by patterns for the names of weights.", above=0
    )
    use_rslora: bool = attr(
        False, doc="Whether `alpha` is divided by the square root of the rank (rank-stabilized LoRA)."
    )
    use_dora: bool = attr(
        False,
        doc="Whether the norms of the adapted weight's columns are trained on their own (weight-decomposed LoRA, "
        "DoRA).",
    )
    adapter: str | None = attr(
        None,
        doc="Folder with an adapter as PEFT saves it, with which training starts; the path is relative to the spec. "
        "Weights that a command or a call passes, such as `--weights`, take its place.",
    )

    def settings(self, rank: int | None, alpha: float | None) -> LowRank:
        """The settings of an adapter, with the rank and the alpha that patterns give."""
        rank = self.rank if rank is None else rank
        alpha = self.alpha if alpha is None else alpha
        alpha = rank if alpha is None else alpha
        return LowRank(rank, alpha / (sqrt(rank) if self.use_rslora else rank), self.use_dora)
