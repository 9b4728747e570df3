"""Images and recordings, as files or as encoded bytes in a table: one array of all samples."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

import numpy as np

from ...core.diagnostics import UsageError
from ...core.files.data_formats import AUDIO_SUFFIXES
from ...core.files.files import UnsafePath
from ...core.files.spec_folders import DataFolder
from ...core.limits import MAX_DATA_FILE_BYTES, MAX_MEDIA_FILE_BYTES
from ...core.system.cpu_count import thread_count
from ...core.types import Size, TensorType
from ...sections.data_section import DEFAULT_AUDIO, DEFAULT_IMAGES, AudioSection, DataSection, ImagesSection
from ...sections.split_section import SequencesSection
from ..samples.data_errors import DataLocation, ErrorCollector, MediaError
from ..samples.memory_limit import streams
from ..samples.stored_arrays import Samples, StoredArray
from ..samples.validate_arrays import LocateElement
from .image_files import ImageDecoder
from .mask_files import MaskClasses, MaskDecoder
from .media_names import name_media_files, takes_audio, takes_images
from .wav_files import WavDecoder

_RIFF = b"RIFF"


class Decoder(Protocol):
    """Decodes the files of one input."""

    @property
    def skips_damaged(self) -> bool:
        """Whether damaged files are left out."""

    def decode(self, content: bytes, shape: tuple[int, ...] | None) -> np.ndarray:
        """The array of a file. Raises MediaError if it is damaged, or if it has not this shape, which is the first
        file's if the input's has symbolic sizes."""


@dataclass(frozen=True)
class MediaReader:
    """Reads the media files that a table names, and the media files of a folder."""

    folder: DataFolder
    """The folder that names refer to."""
    images: ImagesSection = DEFAULT_IMAGES
    audio: AudioSection = DEFAULT_AUDIO
    memory: str = "auto"
    """Whether samples are decoded once (`load`) or for each batch (`stream`), as in a spec."""
    sequences: SequencesSection | None = None
    """The padding of recordings of different lengths; None if they have one length."""
    damaged: dict[int, str] = field(default_factory=dict)
    """The damaged files that are left out, by the index of their sample; arrays have any values there."""

    @staticmethod
    def of(folder: DataFolder, data: DataSection | None) -> MediaReader:
        """The reader for the options of a spec."""
        if data is None:
            return MediaReader(folder)
        if data.windows is not None:  # a step cannot be left out
            data = data.with_damaged_errors()
        return MediaReader(folder, data.images, data.audio, data.memory, data.sequences)

    def read(
        self,
        items: Sequence[str | bytes],
        type: TensorType,
        title: str,
        locate: LocateElement,
        errors: ErrorCollector,
        mask_classes: MaskClasses | None = None,
    ) -> Samples | None:
        """The array [samples, ...] of files, given by their names or by their contents; None, and errors, if one of
        them cannot be read. `title` names the input or the target in messages; `mask_classes` are the classes of
        masks."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoders warn of damaged metadata and of large images
            if mask_classes is not None:
                decoder: Decoder = MaskDecoder(type.shape[1:], self.images, mask_classes)
            else:
                decoder = self._decoder(items[0], type)
            return self._read(items, decoder, title, locate, errors)

    def _read(
        self, items: Sequence[str | bytes], decoder: Decoder, title: str, locate: LocateElement, errors: ErrorCollector
    ) -> Samples | None:
        error_list: dict[int, MediaError] = {}

        def decode(index: int, shape: tuple[int, ...] | None) -> np.ndarray | None:
            try:
                return decoder.decode(self._content(items[index]), shape)
            except MediaError as error:
                error_list[index] = error
                return None

        decoded = ((index, decode(index, None)) for index in range(len(items)))
        start, first = next(((index, sample) for index, sample in decoded if sample is not None), (len(items), None))
        if first is not None and streams(self.memory, len(items) * first.nbytes):
            _for_each(range(start + 1, len(items)), lambda index: decode(index, first.shape))
            has_errors = self._add_errors(error_list, items, decoder, locate, errors)
            return None if has_errors else StoredArray(_MediaSamples(self, items, decoder, first))
        array = None if first is None else _allocate(len(items), first, title, errors)
        if array is not None and first is not None:
            array[start] = first
            _fill(array, range(start + 1, len(items)), lambda index: decode(index, first.shape))
        if self._add_errors(error_list, items, decoder, locate, errors) or array is None:
            return None
        array[[*error_list]] = 0  # of damaged files that are left out
        return array

    def _add_errors(
        self,
        found: dict[int, MediaError],
        items: Sequence[str | bytes],
        decoder: Decoder,
        locate: LocateElement,
        errors: ErrorCollector,
    ) -> bool:
        """Adds the errors of files, and tells whether there are some; damaged files that are left out are none."""
        left_out = {}
        if decoder.skips_damaged and len(found) < len(items):
            left_out = {index: error for index, error in found.items() if error.is_damage}
        for index, error in left_out.items():
            location, item = locate((index,)), items[index]
            place = repr(item) if isinstance(item, str) else location.text
            self.damaged.setdefault(index, f"{place}: {error.reason}")
        remaining = {index: error for index, error in found.items() if index not in left_out}
        if decoder.skips_damaged:
            remaining = {index: error.without_skip_help() for index, error in remaining.items()}
        _add_errors(remaining, items, locate, errors)
        return bool(remaining)

    def takes_sequences(self, items: Sequence[str | bytes], type: TensorType) -> bool:
        """Whether the files of an input are read as sequences of different lengths."""
        is_ragged = self.sequences is not None and isinstance(type.shape[1], Size)
        return is_ragged and isinstance(self._decoder(items[0], type), WavDecoder)

    def read_recordings(
        self, items: Sequence[str | bytes], type: TensorType, title: str, locate: LocateElement, errors: ErrorCollector
    ) -> list[np.ndarray] | None:
        """Recordings of different lengths; None, and errors, if one of them cannot be read."""
        decoder, error_list = self._decoder(items[0], type), dict[int, MediaError]()
        recordings: list[Any] = [None] * len(items)

        def decode(index: int) -> None:
            try:
                recordings[index] = decoder.decode(self._content(items[index]), None)
            except MediaError as error:
                error_list[index] = error

        start = 0
        for start in range(len(items)):  # the first file decides about the sampling rate
            decode(start)
            if recordings[start] is not None:
                break
        _for_each(range(start + 1, len(items)), decode)
        if self._add_errors(error_list, items, decoder, locate, errors):
            return None
        recordings = [recordings[start] if one is None else one for one in recordings]
        shapes = {recording.shape[1:] for recording in recordings}
        if len(shapes) > 1:
            counts = " and ".join(str(shape[0]) for shape in sorted(shapes))
            errors.add("data-shape", f"the recordings of {title} have {counts} channels", help="convert some of them")
            return None
        size = sum(recording.nbytes for recording in recordings)
        return None if _is_too_large(title, f"{len(items):,} recordings", size, errors) else recordings

    def decode_again(self, item: str | bytes, decoder: Decoder, shape: tuple[int, ...]) -> np.ndarray:
        """The array of a file that was read before. Raises UsageError if it has changed."""
        try:
            return decoder.decode(self._content(item), shape)
        except MediaError as error:
            name = f"file {item!r}" if isinstance(item, str) else "an image or recording of a table"
            message = f"{name} was changed while it was in use: {error.reason}"
            raise UsageError("unreadable-file", message, error.help) from error

    def _decoder(self, item: str | bytes, type: TensorType) -> Decoder:
        is_audio = item.lower().endswith(AUDIO_SUFFIXES) if isinstance(item, str) else item.startswith(_RIFF)
        if is_audio:
            return WavDecoder(type.shape[1:], self.audio)
        return ImageDecoder(type.shape[1:], self.images)

    def _content(self, item: str | bytes) -> bytes:
        """The bytes of a file. Raises MediaError if it cannot be read."""
        if isinstance(item, bytes):
            return item
        if not item:
            raise MediaError("bad-value", "the name of the file is missing")
        try:
            with self.folder.open(item) as file:
                content = file.read(MAX_MEDIA_FILE_BYTES + 1)
        except UnsafePath as error:
            raise MediaError("unsafe-path", str(error), "names are relative to the folder of the table") from error
        except UsageError as error:
            raise MediaError("unreadable-file", error.diagnostic.message, error.diagnostic.help) from error
        except OSError as error:
            raise MediaError("unreadable-file", f"cannot read {item!r}: {error}") from error
        if len(content) > MAX_MEDIA_FILE_BYTES:
            raise MediaError("too-large", f"the file has more than {MAX_MEDIA_FILE_BYTES:,} bytes, the limit")
        return content


