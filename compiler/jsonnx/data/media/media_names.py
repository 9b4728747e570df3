"""Which inputs take images or recordings, and which texts in a table name the files of these."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ...core.files.data_formats import AUDIO_SUFFIXES, IMAGE_SUFFIXES, UNREAD_MEDIA_SUFFIXES
from ...core.types import Size, TensorType


def takes_images(type: TensorType) -> bool:
    """Whether an input takes images: arrays of numbers [height, width] or [height, width, channels]."""
    return _takes_arrays(type) and type.rank in (3, 4)


def takes_audio(type: TensorType) -> bool:
    """Whether an input takes recordings: arrays of numbers [time] or [time, channels]."""
    return _takes_arrays(type) and type.rank in (2, 3)


def _takes_arrays(type: TensorType) -> bool:
    """Whether a sample is an array of more than one number."""
    shape = type.shape[1:]
    return type.dtype != "string" and (any(isinstance(n, Size) for n in shape) or prod(shape) != 1)


def name_media_files(texts: Sequence[str], type: TensorType) -> bool:
    """Whether texts are names of images or recordings that an input takes: whether the first text is one."""
    first = next((text.lower() for text in texts if text), "")
    if first.endswith(AUDIO_SUFFIXES):
        return takes_audio(type)
    return takes_images(type) and first.endswith((*IMAGE_SUFFIXES, *UNREAD_MEDIA_SUFFIXES))
