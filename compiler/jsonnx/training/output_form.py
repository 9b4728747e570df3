"""The form of the numbers that a loss or a metric takes from an output: each declares its own."""

from __future__ import annotations

from enum import Enum


class OutputForm(Enum):
    """A form of the numbers of an output. The value completes `takes ...`."""

    NUMBERS = "numbers"
    LOGITS = "logits, which have no bounds"
    UNITS_FROM_0_TO_1 = "numbers from 0 to 1"
    INDEPENDENT_PROBABILITIES = "independent probabilities"
    CLASS_WEIGHTS = "class probabilities"
    CLASS_PROBABILITIES = "probabilities that sum to 1"
    EXPECTED_COUNTS = "positive numbers"
    SIGNED_SCORES = "scores of both signs"
    UNIT_VECTORS = "vectors of norm 1"
    CLASS_INDICES = "class indices"
