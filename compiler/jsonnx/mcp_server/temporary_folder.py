"""The folder for the temporary files of a server and of its commands, which ends with the server."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "jsonnx-mcp-"


class TemporaryFolder:
    """A folder that only this user can read. It is locked as long as its process runs, so that another server can tell
    whether it was left behind."""

    def __init__(self) -> None:
        remove_leftovers()
        self.path = Path()
        self._handle: int | None = None
        while self._handle is None:  # another server may have removed the folder before it was locked
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            self._handle = _locked_handle(self.path)

    def remove(self) -> None:
        """Removes the folder and what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._handle is not None and self._handle >= 0:
            os.close(self._handle)
        self._handle = None


def remove_leftovers() -> None:
    """Removes the folders of this user's servers that were killed."""
    if os.name == "nt":  # it has no locks of folders
        return
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if not entry.name.startswith(PREFIX):
                continue
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                    continue
                handle = _locked_handle(Path(entry.path))
                if handle is not None:
                    shutil.rmtree(entry.path, ignore_errors=True)
                    os.close(handle)


def _locked_handle(folder: Path) -> int | None:
    """The descriptor of a folder that this process has locked; None if another one has, or has removed the folder."""
    if os.name == "nt":
        return -1
    import fcntl

    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), os.stat(folder)):
            return handle
    except OSError:
        pass
    os.close(handle)
    return None
