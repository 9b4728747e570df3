"""Numbers as people write them."""

from __future__ import annotations

from struct import error, pack, unpack


def shortest_float(value: float) -> float:
    """The decimal that was meant, by float32's measure the same.

    Keras writes 0.0010000000474974513 of what was 0.001 where it keeps float32, and sums leave 0.15000000000000002.
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