class _MediaSamples:
    """Files that are decoded when a batch needs them. They were decoded once before, so that errors are known."""

    def __init__(self, reader: MediaReader, items: Sequence[str | bytes], decoder: Decoder, first: np.ndarray) -> None:
        self._reader, self._items, self._decoder = reader, items, decoder
        self.shape, self.dtype = (len(items), *first.shape), first.dtype

    def read(self, rows: np.ndarray) -> np.ndarray:
        samples = np.empty((len(rows), *self.shape[1:]), self.dtype)

        def decode(index: int) -> np.ndarray:
            return self._reader.decode_again(self._items[rows[index]], self._decoder, self.shape[1:])

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _fill(samples, range(len(rows)), decode)
        return samples

    def read_range(self, start: int, stop: int) -> np.ndarray:
        return self.read(np.arange(start, stop))

    def block_starts(self) -> None:
        return None


def is_media(array: np.ndarray, type: TensorType) -> bool:
    """Whether a column holds names of media files, or their contents, that an input or a target of a type takes."""
    if (
        array.ndim != 1
        or array.dtype.kind not in "OU"
        or not array.size
        or not (takes_images(type) or takes_audio(type))
    ):
        return False
    return isinstance(array[0], bytes) or (isinstance(array[0], str) and name_media_files(array.tolist(), type))


