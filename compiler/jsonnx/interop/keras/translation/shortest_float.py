"""Removes float32 and rounding noise from decimal numbers."""

from __future__ import annotations

from struct import error, pack, unpack


def shortest_float(value: float) -> float:
    """The shortest decimal number that equals `value` in float32, or to 14 digits.

    Keras writes 0.0010000000474974513 for 0.001 stored as float32, and 0.15000000000000002 for the result of a sum.
    """
    rounded = float(f"{value:.14g}")
    if len(repr(rounded)) < len(repr(value)) - 6:
        return rounded
    try:
        (single,) = unpack("f", pack("f", value))
    except (OverflowError, error):
        return value
    if single != value or value.is_integer():
        return value
    for digits in range(1, 10):
        candidate = float(f"{value:.{digits}g}")
        if unpack("f", pack("f", candidate))[0] == single:
            return candidate
    return value
