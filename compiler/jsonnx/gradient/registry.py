"""The table of gradient rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ir import Builder, Node, Value
from .builder import GradientBuilder

Cotangents = Value | None | Sequence[Value | None]
Rule = Callable[..., Cotangents]
"""`rule(g, node, *dys)` takes a cotangent for each output (None if nothing depends on it) and returns one for each
input.

A returned cotangent may have the broadcast shape of the output; the backward pass reduces it to the input's shape. None
means that the output does not depend on this input in a differentiable way.
"""

FLOAT_DTYPES = {"float16", "float32", "float64", "bfloat16"}

RULES: dict[str, Rule] = {}

NOT_DIFFERENTIABLE: set[str] = set()
"""Operators whose output is piecewise constant or not real-valued; their gradient is zero by definition."""

QUANTIZERS: set[str] = set()
"""Operators whose integer results stand for real numbers, so that gradients pass them."""

ON_QUANTIZED: set[str] = set()
"""Operators whose rule also holds for the results of quantizers. The cotangents of these are real."""


def vjp(*operators: str) -> Callable[[Rule], Rule]:
    """Registers the vector-Jacobian product of one or more operators."""

    def register(rule: Rule) -> Rule:
        for operator in operators:
            if operator in RULES:
                raise ValueError(f"two rules for {operator}")
            RULES[operator] = rule
        return rule

    return register


__all__ = [
    "FLOAT_DTYPES",
    "NOT_DIFFERENTIABLE",
    "ON_QUANTIZED",
    "QUANTIZERS",
    "RULES",
    "Builder",
    "Cotangents",
    "GradientBuilder",
    "Node",
    "Rule",
    "Value",
    "vjp",
]
