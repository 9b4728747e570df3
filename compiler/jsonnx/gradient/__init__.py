"""Reverse-mode differentiation: a rule for each operator, the backward pass, and the training step.

Takes a `Graph` and the values to differentiate with respect to; returns their cotangents, or the graph of a training
step. Knows operators, not layers.
"""

from .backward import MissingRule, gradients
from .builder import GradientBuilder
from .rules import NOT_DIFFERENTIABLE, RULES
from .tuning import GradientTuning

__all__ = ["NOT_DIFFERENTIABLE", "RULES", "GradientBuilder", "GradientTuning", "MissingRule", "gradients"]
