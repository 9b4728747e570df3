"""Writes LogSoftmax by reductions."""

from __future__ import annotations

from ...ir import Value
from ..rewrite import Match
from .rules import form, operand


@form("LogSoftmax")
def log_softmax_as_exp(m: Match) -> Value:
    """LogSoftmax(x) -> s - Log(ReduceSum(Exp(s))), where s = x - ReduceMax(x) is never positive"""
    g, x, axis = m.g, operand(m), m.node.attribute("axis", -1)
    shifted = g.Sub(x, g.ReduceMax(x, [axis]))
    result: Value = g.Sub(shifted, g.Log(g.ReduceSum(g.Exp(shifted), [axis])))
    return result
