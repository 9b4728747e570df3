"""The formats of data files, by the suffixes of their names."""

from __future__ import annotations

import os
from typing import NamedTuple

from ..diagnostics import or_list


class FileKind(NamedTuple):
    """A kind of file: its name with an article, and what to do with it."""

    name: str
    help: str


class DataFormat(NamedTuple):
    """A format of data files: all facts about it, for every part of the package."""

    name: str
    """The suffix of its files, without a dot."""
    reader: str
    """The function in `data/tables` that reads a `TableFile`, as `MODULE:FUNCTION`."""
    can_stream: bool = False
    """Whether samples can stay in their file."""
    has_chunks: bool = False
    """Whether rows that follow one another are read without the rest of the file."""
    extra: str = ""
    """The extra that installs the packages of the reader; empty if the base installation has them."""
    is_text: bool = False
    """Whether it is text, which may be compressed: `.csv.gz`."""
    separator: str | None = None
    """The separator of columns, unless the spec names another one; None for formats without separators."""
    kind: FileKind | None = None
    """The name of such a file, and the help for it, where another kind of file is expected."""
    signature: bytes = b""
    """The first bytes of every file; empty if files begin in several ways."""


_TABLE = DataFormat("", "csv_table:read_csv", can_stream=True, has_chunks=True, extra="tables", is_text=True)
_ARROW = DataFormat(
    "",
    "stored_arrow_table:read_arrow",
    can_stream=True,
    has_chunks=True,
    extra="data",
    kind=FileKind("a table (.arrow or .feather)", "`--data` takes it as data; pandas.read_feather in Python shows it"),
    signature=b"ARROW1",
)

DATA_FORMATS = (
    DataFormat(
        "npz",
        "array_tables:read_npz",
        can_stream=True,
        kind=FileKind(
            "a NumPy archive (.npz)",
            "`--data` takes it as data, `--weights` as weights; numpy.load in Python shows the arrays",
        ),
    ),
    DataFormat(
        "npy",
        "array_tables:read_npy",
        can_stream=True,
        kind=FileKind("a NumPy array (.npy)", "`--data` takes it as data; numpy.load in Python shows it"),
        signature=b"\x93NUMPY",
    ),
    _TABLE._replace(name="csv", separator=","),
    _TABLE._replace(name="tsv", separator="\t"),
    DataFormat("json", "json_tables:read_json", is_text=True),
    DataFormat("jsonl", "stored_json_lines:read_json_lines_file", can_stream=True, has_chunks=True, is_text=True),
    DataFormat(
        "parquet",
        "stored_arrow_table:read_arrow",
        can_stream=True,
        has_chunks=True,
        extra="data",
        kind=FileKind("a table (.parquet)", "`--data` takes it as data; pandas.read_parquet in Python shows it"),
        signature=b"PAR1",
    ),
    _ARROW._replace(name="arrow"),
    _ARROW._replace(name="feather"),
    DataFormat(
        "safetensors",
        "array_tables:read_safetensors",
        kind=FileKind(
            "a file of weights (safetensors)",
            "`--weights` of `jsonnx compile` and `train` takes it; safetensors.numpy.load_file in Python shows the "
            "weights",
        ),
    ),
)
"""Every format, in the order of help texts."""
FORMAT_BY_NAME = {format.name: format for format in DATA_FORMATS}
COMPRESSIONS = ("gz", "bz2", "xz", "zst")

DATA_FILE_SUFFIXES = (
    *(f".{format.name}" for format in DATA_FORMATS),
    *(f".{format.name}.{compression}" for format in DATA_FORMATS if format.is_text for compression in COMPRESSIONS),
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
    f"data files end in {or_list([f'.{format.name}' for format in DATA_FORMATS])}; tables of text may be compressed "
    f"(.csv.gz, {', '.join(f'.{compression}' for compression in COMPRESSIONS[1:])})"
)


def split_suffix(file: str) -> tuple[str, str | None]:
    """The format in the name of a file, empty without one, and its compression, None without one."""
    stem, suffix = os.path.splitext(file.lower())
    if suffix[1:] in COMPRESSIONS:
        return os.path.splitext(stem)[1][1:], suffix[1:]
    return suffix[1:], None


def data_format(file: str) -> DataFormat | None:
    """The format of a file by its name; None for an unknown one."""
    return FORMAT_BY_NAME.get(split_suffix(file)[0])


def data_suffix_error(file: str) -> tuple[str, str] | None:
    """Message and help for a file whose name has the suffix of no data file."""
    if file.lower().endswith(DATA_FILE_SUFFIXES):
        return None
    stem, suffix = os.path.splitext(file.lower())
    if suffix[1:] in COMPRESSIONS:
        suffix = os.path.splitext(stem)[1] + suffix
    message = f"the suffix of the file's name is {suffix!r}" if suffix else "the file's name has no suffix"
    return message, DATA_SUFFIX_HELP
