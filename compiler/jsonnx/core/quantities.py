"""Amounts as people write them: `1.5M` parameters, `5 MB`, `10Gbit` a second, `50us`."""

from __future__ import annotations

import re
from contextlib import suppress
from fractions import Fraction
from typing import Any

from .codecs import Json, ScalarCodec

COUNT_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
"""Factors by suffix, in lower case; B is a billion."""

BYTE_UNITS = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)},
}
"""Factors by suffix, in lower case."""

COUNT_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,18})? ?[kKMGBT]?$"
BYTES_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,18})? ?([kKMGT]?B|[KMGT]iB)?$"

AMOUNT_EXAMPLES = {
    "number with a suffix": "250000, 250k or 1.5M",
    "size with a unit": "500000, 5 MB or 4 MiB",
}
"""The pattern of an amount, by the title of its schema."""

COUNT_TITLE, BYTES_TITLE = AMOUNT_EXAMPLES

MIN_OPSET_LIMIT, MAX_OPSET_LIMIT = 1, 100
"""The limits that a budget may set on the ONNX operator set of a model."""

_BANDWIDTH_UNITS = {
    unit: 1000.0**power / bits
    for power, prefix in enumerate(("", "k", "m", "g", "t"))
    for unit, bits in ((f"{prefix}bit", 8), (f"{prefix}b", 1))
}
_SECOND_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}

_AMOUNT = re.compile(r"([0-9.]+) ?([A-Za-z]*)")


def count_text(count: int, noun: str) -> str:
    """A number and a noun: `1 epoch`, `2,000 epochs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def parse_count(amount: str | int) -> int:
    """A number: `250000`, `250k`, `1.5M`, `2G` or `2B`. Raises ValueError for another text."""
    return _parse(amount, COUNT_PATTERN, COUNT_UNITS, COUNT_TITLE)


def parse_bytes(amount: str | int) -> int:
    """A number of bytes: `5000000`, `5 MB` (5,000,000) or `5 MiB` (5,242,880). Raises ValueError for another text."""
    return _parse(amount, BYTES_PATTERN, BYTE_UNITS, BYTES_TITLE)


def _parse(amount: str | int, pattern: str, units: dict[str, int], title: str) -> int:
    text = str(amount)
    parts = _AMOUNT.fullmatch(text)
    if parts is None or re.match(pattern, text) is None or text.endswith("\n"):
        raise ValueError(f"expected {AMOUNT_EXAMPLES[title]}, got {text[:40]!r}")
    return int(Fraction(parts[1]) * units[parts[2].lower()])


def parse_bandwidth(amount: str) -> float:
    """Bytes a second: `10Gbit` or `1.25 GB`. Raises ValueError for another text."""
    return _positive(amount, _BANDWIDTH_UNITS, "a bandwidth per second, such as 10Gbit, 100Mbit or 1.25GB")


def parse_seconds(amount: str) -> float:
    """A short time, in seconds: `50us`, `5 ms` or `0.1s`. Raises ValueError for another text."""
    return _positive(amount, _SECOND_UNITS, "a time with a unit, such as 50us, 5ms or 0.1s")


def _positive(amount: str, units: dict[str, float], expected: str) -> float:
    parts = _AMOUNT.fullmatch(amount.strip())
    with suppress(ValueError, KeyError):
        if parts and (value := float(parts[1]) * units[parts[2].lower()]) > 0:
            return value
    raise ValueError(f"expected {expected}, got {amount[:40]!r}")


class AmountCodec(ScalarCodec):
    """An integer, or a text with a unit; the text is kept as it is written."""

    def __init__(self, title: str, pattern: str) -> None:
        number = {"type": "integer", "minimum": 0}
        super().__init__(anyOf=[number, {"type": "string", "title": title, "pattern": pattern}])

    def read(self, value: Json) -> Any:
        return int(value) if isinstance(value, float) else value


COUNT_CODEC = AmountCodec(COUNT_TITLE, COUNT_PATTERN)
BYTES_CODEC = AmountCodec(BYTES_TITLE, BYTES_PATTERN)
