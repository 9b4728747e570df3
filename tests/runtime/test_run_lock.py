"""The lock of a RUN folder, with and without locks of the file system."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.runtime import run_lock
from jsonnx.runtime.run_folder import RunFolder
from jsonnx.runtime.run_lock import OWNER_FILE, RunLock


def failing_flock(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def flock(*arguments: Any) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", flock)


def assert_locked(folder: Path, message: str, help: str) -> None:
    with pytest.raises(UsageError) as error:
        RunLock(folder).acquire()
    diagnostic = error.value.diagnostic
    assert diagnostic.code == "run-locked"
    assert message in diagnostic.message
    assert help in (diagnostic.help or "")


def test_a_lock_excludes_others_until_it_is_released(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    lock.acquire()
    assert_locked(tmp_path, "another process is training", "another folder")
    lock.release()
    lock.acquire()
    assert os.listdir(tmp_path) == [".lock"]
    lock.release()


def test_a_removed_file_is_not_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails to start removes the file, between another one's opening and locking it."""
    flock = fcntl.flock

    def lock_after_removal(*arguments: Any) -> None:
        (tmp_path / ".lock").unlink()
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", lock_after_removal)
    assert_locked(tmp_path, "another process was training", "once more")


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_without_file_locks_a_file_names_the_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    failing_flock(monkeypatch, error)
    lock = RunLock(tmp_path)
    lock.acquire()
    assert json.loads((tmp_path / OWNER_FILE).read_text())["pid"] == os.getpid()
    assert_locked(tmp_path, f"process {os.getpid()} on ", OWNER_FILE)
    lock.release()
    assert not (tmp_path / OWNER_FILE).exists()
    lock.acquire()
    monkeypatch.undo()
    with pytest.raises(UsageError, match=f"process {os.getpid()} on "):  # also if locks work here
        RunLock(tmp_path).acquire()
    lock.release()


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.EACCES])
def test_a_lock_that_is_held_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    failing_flock(monkeypatch, error)
    assert_locked(tmp_path, "another process is training", "another folder")
    assert not (tmp_path / OWNER_FILE).exists()


def test_a_failing_lock_is_told_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_flock(monkeypatch, errno.EIO)
    with pytest.raises(UsageError) as error, RunFolder(tmp_path / "run"):
        pass
    assert error.value.diagnostic.code == "unwritable-file"
    assert "input/output error" in error.value.diagnostic.message
    assert os.listdir(tmp_path) == []


def test_a_run_that_fails_to_start_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="x"), RunFolder(tmp_path / "new" / "run"):
            raise ValueError("x")
        assert os.listdir(tmp_path) == []
        failing_flock(monkeypatch, errno.ENOLCK)


KILLED_OWNER = """
import fcntl, os, signal, sys
from pathlib import Path
from jsonnx.runtime.run_lock import RunLock

def flock(*arguments):
    raise OSError(37, "No locks available")

fcntl.flock = flock
RunLock(Path(sys.argv[1])).acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", KILLED_OWNER, str(tmp_path)], env=environment, check=False)
    assert (tmp_path / OWNER_FILE).exists()
    failing_flock(monkeypatch, errno.ENOLCK)
    lock = RunLock(tmp_path)
    lock.acquire()
    assert json.loads((tmp_path / OWNER_FILE).read_text())["pid"] == os.getpid()
    lock.release()
    assert os.listdir(tmp_path) == [".lock"]


@pytest.mark.parametrize(
    "change",
    [{"host": "elsewhere"}, {"system": "another boot"}, {"pid": "7"}, {"start": None}],
    ids=lambda change: next(iter(change)),
)
def test_an_owner_that_may_be_running_keeps_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    ended = {**run_lock._this_process(), "start": "1"}
    failing_flock(monkeypatch, errno.ENOLCK)
    for text in (json.dumps(ended | change), "", "[]"):
        (tmp_path / OWNER_FILE).write_text(text)
        assert_locked(tmp_path, "is training", f"if it was killed, remove {str(tmp_path / OWNER_FILE)!r}")
        assert (tmp_path / OWNER_FILE).read_text() == text
    (tmp_path / OWNER_FILE).write_text(json.dumps(ended))
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()
