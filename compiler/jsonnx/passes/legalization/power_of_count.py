"""Writes a power of a constant to a count by tables of powers.

The bias corrections of Adam and others are 1 - beta ^ count. A GPU computes a power of floats with a relative error of
1e-7, which the subtraction makes an error of 1e-4 in the first steps, and few have a power with an integer exponent.
Tables give the correctly rounded power of a count below 256, and the product of two of them for others.
"""

from __future__ import annotations

from math import log

import numpy as np

from ...ir import Builder, Constant, Value
from ..rewrite import Match
from .rules import form

LOW_COUNTS = 256
"""Powers in the table of low counts: of the counts from 0."""
MAX_COUNT = 1 << 24
"""Larger counts are clamped to `MAX_COUNT - 1`, unless the power has reached 0 before."""
COUNT_TYPES = {"int32", "int64"}


@form("Pow")
def power_of_count(m: Match) -> Value | None:
    """Pow(base, count) -> Gather(high, count / 256) * Gather(low, count % 256), for a constant base from 0 to 1 and a
    scalar count that is not negative"""
    base, count = m.node.inputs
    if not isinstance(base, Constant) or count is None or base.array.size != 1 or count.dtype not in COUNT_TYPES:
        return None
    number = float(base.array.reshape(()))
    if base.rank or count.rank or not 0 < number < 1:
        return None
    g = m.g
    limit = LOW_COUNTS * len(_high_powers(number))
    bounded = _bounded(g, count, limit)
    index = g.Div(bounded, LOW_COUNTS)
    low = np.float64(number) ** np.arange(LOW_COUNTS)
    high_power = g.Gather(g.const(_high_powers(number), base.dtype), index, axis=0)
    low_power = g.Gather(g.const(low, base.dtype), g.Sub(bounded, g.Mul(index, LOW_COUNTS)), axis=0)
    power: Value = g.Mul(high_power, low_power)
    return power


def _high_powers(base: float) -> np.ndarray:
    """The powers of multiples of `LOW_COUNTS`, up to the first that is 0 in float32."""
    smallest = float(np.finfo(np.float32).smallest_subnormal)
    count = min(MAX_COUNT // LOW_COUNTS, int(log(smallest / 2) / log(base) / LOW_COUNTS) + 2)
    return np.float64(base) ** (np.arange(count) * LOW_COUNTS)


def _bounded(g: Builder, count: Value, limit: int) -> Value:
    """The count, or `limit - 1` if it is greater."""
    chosen: Value = g.Where(g.Less(count, limit), count, g.const(limit - 1, count.dtype))
    return chosen
