"""Samples as a person sees them: pictures, texts, and values by name."""

from __future__ import annotations

import re
import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np

MAX_PICTURE_SIDE = 256
"""Pixels; of larger pictures, rows and columns are left out."""
MIN_FLAT_PICTURE_SIDE = 8
"""Minimum side of a picture that is given as a list of its pixels."""
MAX_VALUES = 24
MAX_UNNAMED_VALUES = 8
"""Values without names that have a row each."""
MAX_TEXT_CHARACTERS = 400
MIN_ROUNDED, MAX_ROUNDED = 1e5, 1e10
"""Numbers between, such as prices, are shown without decimals and without an exponent."""
PICTURE_CHANNELS = (1, 3, 4)
MIN_PICTURE_SIDE = 4
"""Below that, the numbers themselves say more."""
MAX_DARK_LEVEL = 127
"""If no value is above it, values are no bytes."""


def is_picture(shape: Sequence[int]) -> bool:
    """Whether an array of this shape is drawn: [height, width], or with gray, color or color and opacity."""
    is_flat = len(shape) == 2 or (len(shape) == 3 and shape[2] in PICTURE_CHANNELS)
    return is_flat and min(shape[:2]) >= MIN_PICTURE_SIDE


def flat_picture_side(shape: Sequence[int]) -> int | None:
    """The side of the square picture whose pixels, row by row, an array of this shape may be; None if it cannot."""
    side = isqrt(shape[0]) if len(shape) == 1 else 0
    return side if side >= MIN_FLAT_PICTURE_SIDE and side * side == shape[0] else None


def _are_numbered(names: Sequence[str]) -> bool:
    """Whether names differ only in their numbers, as `pixel_1` and `pixel_2`."""
    return len({re.sub(r"\d+", "0", name) for name in names}) == 1


def value_range(arrays: np.ndarray) -> tuple[float, float]:
    """The numbers that are drawn as black and white: 0 and 1, or 0 and 255, if all values lie between, else the least
    and the greatest value."""
    finite = arrays[np.isfinite(arrays)] if arrays.dtype.kind == "f" else arrays
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and MAX_DARK_LEVEL < high <= 255:
        return 0.0, 255.0
    return low, high


def shown_sample(value: np.ndarray, limits: tuple[float, float] | None, names: Sequence[str] = ()) -> dict[str, Any]:
    """One sample of an input, target or output as JSON values: a `picture`, a `text`, or `values` with their names.

    `limits` are the numbers that are black and white in a picture, None for texts.
    """
    value = np.asarray(value)
    if value.dtype.kind in "OUS":
        return {"text": shortened_text(" ".join(str(item) for item in np.ravel(value)))}
    has_names = len(names) == value.size
    side = flat_picture_side(value.shape)
    if side is not None and (not has_names or _are_numbered(names)):
        value = value.reshape(side, side)
    if limits is not None and is_picture(value.shape):
        return {"picture": data_url(pixels(value, limits))}
    flat = np.ravel(value)
    if not has_names and len(flat) > MAX_UNNAMED_VALUES:
        listed = ", ".join(number_text(item) for item in flat[:MAX_VALUES])
        return {"text": listed if len(flat) <= MAX_VALUES else f"{listed}, … ({len(flat):,} numbers)"}
    titles = names if has_names else [str(index) for index in range(len(flat))]
    values = [[title, number_text(item)] for title, item in zip(titles, flat[:MAX_VALUES], strict=False)]
    return {"values": values, "shape": list(value.shape), "omitted": max(0, len(flat) - MAX_VALUES)}


def shortened_text(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARACTERS else f"{text[: MAX_TEXT_CHARACTERS - 1]}…"


def number_text(value: Any) -> str:
    """A value with five digits; an exponent only where it is shorter."""
    if isinstance(value, (bool, np.bool_)):
        return str(value)
    return f"{value:.0f}" if MIN_ROUNDED <= abs(value) < MAX_ROUNDED else f"{value:.5g}"


def pixels(value: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """An array [height, width] or [height, width, channels] as bytes, at most `MAX_PICTURE_SIDE` rows and columns."""
    value = value[tuple(slice(None, None, -(-size // MAX_PICTURE_SIDE)) for size in value.shape[:2])]
    low, high = limits
    scaled = (value.astype(np.float64) - low) / (high - low or 1.0) * 255
    return np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).round().astype(np.uint8)


def data_url(image: np.ndarray) -> str:
    """Bytes [height, width] or [height, width, channels], with 1, 3 or 4 channels, as the data URL of a PNG file."""
    return f"data:image/png;base64,{b64encode(png_bytes(image)).decode()}"


def png_bytes(image: np.ndarray) -> bytes:
    """Bytes [height, width] or [height, width, channels], with 1, 3 or 4 channels, as a PNG file."""
    image = image[..., None] if image.ndim == 2 else image
    height, width, channels = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each row begins with the number of its filter: none
    rows[:, 1:] = image.reshape(height, -1)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
