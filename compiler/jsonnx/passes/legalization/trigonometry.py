"""Writes trigonometric and hyperbolic functions by Sin, Cos, Exp, Log and Tanh, to float32 accuracy."""

from __future__ import annotations

from math import log, pi, sqrt
from typing import Any

from ...ir import Builder, Value
from ..rewrite import Match
from .rules import form, operand

ATAN_COEFFICIENTS = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
"""Minimax coefficients of (atan(r) - r) / r^3 in powers of r^2 for |r| <= tan(pi / 8), from the highest (Cephes)."""
MAX_SQUARED = 1e9
"""Above this magnitude, x^2 + 1 equals x^2 in float32."""


@form("Tan")
def tan_as_quotient(m: Match) -> Value:
    """Tan(x) -> Sin(x) / Cos(x)"""
    x = operand(m)
    result: Value = m.g.Div(m.g.Sin(x), m.g.Cos(x))
    return result


@form("Cosh")
def cosh_as_exp(m: Match) -> Value:
    """Cosh(x) -> (Exp(x) + Exp(-x)) / 2"""
    g, x = m.g, operand(m)
    result: Value = g.Mul(g.Add(g.Exp(x), g.Exp(g.Neg(x))), 0.5)
    return result


@form("Sinh")
def sinh_as_exp(m: Match) -> Value:
    """Sinh(x) -> (Exp(x) - Exp(-x)) / 2; near 0, where the difference cancels, 2 t / (1 - t^2) with t = Tanh(x / 2)"""
    g, x = m.g, operand(m)
    tanh = g.Tanh(g.Mul(x, 0.5))
    near_zero = g.Div(g.Mul(tanh, 2.0), g.Sub(1.0, g.Mul(tanh, tanh)))
    difference = g.Mul(g.Sub(g.Exp(x), g.Exp(g.Neg(x))), 0.5)
    result: Value = g.Where(g.Less(g.Abs(x), 1.0), near_zero, difference)
    return result


@form("Asinh")
def asinh_as_log(m: Match) -> Value:
    """Asinh(x) -> Sign(x) * log1p(a + a^2 / (1 + Sqrt(a^2 + 1))) with a = Abs(x); for large a, Log(2 a)"""
    g, x = m.g, operand(m)
    a = g.Abs(x)
    quotient = g.Div(a, g.Add(g.Sqrt(g.Add(g.Mul(a, a), 1.0)), 1.0))
    magnitude = log1p(g, g.Add(a, g.Mul(a, quotient)))
    result: Value = g.Mul(g.Sign(x), g.Where(g.Greater(a, MAX_SQUARED), g.Add(g.Log(a), log(2)), magnitude))
    return result


@form("Acosh")
def acosh_as_log(m: Match) -> Value:
    """Acosh(x) -> log1p(d + Sqrt(d) * Sqrt(d + 2)) with d = x - 1"""
    g = m.g
    d = g.Sub(operand(m), 1.0)
    return log1p(g, g.Add(d, g.Mul(g.Sqrt(d), g.Sqrt(g.Add(d, 2.0)))))


@form("Atanh")
def atanh_as_log(m: Match) -> Value:
    """Atanh(x) -> Sign(x) * log1p(2 a / (1 - a)) / 2 with a = Abs(x)"""
    g, x = m.g, operand(m)
    a = g.Abs(x)
    result: Value = g.Mul(g.Sign(x), g.Mul(log1p(g, g.Div(g.Mul(a, 2.0), g.Sub(1.0, a))), 0.5))
    return result


@form("Atan")
def atan_as_polynomial(m: Match) -> Value:
    """Atan(x) -> Sign(x) * (angle + polynomial of r), where r is Abs(x) minus the angle 0, pi / 4 or pi / 2"""
    g, x = m.g, operand(m)
    a = g.Abs(x)
    is_large, is_medium = g.Greater(a, sqrt(2) + 1), g.Greater(a, sqrt(2) - 1)
    quotient = g.Div(g.Sub(a, 1.0), g.Add(a, 1.0))
    r = g.Where(is_large, g.Neg(g.Reciprocal(g.Add(a, g.const(0, x.dtype)))), g.Where(is_medium, quotient, a))
    zero = g.const(0, x.dtype)
    angle = g.Where(is_large, g.const(pi / 2, x.dtype), g.Where(is_medium, g.const(pi / 4, x.dtype), zero))
    square = g.Mul(r, r)
    polynomial: Any = ATAN_COEFFICIENTS[0]
    for coefficient in ATAN_COEFFICIENTS[1:]:
        polynomial = g.Add(g.Mul(square, polynomial), coefficient)
    magnitude = g.Add(angle, g.Add(g.Mul(g.Mul(polynomial, square), r), r))
    result: Value = g.Mul(g.Sign(x), magnitude)
    return result


@form("Asin")
def asin_as_atan(m: Match) -> Value:
    """Asin(x) -> Atan(x / Sqrt((1 - x) * (1 + x)))"""
    g, x = m.g, operand(m)
    result: Value = g.Atan(g.Div(x, g.Sqrt(g.Mul(g.Sub(1.0, x), g.Add(x, 1.0)))))
    return result


@form("Acos")
def acos_as_atan(m: Match) -> Value:
    """Acos(x) -> 2 * Atan(Sqrt((1 - x) / (1 + x)))"""
    g, x = m.g, operand(m)
    result: Value = g.Mul(g.Atan(g.Sqrt(g.Div(g.Sub(1.0, x), g.Add(x, 1.0)))), 2.0)
    return result


def log1p(g: Builder, x: Value) -> Value:
    """The logarithm of 1 + x, accurate near 0: the rounding error of 1 + x cancels in Log(u) / (u - 1)."""
    u = g.Add(x, 1.0)
    is_one = g.Equal(u, 1.0)
    divisor = g.Where(is_one, g.const(1, x.dtype), g.Sub(u, 1.0))
    corrected: Value = g.Where(g.Less(x, MAX_SQUARED), g.Mul(x, g.Div(g.Log(u), divisor)), g.Log(u))
    chosen: Value = g.Where(is_one, x, corrected)
    return chosen
