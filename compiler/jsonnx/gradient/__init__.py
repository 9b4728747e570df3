"""Reverse mode over the graph: a rule an operator, an engine, and the training step.

Comes in: a `Graph` and what to differentiate. Goes out: the cotangents, or a whole `TrainStep`. Knows operators, never
layers. Imports `graph` and `types`.
"""

from .backward import MissingRule, gradients
from .rules import NOT_DIFFERENTIABLE, RULES

__all__ = ["NOT_DIFFERENTIABLE", "RULES", "MissingRule", "gradients"]
