"""The lock of a RUN folder, so that one process at a time trains in it.

The lock is one of the operating system on the file `.lock`, which is released when its process ends, however that
happens. On a file system without locks, such as NFS without a lock service or Lustre without the option `flock`, the
file `.lock-owner` names the process instead. It is created exclusively, which all file systems support, and removed at
the end. If its process was killed, the next one on the same machine notices and takes over; from another machine that
cannot be seen, so the error asks the user to remove the file.
"""

from __future__ import annotations

import errno
import json
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ..core.diagnostics import UsageError

LOCK_FILE, OWNER_FILE = ".lock", ".lock-owner"

_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
"""Errors of a lock that another process holds: flock and NFS report the first three, Windows the last two."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, getattr(errno, "ENOTSUP", errno.EOPNOTSUPP)}
"""Errors of a file system without locks."""


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a folder, as far as can be seen from this machine."""
    lock = RunLock(folder)
    try:
        with open(folder / LOCK_FILE, "rb+") as file:
            lock._lock_file(file)
        lock._check_owner()
    except UsageError:
        return True
    except OSError:  # there is no lock, or it may not be opened
        return False
    return False


class RunLock:
    """The lock of a folder. Raises UsageError `run-locked` if another process holds it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._owns_file = False

    def acquire(self) -> None:
        """Takes the lock. Raises UsageError `run-locked`, OSError."""
        self._file = open(self._folder / LOCK_FILE, "ab")  # noqa: SIM115 (open as long as the lock is held)
        try:
            has_locks = self._lock_file(self._file)
            self._check_exists()
            self._check_owner()
            if not has_locks:
                self._create_owner_file()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        if self._owns_file:
            with suppress(OSError):
                self._owner_path.unlink()
            self._owns_file = False
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def _owner_path(self) -> Path:
        return self._folder / OWNER_FILE

    def _lock_file(self, file: IO[bytes]) -> bool:
        """Locks an open file without waiting. Returns False if its file system has no locks."""
        try:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                help = "wait until it ends, or name another folder"
                raise self._locked("another process is training", help) from error
            if error.errno not in _NO_LOCKS:
                raise
            return False
        return True

    def _check_exists(self) -> None:
        """Raises UsageError if a run that failed to start has just removed the locked file: the next process would lock
        a new one."""
        if not (self._folder / LOCK_FILE).exists():
            raise self._locked("another process was training", "give the command once more")

    def _check_owner(self) -> None:
        """Removes the file of an owner that was killed. Raises UsageError if the owner may be running."""
        try:
            text = self._owner_path.read_bytes()
        except FileNotFoundError:
            return
        owner = _read_owner(text)
        if not _has_ended(owner):
            process = f"process {owner['pid']} on {owner['host']!r}" if owner else "another process"
            help = f"wait until it ends; if it was killed, remove {str(self._owner_path)!r}"
            raise self._locked(f"{process} is training", help)
        taken = self._folder / f"{OWNER_FILE}-{os.getpid()}"
        self._owner_path.rename(taken)
        if taken.read_bytes() != text:  # another process has just taken over
            taken.rename(self._owner_path)
            raise self._locked("another process is training", "wait until it ends, or name another folder")
        taken.unlink()

    def _create_owner_file(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            handle = os.open(self._owner_path, flags, 0o666)
        except FileExistsError as error:
            help = "wait until it ends, or name another folder"
            raise self._locked("another process is training", help) from error
        self._owns_file = True
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(_this_process()).encode())

    def _locked(self, subject: str, help: str) -> UsageError:
        return UsageError("run-locked", f"{subject} in {str(self._folder)!r}", help)


def _this_process() -> dict[str, Any]:
    pid = os.getpid()
    return {"host": platform.node(), "system": _system_id(), "pid": pid, "start": _start_time(pid)}


def _read_owner(text: bytes) -> dict[str, Any]:
    """The record of an owner; empty if the file is damaged."""
    types = {"host": str, "system": str, "pid": int, "start": str}
    try:
        owner = json.loads(text)
    except ValueError:
        return {}
    is_record = isinstance(owner, dict) and all(isinstance(owner.get(key), type) for key, type in types.items())
    return owner if is_record else {}


def _has_ended(owner: dict[str, Any]) -> bool:
    """Whether an owner was a process of this system that no longer runs."""
    here = _this_process()
    is_here = bool(owner) and bool(here["system"]) and all(owner[key] == here[key] for key in ("host", "system"))
    return is_here and _start_time(owner["pid"]) != owner["start"]


def _system_id() -> str:
    """Identifies the machine since it was started, and the container, in which a process number has a meaning.

    Empty where the system does not tell, so that nothing can be said about other processes.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + " " + os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """When a process of this system was started; empty if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]  # the 22nd field; the second, a name in parentheses, may have spaces
