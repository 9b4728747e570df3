"""Decodes WAV files of integers or floats, without trusting their contents."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from ...core.types import Dim
from ...sections.data_section import AudioSection
from ..samples.data_errors import MediaError

PCM, IEEE_FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
"""Format tags of the chunk `fmt `."""
_DAMAGED_HELP = "replace or remove the file"
_SKIP_HELP = '"audio": {"damaged": "skip"} in `training.data` leaves damaged recordings out'


class _Header(NamedTuple):
    """The format of a recording."""

    tag: int
    channels: int
    sampling_rate: int
    bits: int


class WavDecoder:
    """Recordings as floats from -1 to 1, in the shape of a sample: [time] or [time, channels]."""

    def __init__(self, dims: tuple[Dim, ...], section: AudioSection) -> None:
        self._length = dims[0] if isinstance(dims[0], int) else None
        self._channels = dims[1] if len(dims) == 2 else 1
        self._has_channel_axis = len(dims) == 2
        self._section = section
        self._sampling_rate = section.sampling_rate
        self.skips_damaged = section.damaged == "skip"

    def decode(self, content: bytes, shape: tuple[int, ...] | None) -> np.ndarray:
        """The samples of a recording. Raises MediaError."""
        header, data = _chunks(content)
        if self._sampling_rate is None:
            self._sampling_rate = header.sampling_rate  # the first file decides; it is decoded before all others
        if header.sampling_rate != self._sampling_rate:
            message = f"the recording has {header.sampling_rate:,} samples per second, wanted {self._sampling_rate:,}"
            raise MediaError("data-shape", message, "convert all recordings to one sampling rate")
        channels = self._channels if shape is None or not self._has_channel_axis else shape[1]
        if isinstance(channels, int) and header.channels != channels:
            message = f"the recording has {header.channels} channels, wanted {channels}"
            raise MediaError("data-shape", message, "convert the recording, or change the shape of the input")
        samples = self._fitted(_samples(header, data), self._length if shape is None else shape[0])
        return samples if self._has_channel_axis else samples[:, 0]

    def _fitted(self, samples: np.ndarray, length: int | None) -> np.ndarray:
        """The recording with a length; None leaves it as it is. Raises MediaError."""
        if length is None or len(samples) == length:
            return samples
        if not self._section.pad_or_truncate:
            message = f"the recording has {len(samples):,} samples, wanted {length:,}"
            fits_one_length = 'fit recordings as they are read: "audio": {"pad_or_truncate": true} in `training.data`'
            any_length = 'read recordings of any length with "sequences": {} in `training.data`'
            help = any_length if self._length is None else fits_one_length
            raise MediaError("data-shape", message, help)
        return np.pad(samples[:length], ((0, max(length - len(samples), 0)), (0, 0)))


def _chunks(content: bytes) -> tuple[_Header, bytes]:
    """The format and the data of a WAV file. Raises MediaError."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise MediaError("bad-data-file", "not a WAV file", _DAMAGED_HELP, skip_help=_SKIP_HELP)
    header, offset = None, 12
    while offset + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, offset)
        body = content[offset + 8 : offset + 8 + size]
        if name == b"fmt " and len(body) >= 16:
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
            tag = struct.unpack_from("<H", body, 24)[0] if tag == EXTENSIBLE and len(body) >= 26 else tag
            header = _Header(tag, channels, rate, bits)
        elif name == b"data":
            if header is None:
                break
            if len(body) < size:
                message = f"the recording is cut off: {len(body):,} of {size:,} bytes"
                raise MediaError("bad-data-file", message, _DAMAGED_HELP, skip_help=_SKIP_HELP)
            return header, body
        offset += 8 + size + size % 2
    message = "not a readable WAV file: it has no format or no data"
    raise MediaError("bad-data-file", message, _DAMAGED_HELP, skip_help=_SKIP_HELP)


def _samples(header: _Header, data: bytes) -> np.ndarray:
    """The numbers of a recording, [time, channels]. Raises MediaError."""
    bytes_per_frame = header.channels * header.bits // 8
    known = (header.tag == PCM and header.bits in (8, 16, 24, 32)) or (
        header.tag == IEEE_FLOAT and header.bits in (32, 64)
    )
    if not known or not bytes_per_frame:
        message = f"the recording is encoded in another way (format {header.tag}, {header.bits} bits)"
        help = "save it as integers of 8, 16, 24 or 32 bits, or as floats"
        raise MediaError("bad-data-file", message, help)
    data = data[: len(data) // bytes_per_frame * bytes_per_frame]
    if not data:
        raise MediaError("empty-data", "the recording has no samples", _DAMAGED_HELP, skip_help=_SKIP_HELP)
    if header.tag == IEEE_FLOAT:
        numbers: np.ndarray = np.frombuffer(data, f"<f{header.bits // 8}").astype(np.float32)
    elif header.bits == 8:  # the only unsigned integers
        numbers = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    elif header.bits == 24:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        numbers = padded.view("<i4")[:, 0].astype(np.float32) / (1 << 31)
    else:
        numbers = np.frombuffer(data, f"<i{header.bits // 8}").astype(np.float32) / (1 << (header.bits - 1))
    return numbers.reshape(-1, header.channels)
