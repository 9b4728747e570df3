"""What reading one file may cost. Every reader of a foreign format is given the same budget, and takes from it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NoReturn

from ..core.diagnostics import CompileError, Diagnostic

GIB = 1 << 30


@dataclass
class ReadBudget:
    """What is left. Once something is used up, CompileError `too-large`, before anything is allocated."""

    file: str | None = None
    """The file that is read, for messages."""
    bytes_left: int = 4 * GIB
    """Of arrays, and of what is unpacked."""
    objects_left: int = 200_000
    """Groups, arrays, members of archives, attributes."""
    text_bytes_left: int = 64 << 20
    """Bytes of JSON and of names."""
    max_seconds: float = 60.0
    start_time: float = field(default_factory=time.monotonic)

    def take_bytes(self, count: int, what: str) -> None:
        if count > self.bytes_left:
            self.raise_too_large(f"{what} has {count:,} bytes, of which {self.bytes_left:,} are left to this file")
        self.bytes_left -= count

    def take_objects(self, count: int, what: str) -> None:
        if count > self.objects_left:
            self.raise_too_large(f"{what}: {count:,} of them, of which {self.objects_left:,} are left to this file")
        self.objects_left -= count

    def take_text(self, count: int, what: str) -> None:
        if count > self.text_bytes_left:
            self.raise_too_large(
                f"{what} has {count:,} bytes of text, of which {self.text_bytes_left:,} are left to this file"
            )
        self.text_bytes_left -= count

    @property
    def seconds_left(self) -> float:
        return self.start_time + self.max_seconds - time.monotonic()

    def raise_too_large(self, message: str) -> NoReturn:
        raise CompileError([Diagnostic("too-large", message, file=self.file)])


def damaged_file_error(file: str | None, message: str, help: str | None = None) -> CompileError:
    """The file is not what it says it is, or lacks something."""
    return CompileError([Diagnostic("damaged-file", message, file=file, help=help)])


def unsafe_file_error(file: str | None, message: str, help: str | None = None) -> CompileError:
    """The file asks for something that no honest writer makes, such as another file."""
    return CompileError([Diagnostic("unsafe-file", message, file=file, help=help)])
