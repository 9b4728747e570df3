"""How the samples of a training step are divided among the workers of a distributed training."""

from __future__ import annotations

from typing import Literal

from ..core.components import attr
from .section_base import Section

MAX_SHARDS = 4096


class DistributedSection(Section):
    """Training by virtual shards: a batch is split into a fixed number of shards, whatever the number of workers.

    Workers compute the gradients of shards, and add them in a fixed order, so that all numbers of workers lead to the
    same weights, bit for bit.
    """

    shards: int = attr(
        doc="Number of shards of a batch, at least the number of workers.", minimum=1, maximum=MAX_SHARDS
    )
    batch_norm: Literal["local"] | None = attr(
        None,
        doc="How BatchNormalization computes statistics in training: `local` takes those of each shard, instead of the "
        "whole batch. Without it, networks with such layers are refused.",
    )
    compression: Literal["bfloat16"] | None = attr(
        None, doc="Element type in which workers exchange gradients; null for float32."
    )
