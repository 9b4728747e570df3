"""Decodes PNG, JPEG and WebP images with Pillow, without trusting their contents."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from ...core.limits import MAX_IMAGE_PIXELS
from ...core.system.optional_packages import require_package
from ...core.types import Dim
from ...sections.data_section import ImagesSection
from ..samples.data_errors import MediaError

FORMATS = ("PNG", "JPEG", "WEBP")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's names of gray, color, and color with opacity, by the number of channels."""
READ_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr")
"""Pillow's names of images with 8 bits a channel or less."""
RESAMPLING = {"nearest": 0, "lanczos3": 1, "bilinear": 2, "bicubic": 3, "area": 4}
"""Pillow's numbers of interpolations."""
SKIP_HELP = '"images": {"damaged": "skip"} in `training.data` leaves damaged images out'
_TOO_MANY_PIXELS = f"the image has more than {MAX_IMAGE_PIXELS:,} pixels, the limit"


class ImageDecoder:
    """Images as arrays of integers from 0 to 255, in the shape of a sample: [height, width] or with channels."""

    def __init__(self, dims: tuple[Dim, ...], section: ImagesSection) -> None:
        self._image = require_package("PIL.Image", "images", "reading images")
        self._operations = require_package("PIL.ImageOps", "images", "reading images")
        self._section = section
        self._sizes = [size if isinstance(size, int) else None for size in dims[:2]]
        self._resize = section.resize if None not in self._sizes else None
        self._channels = dims[2] if len(dims) == 3 else 1
        self._has_channel_axis = len(dims) == 3
        self._padding = 0
        self.skips_damaged = section.damaged == "skip"

    def decode(self, content: bytes, shape: tuple[int, ...] | None) -> np.ndarray:
        """The pixels of an image. Raises MediaError."""
        mode = MODES.get(self._channels) if isinstance(self._channels, int) else "RGB"
        if mode is None:
            help = "an input of images has 1 channel (gray), 3 (color) or 4 (color and opacity)"
            raise MediaError("data-shape", f"an image cannot have {self._channels} channels", help)
        height, width = self._sizes if shape is None else shape[:2]
        pixels = np.asarray(self._fitted(self._opened(content, mode), height, width), np.uint8)
        return pixels[..., None] if self._has_channel_axis and pixels.ndim == 2 else pixels

    def _opened(self, content: bytes, mode: str | None) -> Any:
        """An image, upright and with these channels, or with its own. Raises MediaError."""
        try:
            image = self._image.open(BytesIO(content), formats=FORMATS)
            _check_kind(image)
            image.load()
            self._operations.exif_transpose(image, in_place=True)
            return image if mode in (None, image.mode) else image.convert(mode)  # both would copy
        except MediaError:
            raise
        except self._image.DecompressionBombError as error:
            raise MediaError("too-large", _TOO_MANY_PIXELS) from error
        except self._image.UnidentifiedImageError as error:
            help = "convert or remove the file"
            raise MediaError("bad-data-file", "not a PNG, JPEG or WebP image", help, skip_help=SKIP_HELP) from error
        except (
            Exception
        ) as error:  # decoders raise what they like for damaged files: OSError, SyntaxError, struct.error
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            help = "replace or remove the file"
            raise MediaError("bad-data-file", f"not a readable image: {reason}", help, skip_help=SKIP_HELP) from error

    def _fitted(self, image: Any, height: int | None, width: int | None) -> Any:
        """An image of a size; None leaves a side as it is. Raises MediaError."""
        wanted = (width or image.width, height or image.height)
        if image.size == wanted:
            return image
        section = self._section
        if self._resize is None:
            message = f"the image is {image.height} x {image.width} (height x width), wanted {wanted[1]} x {wanted[0]}"
            help = 'resize images as they are read: "images": {"resize": "bilinear"} in `training.data`'
            if None in self._sizes:
                help = "give the input a fixed height and width, to which images are resized"
            raise MediaError("data-shape", message, help)
        method = RESAMPLING[self._resize]
        if section.crop_to_aspect_ratio:
            return self._operations.fit(image, wanted, method)
        if section.pad_to_aspect_ratio:
            return self._operations.pad(image, wanted, method, color=self._padding)
        return image.resize(wanted, method)


def _check_kind(image: Any) -> None:
    """Raises MediaError for an image that is too large, animated, or not of 8 bits a channel."""
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise MediaError("too-large", _TOO_MANY_PIXELS)
    if getattr(image, "n_frames", 1) > 1 and image.format in ("PNG", "WEBP"):  # a JPEG may contain its own preview
        raise MediaError("bad-data-file", f"the image is animated: {image.n_frames} frames", "save one of the frames")
    if image.mode not in READ_MODES:
        message = f"the image has pixels of another kind ({image.mode}), such as 16 bits a channel"
        raise MediaError("bad-data-file", message, "save it as gray or RGB with 8 bits a channel")
