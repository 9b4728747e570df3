"""Statistics of columns of images and recordings: their sizes, as the beginnings of the files say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...core.files.data_formats import AUDIO_SUFFIXES
from ...core.files.spec_folders import DataFolder
from ..media.image_sizes import image_size
from .column_statistics import MAX_FREQUENT_VALUES, ColumnStatistics

MAX_SIZED_IMAGES = 10_000
"""Images whose sizes are counted; of more, the first ones."""
UNREADABLE = "not readable"
"""In place of the size of a damaged image."""


def media_statistics(name: str, paths: np.ndarray, folders: Sequence[DataFolder]) -> ColumnStatistics:
    """The statistics of a column with the names of images or recordings, relative to one of some folders.

    The most frequent values are the sizes of images.
    """
    names = [path for path in paths.tolist() if path]
    is_audio = names[0].lower().endswith(AUDIO_SUFFIXES)
    sizes = Counter[str]() if is_audio else Counter(_size_text(path, folders) for path in names[:MAX_SIZED_IMAGES])
    return ColumnStatistics(
        name,
        "recording" if is_audio else "image",
        (),
        len(names),
        len(paths) - len(names),
        len({*names}),
        most_frequent=tuple(sizes.most_common(MAX_FREQUENT_VALUES)),
    )


def _size_text(path: str, folders: Sequence[DataFolder]) -> str:
    """The height, the width and the channels of an image, such as `48 x 64 RGB`."""
    for folder in folders:
        size = image_size(folder, path)
        if size is not None:
            return f"{size.height} x {size.width} {'gray' if size.is_gray else size.mode}"
    return UNREADABLE
