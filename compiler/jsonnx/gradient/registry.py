"""The table of gradient rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ir import Builder, Node, Value

Cotangents = Value | None | Sequence[Value | None]
Rule = Callable[..., Cotangents]
"""`rule(g, node, *dys)`: one cotangent an output in (None where nothing depends on it), one an input out.

A cotangent may have the broadcast shape of the output; the engine sums it down to the input's. None out means that the
output does not depend on that input in a differentiable way.
"""

RULES: dict[str, Rule] = {}

NOT_DIFFERENTIABLE: set[str] = set()
"""Operators whose output is constant almost everywhere, or is no real number: their gradient is zero by intention."""


def vjp(*operators: str) -> Callable[[Rule], Rule]:
    """Enter the vector-Jacobian product of one or more operators into the table."""

    def enter(rule: Rule) -> Rule:
        for operator in operators:
            if operator in RULES:
                raise ValueError(f"two rules for {operator}")
            RULES[operator] = rule
        return rule

    return enter


__all__ = ["NOT_DIFFERENTIABLE", "RULES", "Builder", "Cotangents", "Node", "Rule", "Value", "vjp"]
