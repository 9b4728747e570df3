"""Decodes masks of a segmentation: images whose pixels are classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...core.diagnostics import or_list
from ...core.types import Dim
from ...sections.data_section import ImagesSection
from ..samples.data_errors import MediaError
from ..samples.data_spec import DataSpec
from .image_files import ImageDecoder

MAX_PIXEL = 255


class MaskClasses(NamedTuple):
    """The classes of the pixels of masks: their number, and a value that marks pixels without a class."""

    size: int
    ignored: int | None = None


def mask_classes(data_spec: DataSpec, name: str) -> MaskClasses | None:
    """The classes of masks that are the target of an output; None for an input, and for another kind of target."""
    count = data_spec.mask_class_counts.get(name)
    if count is None:
        return None
    index_range = data_spec.index_ranges.get(name)
    return MaskClasses(count, None if index_range is None else index_range.ignored)


class MaskDecoder(ImageDecoder):
    """Masks as class indices [height, width] or [height, width, 1], or as one 0 or 1 for each class along a last axis.

    A pixel is a gray value or an index in the palette of the image; pixels of one bit are the classes 0 and 1. If masks
    are resized, each pixel has the class of the nearest one.
    """

    def __init__(self, dims: tuple[Dim, ...], section: ImagesSection, classes: MaskClasses) -> None:
        super().__init__(dims, section.replaced(resize=section.resize and "nearest"))
        self._values = section.mask_values or tuple(range(min(classes.size, MAX_PIXEL + 1)))
        self._has_given_values = section.mask_values is not None
        self._ignored = classes.ignored if classes.ignored in range(MAX_PIXEL + 1) else None
        self._padding = self._values[0] if self._ignored is None else self._ignored
        self._class_of_value = np.full(MAX_PIXEL + 1, -1, np.int16)
        if self._ignored is not None:
            self._class_of_value[self._ignored] = self._ignored
        self._class_of_value[list(self._values)] = range(len(self._values))

    def decode(self, content: bytes, shape: tuple[int, ...] | None) -> np.ndarray:
        """The classes of the pixels of a mask. Raises MediaError."""
        image = self._without_colors(self._opened(content, None))
        height, width = self._sizes if shape is None else shape[:2]
        pixels = np.asarray(self._fitted(image, height, width)).astype(np.uint8)
        classes = pixels.astype(np.int16) if image.mode == "1" else self._class_of_value[pixels]
        if (classes < 0).any():
            raise self._value_error(int(pixels[classes < 0].min()))
        if self._has_channel_axis and self._channels != 1:
            return np.asarray(classes[..., None] == np.arange(len(self._values))).astype(np.uint8)
        return np.asarray(classes[..., None] if self._has_channel_axis else classes, np.uint8)

    def _without_colors(self, image: Any) -> Any:
        """A mask of one channel. Raises MediaError for one with colors."""
        if image.mode in ("1", "L", "P"):
            return image
        red, green, blue = image.convert("RGB").split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            return red
        help = "save the mask as a PNG file with a gray value, or an index in a palette, for each class"
        raise MediaError("bad-data-file", "the mask has colors, not classes", help)

    def _value_error(self, value: int) -> MediaError:
        valid = list(map(str, self._values))
        listed = or_list(valid) if len(valid) <= 10 else f"{valid[0]} to {valid[-1]}"
        ignored = "" if self._ignored is None else f", and {self._ignored} without a class"
        if self._has_given_values:
            help = "`images.mask_values` in `training.data` lists the values; PNG files keep them, JPEG files do not"
        else:
            help = 'if the pixels are not the indices of the classes, list their values: "images": {"mask_values": '
            help += "[0, 255]} in `training.data`"
        return MediaError("label-out-of-range", f"a pixel of the mask is {value}; valid are {listed}{ignored}", help)