def _allocate(count: int, first: np.ndarray, title: str, errors: ErrorCollector) -> np.ndarray | None:
    size = count * prod(first.shape) * first.dtype.itemsize
    samples = f"{count:,} samples of {list(first.shape)}"
    return None if _is_too_large(title, samples, size, errors) else np.empty((count, *first.shape), first.dtype)


def _is_too_large(title: str, samples: str, size: int, errors: ErrorCollector) -> bool:
    """Whether the bytes of samples exceed the limit, which is an error."""
    if size > MAX_DATA_FILE_BYTES:
        errors.add("too-large", f"{title} has {samples}: {size:,} bytes, the limit is {MAX_DATA_FILE_BYTES:,}")
    return size > MAX_DATA_FILE_BYTES


def _fill(array: np.ndarray, indices: range, decode: Callable[[int], np.ndarray | None]) -> None:
    """Decodes files into the rows of an array."""

    def fill(index: int) -> None:
        sample = decode(index)
        if sample is not None:
            array[index] = sample

    _for_each(indices, fill)


def _for_each(indices: range, work: Callable[[int], object]) -> None:
    """Calls a function for each index in several threads: decoders release the interpreter's lock."""
    with ThreadPoolExecutor(thread_count()) as threads:
        for start in range(0, len(indices), _TASKS_AT_ONCE):
            for _ in threads.map(work, indices[start : start + _TASKS_AT_ONCE]):
                pass


_TASKS_AT_ONCE = 1024
"""Files in a call of a thread pool, so that Ctrl-C does not wait for all of them."""


def _add_errors(
    found: dict[int, MediaError], items: Sequence[str | bytes], locate: LocateElement, errors: ErrorCollector
) -> None:
    """Adds one error for all files with an error of the same code and help."""

    def describe(index: int) -> tuple[str, DataLocation]:
        location = locate((index,))
        return found[index].message(items[index], location), location

    by_kind: dict[tuple[str, str | None], list[int]] = {}
    for index in sorted(found):
        by_kind.setdefault((found[index].code, found[index].help), []).append(index)
    for (code, help), indices in by_kind.items():
        errors.add_each(code, indices, describe, help=help)
