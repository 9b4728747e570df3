"""Freezes the ranges of quantizers for the last epochs of a quantization-aware training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.reserved_names import FROZEN_RANGES

if TYPE_CHECKING:
    from ..execution.engine import Engine

RANGE_UPDATE_FRACTION = 0.75
"""Fraction of the epochs whose steps update the ranges. The weights then adapt to frozen ranges."""


def freeze_ranges(engine: Engine, epoch: int, epochs: int) -> None:
    """Lets the steps of an epoch of a fit update the ranges, or keep them: in the last quarter, and in the last one of
    several."""
    if FROZEN_RANGES not in engine.plan.train.states:
        return
    first_frozen = max(1, min(epochs - 1, int(np.ceil(epochs * RANGE_UPDATE_FRACTION))))
    frozen = np.array(epoch >= first_frozen, np.float32)
    if engine.current_variables()[FROZEN_RANGES] != frozen:
        engine.write({FROZEN_RANGES: frozen})
