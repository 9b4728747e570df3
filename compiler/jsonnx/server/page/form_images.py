"""Which inputs of a model are images, and what their numbers mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

from ...core.signature.model_fields import RowField
from ...core.types import Dim
from ...data.drift.statistics import NumberStatistics
from ...layers.preprocessing.numerical import Rescaling

MIN_SIDE = 8
"""Height and width from which an array with channels is an image."""
MIN_UNNAMED_SIDE = 16
"""Height and width from which a square matrix is an image, whatever its name."""
MAX_BYTE = 255.0
MAX_DRAWING_SIDE = 32
"""Height and width up to which gray images are taken for drawings, light on a dark ground as in the usual data sets."""
MAX_DARK_SHARE = 0.3
"""The mean of images on a dark ground, as a share of white."""
_NAME = re.compile(r"image|img|pixel|picture|photo|digit|glyph", re.IGNORECASE)


@dataclass(frozen=True)
class FormImage:
    """An input that a user draws, or chooses as a file. A size is None if the model takes any."""

    height: int | None
    width: int | None
    channels: int
    """1 for gray, 3 for red, green and blue."""
    layout: str
    """The axes of the array: `hwc`, `chw`, `hw` or `flat`."""
    maximum: float = MAX_BYTE
    """The number of white, or of a full color; black is `minimum`."""
    minimum: float = 0.0
    is_light_on_dark: bool = False
    """Whether drawings are light on a dark ground."""

    def to_json(self) -> dict[str, Any]:
        return {
            "height": self.height,
            "width": self.width,
            "channels": self.channels,
            "layout": self.layout,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "light_on_dark": self.is_light_on_dark,
        }


def form_image(
    value: RowField, shape: Sequence[Dim], dtype: str, readers: Sequence[Any], means: NumberStatistics | None
) -> FormImage | None:
    """The image that an array is; None if it is something else. An array without a spec may have the channels first.

    `means` are those of the images in the training data, if they are known.
    """
    if dtype in ("string", "bool"):
        return None
    is_named = value.kind == "image" or _NAME.search(value.name) is not None
    axes = _axes(tuple(shape), is_named, not value.shape)
    if axes is None:
        return None
    height, width, channels, layout = axes
    minimum, maximum = _range(readers)
    mean, brightest = (means.mean, means.max) if means is not None else (None, None)
    if maximum == MAX_BYTE and brightest is not None and brightest <= 1:
        maximum = 1.0  # images of bytes are brighter
    sizes = [size if isinstance(size, int) else None for size in (height, width)]
    is_drawing = channels == 1 and all(size is not None and size <= MAX_DRAWING_SIDE for size in sizes)
    if channels == 1 and mean is not None:
        is_drawing = mean < MAX_DARK_SHARE * maximum
    return FormImage(sizes[0], sizes[1], channels, layout, maximum, minimum, is_drawing)


def _axes(shape: tuple[Dim, ...], is_named: bool, is_foreign: bool) -> tuple[Dim, Dim, int, str] | None:
    if len(shape) == 3 and shape[2] in (1, 3) and _is_side(shape[0]) and _is_side(shape[1]):
        return shape[0], shape[1], int(str(shape[2])), "hwc"
    if is_foreign and len(shape) == 3 and shape[0] in (1, 3) and _is_side(shape[1]) and _is_side(shape[2]):
        return shape[1], shape[2], int(str(shape[0])), "chw"
    if len(shape) == 2 and isinstance(shape[0], int) and shape[0] == shape[1]:
        return (*shape, 1, "hw") if shape[0] >= (MIN_SIDE if is_named else MIN_UNNAMED_SIDE) else None
    if len(shape) == 1 and is_named and isinstance(shape[0], int):
        side = isqrt(shape[0])
        return (side, side, 1, "flat") if side * side == shape[0] and side >= MIN_SIDE else None
    return None


def _is_side(size: Dim) -> bool:
    return not isinstance(size, int) or size >= MIN_SIDE


def _range(readers: Sequence[Any]) -> tuple[float, float]:
    """The numbers of black and white. A Rescaling to [0, 1] or [-1, 1] tells them; images in files have bytes."""
    for layer in readers:
        scale, offset = getattr(layer, "scale", None), getattr(layer, "offset", None)
        if isinstance(layer, Rescaling) and isinstance(scale, float) and isinstance(offset, float) and scale > 0:
            return 0.0, float(f"{(1 - offset) / scale:.6g}")
    return 0.0, MAX_BYTE
