"""Writes operators of booleans, rounding and remainders by simpler ones."""

from __future__ import annotations

from ...ir import Constant, Value
from ..rewrite import Match
from .rules import form, operand

LARGEST_BELOW_HALF = 0.5 - 2.0**-25
"""The largest float32 below one half."""


@form("Or")
def or_as_and(m: Match) -> Value:
    """Or(a, b) -> Not(And(Not(a), Not(b)))"""
    g = m.g
    result: Value = g.Not(g.And(g.Not(operand(m)), g.Not(operand(m, 1))))
    return result


@form("Xor")
def xor_as_and(m: Match) -> Value:
    """Xor(a, b) -> And(Not(And(a, b)), Not(And(Not(a), Not(b))))"""
    g, a, b = m.g, operand(m), operand(m, 1)
    result: Value = g.And(g.Not(g.And(a, b)), g.Not(g.And(g.Not(a), g.Not(b))))
    return result


@form("Round")
def round_as_floor(m: Match) -> Value | None:
    """Round(x) -> Floor(x), plus 1 if the rest is above one half, or is one half and Floor(x) is odd"""
    g, x = m.g, operand(m)
    if x.dtype != "float32":
        return None
    floor = g.Floor(x)
    is_odd = g.Sub(floor, g.Mul(g.Floor(g.Mul(floor, 0.5)), 2.0))
    bound = g.Sub(0.5, g.Mul(is_odd, 0.5 - LARGEST_BELOW_HALF))
    result: Value = g.Add(floor, g.cast(g.Greater(g.Sub(x, floor), bound), x.dtype))
    return result


@form("Mod")
def remainder_as_division(m: Match) -> Value | None:
    """Mod(x, n) of integers -> r = x - x / n * n, or r + n if the signs of r and n differ"""
    g, x, n = m.g, operand(m), operand(m, 1)
    if not x.dtype.startswith("int") or m.node.attribute("fmod", 0):
        return None
    zero = g.const(0, x.dtype)
    rest = g.Sub(x, g.Mul(g.Div(x, n), n))
    if isinstance(n, Constant) and (n.array > 0).all():
        differs = g.Less(rest, zero)
    else:
        differs = g.And(g.Not(g.Equal(rest, zero)), g.Xor(g.Less(rest, zero), g.Less(n, zero)))
    result: Value = g.Where(differs, g.Add(rest, n), rest)
    return result


@form("SpaceToDepth")
def space_to_depth_as_transpose(m: Match) -> Value | None:
    """SpaceToDepth(x) -> Reshape(Transpose(Reshape(x))), for static sizes of images"""
    g, x, size = m.g, operand(m), m.node.attribute("blocksize")
    batch, channels, rows, columns = x.shape
    if not all(isinstance(each, int) for each in (channels, rows, columns)):
        return None
    blocks = g.reshape(x, (batch, channels, rows // size, size, columns // size, size))
    return g.reshape(g.transpose(blocks, (0, 3, 5, 1, 2, 4)), m.node.outputs[0].shape)
