"""The section `training.data`: files with samples, and the meaning of their columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from ..core.components import (
    ArrayCodec,
    DictCodec,
    Json,
    NullableCodec,
    ScalarCodec,
    UnionCodec,
    attr,
    is_list,
    is_string,
)
from ..core.diagnostics import JsonPath
from ..core.time_step import TimeStep
from .section_base import Section
from .split_section import SequencesSection, SplitSection, WindowsSection

COLUMNS_CODEC = UnionCodec((is_string, ScalarCodec(type="string")), (is_list, ArrayCodec(ScalarCodec(type="string"))))
"""A column, or a list of columns."""

Columns = Annotated[
    str | tuple[str, ...] | dict[str, str | tuple[str, ...]],
    UnionCodec(
        (is_string, ScalarCodec(type="string")),
        (is_list, ArrayCodec(ScalarCodec(type="string"))),
        (lambda value: True, DictCodec(COLUMNS_CODEC)),
    ),
]

DATA_PARTS = ("train", "validation", "test")
"""The keys of `training.data` that name files."""


class FileListCodec(ArrayCodec):
    """A list of files, at least one."""

    def schema(self) -> dict[str, Json]:
        return super().schema() | {"minItems": 1}


class FilesByNameCodec(DictCodec):
    """Files by name, at least one."""

    def schema(self) -> dict[str, Json]:
        return super().schema() | {"minProperties": 1}


_FILES = (is_string, ScalarCodec(type="string")), (is_list, FileListCodec(ScalarCodec(type="string")))
FILES_CODEC = UnionCodec(*_FILES, (lambda value: True, FilesByNameCodec(UnionCodec(*_FILES))))
"""A file, a folder or a pattern, a list of them, or an object with those of each input and output."""

Files = Annotated[str | tuple[str, ...] | dict[str, str | tuple[str, ...]], FILES_CODEC]
OptionalFiles = Annotated[str | tuple[str, ...] | dict[str, str | tuple[str, ...]] | None, NullableCodec(FILES_CODEC)]

MaskValues = Annotated[
    tuple[int, ...] | None, NullableCodec(ArrayCodec(ScalarCodec(type="integer", minimum=0, maximum=255)))
]
"""The gray value, or the index in the palette, of each class."""


class ImagesSection(Section):
    """How image files become arrays."""

    resize: Literal["nearest", "bilinear", "bicubic", "area", "lanczos3"] | None = attr(
        None,
        doc="Interpolation by which images are resized to the shape of the input; null requires images of that size.",
    )
    crop_to_aspect_ratio: bool = attr(
        False, doc="Whether images are cropped around their center, so that resizing keeps their proportions."
    )
    pad_to_aspect_ratio: bool = attr(
        False, doc="Whether images are padded with zeros, so that resizing keeps their proportions."
    )
    mask_values: MaskValues = attr(
        None,
        doc="The gray value of each class in the masks of a segmentation, in the order of the classes, such as "
        "`[0, 255]`; null if pixels are the indices of classes.",
    )
    damaged: Literal["error", "skip"] = attr(
        "error", doc="What to do about files that are damaged or no images: `error`, or `skip` to leave them out."
    )


class AudioSection(Section):
    """How recordings become arrays."""

    sampling_rate: int | None = attr(
        None, doc="Samples per second that all recordings must have; null requires that they agree.", minimum=1
    )
    pad_or_truncate: bool = attr(
        False, doc="Whether recordings are padded with zeros or truncated at the end to the length of the input."
    )
    damaged: Literal["error", "skip"] = attr(
        "error", doc="What to do about files that are damaged or no recordings: `error`, or `skip` to leave them out."
    )


NO_KEYS: dict[str, Json] = {}
DEFAULT_IMAGES, DEFAULT_AUDIO = ImagesSection(**NO_KEYS), AudioSection(**NO_KEYS)


class DataSection(Section):
    """The files with the samples, and the meaning of their columns."""

    train: Files = attr(
        doc="Training data: a file, a folder of images, recordings or texts, a pattern such as `part-*.csv`, a list of "
        'these, or the files of each input and output, such as `{"x": "x.npy", "y": "y.npy"}`; paths are relative to '
        "the spec. A `Trainer` that fits a table, such as a DataFrame, does not read the file."
    )
    validation: OptionalFiles = attr(None, doc="Validation data, used after each epoch.")
    test: OptionalFiles = attr(None, doc="Test data, used after training.")
    x: Columns | None = attr(
        None,
        doc="Column or columns of the input, or an object with those of each input. By default columns are named like "
        "the inputs. `*` and `?` match any characters, so that `*` stands for all columns but the targets; `!` before "
        "a name or a pattern leaves columns out.",
    )
    y: Columns | None = attr(
        None,
        doc="Column or columns of the target, or an object with those for each output. By default columns are named "
        "like the outputs.",
    )
    sample_weight: Columns | None = attr(
        None,
        doc="Column with the weight of each sample (for sequences also columns: a weight for each position), or an "
        "object with those of some outputs. Validation and test files may lack the column; then their samples weigh "
        "the same.",
    )
    validation_split: float = attr(
        0.0,
        doc="Fraction of the training samples, taken from the end, that is used for validation.",
        minimum=0,
        below=1,
    )
    split: SplitSection | None = attr(
        None, doc="Division of the rows of `train` into training, validation and test data; null for no division."
    )
    windows: WindowsSection | None = attr(
        None, doc="Windows of consecutive rows that are the samples of a time series; null if each row is a sample."
    )
    sequences: SequencesSection | None = attr(
        None,
        doc="How lists of different lengths become sequences, for inputs whose first size is symbolic; null for lists "
        "of one length.",
    )
    separator: Literal[",", ";", "\t", "|", " "] | None = attr(
        None, doc="Separator of the columns in .csv and .tsv files; null for a comma in .csv and a tab in .tsv."
    )
    label_separator: str | None = attr(
        None,
        doc="Mark between the labels in a column of texts such as `news;sport`, the target of an output with a sigmoid "
        "for each label; null for lists of labels, such as those of JSON and Parquet.",
    )
    decimal: Literal[".", ","] = attr(".", doc="Decimal mark of the numbers in .csv and .tsv files.")
    thousands: Literal[",", ".", " ", "'"] | None = attr(
        None,
        doc="Mark between groups of three digits in the numbers of .csv and .tsv files, other than the decimal mark; "
        "null for none.",
    )
    missing: Literal["error", "drop"] = attr(
        "error",
        doc="What to do about samples with missing values: `error`, or `drop` to leave them out of training and "
        "evaluation. Missing values of inputs that an Imputation fills are kept.",
    )
    memory: Literal["auto", "load", "stream"] = attr(
        "auto",
        doc="Whether samples are loaded into memory (`load`) or stay in their files and are read batch by batch "
        "(`stream`); `auto` streams files of together more than 1 GiB, or than a quarter of the memory.",
    )
    shuffle_buffer: int = attr(
        65536,
        doc="Number of samples that are shuffled among one another where a streamed file is read in blocks, such as "
        "Parquet and csv.",
        minimum=1,
    )
    images: ImagesSection = attr(DEFAULT_IMAGES, doc="How image files become arrays.")
    audio: AudioSection = attr(DEFAULT_AUDIO, doc="How recordings (.wav) become arrays.")

    statistics: bool = attr(
        True,
        doc="Whether `train` writes statistics of the training data and the predictions to the RUN folder, with which "
        "`jsonnx drift` and the server compare other data: ranges, shares and frequent values of the columns.",
    )

    def with_columns(self, columns: Mapping[str, tuple[str, ...]]) -> DataSection:
        """The section with these columns of inputs in place of patterns in `x`, and of files of several columns."""
        if not columns:
            return self
        by_name = {} if self.x is None else self.x
        x = {**by_name, **columns} if isinstance(by_name, dict) else next(iter(columns.values()))
        return self.replaced(x=x)

    def with_step(self, step: TimeStep | None) -> DataSection:
        """The section with the step of its time series, unless it gives one."""
        if self.windows is None or self.windows.step is not None or step is None:
            return self
        return self.replaced(windows=self.windows.replaced(step=step.written))

    @property
    def skips_damaged_files(self) -> bool:
        """Whether samples of damaged images or recordings are left out."""
        return "skip" in (self.images.damaged, self.audio.damaged)

    def with_damaged_errors(self) -> DataSection:
        """The section with damaged images and recordings as errors."""
        images, audio = self.images.replaced(damaged="error"), self.audio.replaced(damaged="error")
        return self.replaced(images=images, audio=audio)

    def has_part(self, part: str) -> bool:
        """Whether the spec names files for a part of the data, or sets rows aside for it."""
        return getattr(self, part) is not None or (self.split is not None and part in self.split.parts)

    def files(self, part: str) -> list[tuple[str, JsonPath]]:
        """The files, folders and patterns of a part of the data, each with its path in the spec."""
        return named_files(getattr(self, part), part)


def named_files(value: object, part: str) -> list[tuple[str, JsonPath]]:
    """The names in the value of a key of `training.data`, each with its path in the spec; other values are skipped."""
    return _named_files(value, ("training", "data", part))


def _named_files(value: object, path: JsonPath) -> list[tuple[str, JsonPath]]:
    if isinstance(value, str):
        return [(value, path)]
    if isinstance(value, Mapping):
        return [file for key, files in value.items() for file in _named_files(files, (*path, key))]
    names = value if isinstance(value, (list, tuple)) else []
    return [(name, (*path, index)) for index, name in enumerate(names) if isinstance(name, str)]
