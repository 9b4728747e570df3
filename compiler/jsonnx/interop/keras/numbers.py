"""Numbers as people write them."""

from __future__ import annotations

from struct import error, pack, unpack


def shortest(value: float) -> float:
    """The shortest decimal that is the same float32, where the number is one: Keras writes 0.0010000000474974513 of
    what was 0.001."""
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
