"""The lock of a RUN folder, so that one process at a time trains in it.

The lock is one of the operating system on the file `.lock`, which is released when its process ends, however that
happens. Some file systems have no locks, or locks that other machines do not see: NFS without a lock service, Lustre
with `localflock`, some FUSE file systems. So the file `.lock-owner` names the process, too. It is created exclusively,
which all file systems support, its process writes the time into it every few seconds, and removes it at the end.

If the process of the file was killed, the next one on the same machine notices at once, by the lock or by the number
and the start of the process. From another machine that cannot be seen: there, the next process takes over if the file
does not change for some time, by its own clock. If the former process was only stopped for so long, it finds another
owner before it writes, and ends.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from ...core.diagnostics import UsageError
from ...core.files.files import TEMPORARY_NAME, open_without_links, read_without_links
from ...core.files.run_layout import RunPaths

HEARTBEAT_SECONDS = 5.0
"""Seconds between two writes of the time into the owner file."""
TIMEOUT_SECONDS = 30.0
"""Seconds without such a write after which a process on another machine counts as ended."""
POLL_SECONDS = 0.5

_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
"""Errors of a lock that another process holds: flock and NFS report the first three, Windows the last two."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, getattr(errno, "ENOTSUP", errno.EOPNOTSUPP)}
"""Errors of a file system without locks."""
_OTHER_FOLDER_HELP = "wait until it ends, or name another folder"

Owner = dict[str, Any]
"""The record of a process: host, system, pid, start, whether it has the lock of the operating system, a random token,
and the time of the last heartbeat."""


def is_locked(folder: Path) -> bool:
    """Whether a process trains in a folder, as far as can be seen from this machine. Changes nothing."""
    try:
        owner = _read_owner(read_without_links(RunPaths(folder).lock_owner))
    except OSError:
        return False
    here = _this_process()
    if owner and here["system"] and owner["system"] == here["system"]:
        return _is_running(owner)
    return bool(owner) and _seconds_since(owner["heartbeat"]) < TIMEOUT_SECONDS


