"""The size of an input that fits the images of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from ...core.diagnostics import UsageError
from ...core.files.spec_folders import DataFolder
from ...core.system.optional_packages import require_package
from .image_files import FORMATS

MAX_SIDE = 128
"""The greatest height and width: larger images are reduced, so that training takes minutes, not hours."""


MAX_PROPORTION_RATIO = 1.05
"""Maximum ratio of the proportions of two images that may be stretched to the same size."""


class ImageSizes(NamedTuple):
    """The size that fits the images of a folder."""

    shape: tuple[int, int, int]
    """The median height and width, at most `MAX_SIDE`, and 1 channel if all are gray, else 3."""
    has_same_proportions: bool


class ImageSize(NamedTuple):
    """The size of an image, as the beginning of its file says."""

    height: int
    width: int
    mode: str
    """Pillow's name of the channels, such as `RGB`."""

    @property
    def is_gray(self) -> bool:
        return self.mode in ("1", "L", "LA")


def image_size(folder: DataFolder, path: str) -> ImageSize | None:
    """The size of an image; None if it cannot be read."""
    pillow = require_package("PIL.Image", "images", "reading images")
    try:
        with folder.open(path) as file:
            image = pillow.open(file, formats=FORMATS)  # reads the beginning of the file
            return ImageSize(image.height, image.width, image.mode)
    except Exception:  # decoders raise what they like for damaged files
        return None


def image_sizes(paths: Sequence[tuple[DataFolder, str]]) -> ImageSizes:
    """The size that fits some images.

    Raises UsageError if none can be read; training reports damaged images.
    """
    sizes = [size for folder, path in paths if (size := image_size(folder, path)) is not None]
    if not sizes:
        raise UsageError("unreadable-file", "no image of the folder can be read", "replace the damaged files")
    height, width = median(size.height for size in sizes), median(size.width for size in sizes)
    factor = min(1.0, MAX_SIDE / max(height, width))
    proportions = [size.height / size.width for size in sizes]
    channels = 1 if all(size.is_gray for size in sizes) else 3
    shape = max(1, round(height * factor)), max(1, round(width * factor)), channels
    return ImageSizes(shape, max(proportions) <= MAX_PROPORTION_RATIO * min(proportions))
