"""Writes activation functions by simpler operators."""

from __future__ import annotations

from math import pi, sqrt

from ...ir import Value
from ..rewrite import Match
from .rules import form, operand

SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
"""The defaults of Selu's attributes."""
CUBIC_COEFFICIENT = 0.044715
"""The coefficient of the cube in the approximation of Gelu by Tanh."""


@form("Softplus")
def softplus_as_log(m: Match) -> Value:
    """Softplus(x) -> Relu(x) + Log(1 + Exp(-Abs(x)))"""
    g, x = m.g, operand(m)
    result: Value = g.Add(g.Relu(x), g.Log(g.Add(g.Exp(g.Neg(g.Abs(x))), 1.0)))
    return result


@form("Softsign")
def softsign_as_division(m: Match) -> Value:
    """Softsign(x) -> x / (1 + Abs(x))"""
    x = operand(m)
    result: Value = m.g.Div(x, m.g.Add(m.g.Abs(x), 1.0))
    return result


@form("Selu")
def selu_as_elu(m: Match) -> Value:
    """Selu(x) -> gamma * Elu(x)"""
    scaled = m.g.Elu(operand(m), alpha=m.node.attribute("alpha", SELU_ALPHA))
    result: Value = m.g.Mul(scaled, m.node.attribute("gamma", SELU_GAMMA))
    return result


@form("HardSwish")
def hard_swish_as_hard_sigmoid(m: Match) -> Value:
    """HardSwish(x) -> x * HardSigmoid(x)"""
    x = operand(m)
    result: Value = m.g.Mul(x, m.g.HardSigmoid(x, alpha=1 / 6, beta=0.5))
    return result


@form("PRelu")
def prelu_as_where(m: Match) -> Value:
    """PRelu(x, slope) -> Where(Less(x, 0), x * slope, x)"""
    g, x = m.g, operand(m)
    result: Value = g.Where(g.Less(x, g.const(0, x.dtype)), g.Mul(x, operand(m, 1)), x)
    return result


@form("Shrink")
def shrink_as_where(m: Match) -> Value:
    """Shrink(x) -> Where(x < -lambda, x + bias, Where(x > lambda, x - bias, 0))"""
    g, x = m.g, operand(m)
    bias, bound = m.node.attribute("bias", 0.0), m.node.attribute("lambd", 0.5)
    upper = g.Where(g.Greater(x, bound), g.Sub(x, bias) if bias else x, g.const(0, x.dtype))
    result: Value = g.Where(g.Less(x, -bound), g.Add(x, bias) if bias else x, upper)
    return result


@form("Mish")
def mish_as_tanh(m: Match) -> Value:
    """Mish(x) -> x * Tanh(Softplus(x))"""
    x = operand(m)
    result: Value = m.g.Mul(x, m.g.Tanh(m.g.Softplus(x)))
    return result


@form("Gelu")
def gelu_as_tanh(m: Match) -> Value | None:
    """Gelu(x) by Tanh -> x / 2 * (1 + Tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))"""
    if m.node.attribute("approximate", "none") != "tanh":
        return None
    g, x = m.g, operand(m)
    inner = g.Mul(x, g.Add(g.Mul(g.Mul(x, x), sqrt(2 / pi) * CUBIC_COEFFICIENT), sqrt(2 / pi)))
    result: Value = g.Mul(g.Mul(x, 0.5), g.Add(g.Tanh(inner), 1.0))
    return result
