"""The resources that reading one file may use: all readers of foreign formats share one budget per file."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NoReturn

from ..core.diagnostics import CompileError, Diagnostic
from ..core.limits import MAX_READ_BYTES, MAX_READ_OBJECTS, MAX_READ_SECONDS, MAX_READ_TEXT_BYTES


@dataclass
class ReadBudget:
    """The resources that are left. Raises CompileError `too-large` before one is exceeded."""

    file: str | None = None
    """The name of the file, for messages."""
    bytes_left: int = MAX_READ_BYTES
    """Bytes of arrays and decompressed data."""
    objects_left: int = MAX_READ_OBJECTS
    """Groups, arrays, attributes and archive members."""
    text_bytes_left: int = MAX_READ_TEXT_BYTES
    """Bytes of JSON and of names."""
    max_seconds: float = MAX_READ_SECONDS
    start_time: float = field(default_factory=time.monotonic)

    def take_bytes(self, count: int, subject: str) -> None:
        if count > self.bytes_left:
            self.raise_too_large(f"{subject} has {count:,} bytes, but only {self.bytes_left:,} are left for this file")
        self.bytes_left -= count

    def take_objects(self, count: int, subject: str) -> None:
        if count > self.objects_left:
            self.raise_too_large(
                f"{subject}: there are {count:,}, but only {self.objects_left:,} are left for this file"
            )
        self.objects_left -= count

    def take_text(self, count: int, subject: str) -> None:
        if count > self.text_bytes_left:
            limit = f"but only {self.text_bytes_left:,} are left for this file"
            self.raise_too_large(f"{subject} has {count:,} bytes of text, {limit}")
        self.text_bytes_left -= count

    @property
    def seconds_left(self) -> float:
        return self.start_time + self.max_seconds - time.monotonic()

    def raise_too_large(self, message: str) -> NoReturn:
        raise CompileError([Diagnostic("too-large", message, file=self.file)])


def damaged_file_error(file: str | None, message: str, help: str | None = None) -> CompileError:
    """The error for a file that is malformed or incomplete."""
    return CompileError([Diagnostic("damaged-file", message, file=file, help=help)])


def unsafe_file_error(file: str | None, message: str, help: str | None = None) -> CompileError:
    """The error for a file that looks malicious, such as one that refers to other files."""
    return CompileError([Diagnostic("unsafe-file", message, file=file, help=help)])
