"""A spec file before and after a command changes it."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.files.files import write_atomically
from ...frontend.json.json_reader import STDIN_NAME


@dataclass(frozen=True)
class EditedFile:
    """The text of a spec file before and after a change that is not written yet; the path `-` is standard input."""

    path: str
    before: bytes
    after: bytes

    @property
    def file(self) -> str:
        """The file name to show."""
        return STDIN_NAME if self.path == "-" else self.path

    @property
    def differs(self) -> bool:
        return self.before != self.after

    def save(self) -> None:
        """Writes the file if it changed. Raises UsageError if it cannot be written."""
        if self.differs:
            write_atomically(self.path, self.after)
