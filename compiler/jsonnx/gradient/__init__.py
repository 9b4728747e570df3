"""Reverse-mode differentiation: a rule for each operator, the backward pass, and the training step.

In: a `Graph` and the values to differentiate by. Out: their cotangents, or the graph of a whole training step. Knows
operators, not layers.
"""

from .backward import MissingRule, gradients
from .builder import GradientBuilder
from .rules import NOT_DIFFERENTIABLE, RULES
from .tuning import GradientTuning

__all__ = ["NOT_DIFFERENTIABLE", "RULES", "GradientBuilder", "GradientTuning", "MissingRule", "gradients"]