class RunLock:
    """The lock of a folder. Raises UsageError `run-locked` if another process holds it."""

    def __init__(self, folder: Path, activity: str = "training") -> None:
        """`activity` is what messages say that a process is doing in the folder."""
        self._folder, self._activity = folder, activity
        self.path = RunPaths(folder).lock
        """The file that is locked."""
        self._owner_file = RunPaths(folder).lock_owner
        self._file: IO[bytes] | None = None
        self._owner: Owner = {}
        self._heartbeat: threading.Thread | None = None
        self._ends = threading.Event()

    def acquire(self, on_wait: Callable[[str], None] = lambda text: None) -> None:
        """Takes the lock. `on_wait` is called with the reason before it waits for a sign of a process on another
        machine. Raises UsageError `run-locked`, OSError."""
        self._file = open(self.path, "ab", opener=open_without_links)  # noqa: SIM115 (open as long as it is held)
        try:
            has_locks = self._lock_file(self._file)
            self._check_exists(self._file)
            self._remove_ended_owner(has_locks, on_wait)
            self._create_owner_file(_this_process() | {"has_lock": has_locks, "token": os.urandom(8).hex()})
        except BaseException:
            self.release()
            raise
        self._ends.clear()
        self._heartbeat = threading.Thread(target=self._beat, name="jsonnx-run-lock", daemon=True)
        self._heartbeat.start()

    def release(self) -> None:
        if self._heartbeat is not None:
            self._ends.set()
            self._heartbeat.join()
            self._heartbeat = None
        with suppress(OSError):
            if self._owner and self._may_be_owner():
                self._owner_file.unlink()
        self._owner = {}
        if self._file is not None:
            with suppress(OSError):  # nothing was written to it
                self._file.close()
            self._file = None

    def require(self) -> None:
        """Raises UsageError `run-locked` if another process has taken over, as after a long stop of this one."""
        if not self._owner:
            return
        try:
            holder = self._holder()
        except FileNotFoundError:  # removed by hand
            with suppress(OSError):  # a folder that is gone, or a full disk, is the error of what is written next
                self._create_owner_file(self._owner)
            return
        except OSError:  # it cannot be told
            return
        if holder != self._owner:
            message = f"{_process_text(holder)} has taken over the run in {str(self._folder)!r}"
            raise UsageError("run-locked", message, "this process had not been heard of; let the other one go on")

    # -- the owner file ----------------------------------------------------------------------------------------------

    def _holder(self) -> Owner:
        """The process that the owner file names, without the time of its heartbeat. Raises OSError."""
        owner = _read_owner(read_without_links(self._owner_file))
        return {key: value for key, value in owner.items() if key != "heartbeat"}

    def _may_be_owner(self) -> bool:
        """Whether the owner file names this process, or cannot be read: another process would create its file anew."""
        try:
            return self._holder() == self._owner
        except OSError:
            return True

    def _create_owner_file(self, owner: Owner) -> None:
        try:
            handle = os.open(self._owner_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        except FileExistsError as error:
            raise self._locked(f"another process is {self._activity}", _OTHER_FOLDER_HELP) from error
        self._owner = owner
        with os.fdopen(handle, "wb") as file:
            file.write(_owner_text(owner))

    def _beat(self) -> None:
        """Writes the time into the owner file until the lock is released; a thread of its own, as steps may be long."""
        while not self._ends.wait(HEARTBEAT_SECONDS):
            with suppress(OSError), open(self._owner_file, "r+b", opener=open_without_links) as file:
                owner = _read_owner(file.read())
                if owner.get("token") == self._owner["token"]:
                    file.seek(0)
                    file.write(_owner_text(self._owner))  # has the same length

    def _remove_ended_owner(self, has_locks: bool, on_wait: Callable[[str], None]) -> None:
        """Removes the file of an owner that has ended. Raises UsageError `run-locked` if it has not."""
        try:
            text = read_without_links(self._owner_file)
            if not _has_ended(_read_owner(text), has_locks):
                text = self._wait_for_end(text, on_wait)
        except FileNotFoundError:
            return
        taken = self._owner_file.with_name(TEMPORARY_NAME.format(os.urandom(4).hex()))
        try:
            self._owner_file.rename(taken)
            has_changed = read_without_links(taken) != text
        except FileNotFoundError as error:  # another process was faster
            raise self._locked(f"another process is {self._activity}", _OTHER_FOLDER_HELP) from error
        if has_changed:
            taken.rename(self._owner_file)
            raise self._locked(f"another process is {self._activity}", _OTHER_FOLDER_HELP)
        taken.unlink(missing_ok=True)

    def _wait_for_end(self, text: bytes, on_wait: Callable[[str], None]) -> bytes:
        """Waits until the owner file has not changed for some time, and returns its content.

        Raises UsageError `run-locked` if it changes, FileNotFoundError if it is removed.
        """
        owner = _read_owner(text)
        subject, help = (
            f"{_process_text(owner)} is {self._activity}",
            f"{_OTHER_FOLDER_HELP}; its file is {str(self._owner_file)!r}",
        )
        if _is_here(owner):
            raise self._locked(subject, help)
        folder = str(self._folder)
        subject_text = f"{_process_text(owner)} may be {self._activity} in {folder!r}"
        on_wait(f"{subject_text}: waits {TIMEOUT_SECONDS:.0f} s for a sign of it")
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            if read_without_links(self._owner_file) != text:
                raise self._locked(subject, help)
        return text

    # -- the lock of the operating system ----------------------------------------------------------------------------

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
                raise self._locked(f"{self._holder_text()} is {self._activity}", _OTHER_FOLDER_HELP) from error
            if error.errno not in _NO_LOCKS:
                raise
            return False
        return True

    def _holder_text(self) -> str:
        with suppress(OSError):
            return _process_text(self._holder())
        return "another process"

    def _check_exists(self, file: IO[bytes]) -> None:
        """Raises UsageError if a run that failed to start has just removed the locked file: the next process would lock
        a new one, or does so already."""
        try:
            is_there = os.path.samestat(os.fstat(file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise self._locked(f"another process was {self._activity}", "give the command once more")

    def _locked(self, subject: str, help: str) -> UsageError:
        return UsageError("run-locked", f"{subject} in {str(self._folder)!r}", help)


# -- processes ---------------------------------------------------------------------------------------------------------


def _this_process() -> Owner:
    pid = os.getpid()
    return {"host": platform.node(), "system": _system_id(), "pid": pid, "start": _start_time(pid)}


def _owner_text(owner: Owner) -> bytes:
    return json.dumps(owner | {"heartbeat": datetime.now(UTC).isoformat(timespec="seconds")}).encode()


def _read_owner(text: bytes) -> Owner:
    """The record of an owner; empty if the file is damaged, or not written yet."""
    types = {"host": str, "system": str, "pid": int, "start": str, "has_lock": bool, "token": str, "heartbeat": str}
    try:
        owner = json.loads(text)
    except ValueError:
        return {}
    is_record = isinstance(owner, dict) and all(isinstance(owner.get(key), type) for key, type in types.items())
    return owner if is_record else {}


def _process_text(owner: Owner) -> str:
    return f"process {owner['pid']} on {owner['host']!r}" if owner else "another process"


def _has_ended(owner: Owner, has_locks: bool) -> bool:
    """Whether it is certain that an owner no longer runs; `has_locks` if this process has got the lock of the file.

    All processes under one kernel see its locks, so an owner that had the lock under this one has ended then; so has
    one that was killed before it wrote its record.
    """
    here = _this_process()
    if has_locks and not owner:
        return True
    if has_locks and owner["has_lock"]:
        is_same_host = owner["system"] == here["system"] == "" and owner["host"] == here["host"]
        return is_same_host or _boot_id(owner) == _boot_id(here) != ""
    return _is_here(owner) and not _is_running(owner)


def _is_here(owner: Owner) -> bool:
    """Whether an owner was a process whose number has a meaning for this one."""
    here = _this_process()
    return bool(owner) and bool(here["system"]) and all(owner[key] == here[key] for key in ("host", "system"))


def _is_running(owner: Owner) -> bool:
    """Whether an owner that is here still runs."""
    return bool(owner["start"]) and _start_time(owner["pid"]) == owner["start"]


def _boot_id(owner: Owner) -> str:
    return str(owner["system"]).partition(" ")[0]


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
    fields = text.rpartition(")")[2].split()  # the second field, a name in parentheses, may have spaces
    return "" if fields[0] in "ZX" else fields[19]  # a zombie writes no more


def _seconds_since(heartbeat: str) -> float:
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(heartbeat)).total_seconds()
    except (ValueError, TypeError):
        return float("inf")
