"""JSON of a page: numbers with as many digits as a chart shows, and text that cannot end its element."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

import numpy as np

from ..core.invisible_characters import escape_json

DIGITS = 6
"""Significant digits of numbers on the page."""


def rounded(value: Any) -> Any:
    """Arrays as lists, and numbers with `DIGITS` significant digits; NaN and infinity become None."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return rounded(value.tolist())
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    if isinstance(value, np.generic):
        return rounded(value.item())
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if isfinite(value) else None
    return value


_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


def script_json(value: Any) -> str:
    """JSON for a script element: ASCII, without `<`, `>` and `&`, so that no text in it is read as HTML, and with the
    invisible characters of all texts escaped, so that the page shows none."""
    return json.dumps(escape_json(value), separators=(",", ":"), allow_nan=False).translate(_ESCAPES)
