"""A folder whose files are in memory, such as the pictures of a request."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from .files import FolderEntry, MissingFile
from .spec_folders import DataFolder


class MemoryFolder(DataFolder):
    """A folder that has the files of a mapping, by name, and no others."""

    contents: Mapping[str, bytes]

    @staticmethod
    def of(contents: Mapping[str, bytes]) -> MemoryFolder:
        folder = MemoryFolder(Path())
        folder.contents = contents
        return folder

    def open(self, name: str) -> IO[bytes]:
        """Opens a file. Raises MissingFile."""
        if name not in self.contents:
            help = 'give its contents in place of its name, as "data:image/png;base64,..."'
            raise MissingFile("unreadable-file", f"the request has no file {name!r}", help)
        return io.BytesIO(self.contents[name])

    def list(self, name: str = "") -> list[FolderEntry]:
        """No entries: a request names each of its files."""
        return []
