"""The formats of data files, by the suffixes of their names."""

from __future__ import annotations

import os
from typing import NamedTuple

from ..diagnostics import or_list

TEXT_FORMATS = ("csv", "tsv", "json", "jsonl")
"""Tables as text, which may be compressed: `.csv.gz`."""
ARRAY_FORMATS = ("npz", "npy", "safetensors")
ARROW_FORMATS = ("parquet", "arrow", "feather")
"""Tables that pyarrow reads."""
COMPRESSIONS = ("gz", "bz2", "xz", "zst")

DATA_FORMATS = (*ARRAY_FORMATS[:2], *TEXT_FORMATS, *ARROW_FORMATS, ARRAY_FORMATS[2])
DATA_FILE_SUFFIXES = (
    *(f".{format}" for format in DATA_FORMATS),
    *(f".{format}.{compression}" for format in TEXT_FORMATS for compression in COMPRESSIONS),
)
DATA_ONLY_SUFFIXES = tuple(suffix for suffix in DATA_FILE_SUFFIXES if suffix != ".json")
"""The suffixes that only data files have; specs end in .json, too."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
AUDIO_SUFFIXES = (".wav",)
PLAIN_TEXT_SUFFIXES = (".txt",)
MEDIA_SUFFIXES = (*IMAGE_SUFFIXES, *AUDIO_SUFFIXES, *PLAIN_TEXT_SUFFIXES)
"""The suffixes of files of one sample, which a folder holds."""
UNREAD_MEDIA_SUFFIXES = (
    *(".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".svg"),
    *(".mp3", ".flac", ".ogg", ".m4a", ".aac", ".aiff"),
)
"""Suffixes of images and recordings in formats that are not read. A folder with one is an error, so that no sample is
skipped unnoticed."""

DATA_SUFFIX_HELP = (
    f"data files end in {or_list([f'.{format}' for format in DATA_FORMATS])}; tables of text may be compressed "
    f"(.csv.gz, {', '.join(f'.{compression}' for compression in COMPRESSIONS[1:])})"
)


class DataFormat(NamedTuple):
    """The format of a data file, without a dot; empty if its name has no suffix."""

    name: str
    compression: str | None = None


def data_format(file: str) -> DataFormat:
    """The format of a file by the suffixes of its name."""
    stem, suffix = os.path.splitext(file.lower())
    if suffix[1:] in COMPRESSIONS:
        return DataFormat(os.path.splitext(stem)[1][1:], suffix[1:])
    return DataFormat(suffix[1:])


def data_suffix_error(file: str) -> tuple[str, str] | None:
    """Message and help for a file whose name has the suffix of no data file."""
    if file.lower().endswith(DATA_FILE_SUFFIXES):
        return None
    stem, suffix = os.path.splitext(file.lower())
    if suffix[1:] in COMPRESSIONS:
        suffix = os.path.splitext(stem)[1] + suffix
    message = f"the suffix of the file's name is {suffix!r}" if suffix else "the file's name has no suffix"
    return message, DATA_SUFFIX_HELP
