"""The lock of a RUN folder, with and without locks of the file system."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.pipeline.run_folder import run_lock
from jsonnx.pipeline.run_folder.run_folder import RunFolder
from jsonnx.pipeline.run_folder.run_lock import RunLock, is_locked


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
    assert_locked(tmp_path, f"process {os.getpid()} on ", "another folder")
    assert is_locked(tmp_path)
    lock.release()
    assert not is_locked(tmp_path)
    lock.acquire()
    lock.release()
    assert os.listdir(tmp_path) == [".lock"]


@pytest.mark.parametrize("is_there_another", [False, True])
def test_a_removed_file_is_not_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there_another: bool) -> None:
    """A run that fails to start removes the file, between another one's opening and locking it."""
    flock = fcntl.flock

    def lock_after_removal(*arguments: Any) -> None:
        (tmp_path / ".lock").unlink()
        if is_there_another:
            (tmp_path / ".lock").touch()
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", lock_after_removal)
    assert_locked(tmp_path, "another process was training", "once more")


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_without_file_locks_a_file_names_the_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    failing_flock(monkeypatch, error)
    lock = RunLock(tmp_path)
    lock.acquire()
    assert json.loads((tmp_path / ".lock-owner").read_text())["pid"] == os.getpid()
    assert_locked(tmp_path, f"process {os.getpid()} on ", ".lock-owner")
    lock.release()
    assert not (tmp_path / ".lock-owner").exists()
    lock.acquire()
    monkeypatch.undo()
    with pytest.raises(UsageError, match=f"process {os.getpid()} on "):  # also if locks work here
        RunLock(tmp_path).acquire()
    lock.release()


def test_a_process_that_comes_second_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    first, acquire = RunFolder(path), RunLock.acquire

    def late(lock: RunLock, on_wait: Any) -> None:
        monkeypatch.undo()
        first.__enter__()
        first.write_texts({first.paths.run_info: "{}"})
        acquire(lock, on_wait)

    monkeypatch.setattr(RunLock, "acquire", late)
    with pytest.raises(UsageError, match="is training"), RunFolder(path):  # the folder is created by this one
        pass
    assert {file.name for file in path.iterdir()} == {".lock", ".lock-owner", "checkpoints", "run.json"}
    first.__exit__(None)


def test_an_error_when_the_locked_file_is_closed_is_no_error_of_the_run(tmp_path: Path) -> None:
    class Unclosable(io.BytesIO):
        def close(self) -> None:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    lock = RunLock(tmp_path)
    lock.acquire()
    assert lock._file is not None
    lock._file.close()
    lock._file = Unclosable()
    lock.release()
    assert os.listdir(tmp_path) == [".lock"]


def test_an_owner_file_that_cannot_be_read_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(path: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    lock = RunLock(tmp_path)
    lock.acquire()
    monkeypatch.setattr(Path, "read_bytes", unreadable)
    lock.release()
    assert os.listdir(tmp_path) == [".lock"]


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.EACCES])
def test_a_lock_that_is_held_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    failing_flock(monkeypatch, error)
    assert_locked(tmp_path, "another process is training", "another folder")
    assert not (tmp_path / ".lock-owner").exists()


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
from jsonnx.pipeline.run_folder.run_lock import RunLock

def flock(*arguments):
    raise OSError(37, "No locks available")

fcntl.flock = flock
RunLock(Path(sys.argv[1])).acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", KILLED_OWNER, str(tmp_path)], env=environment, check=False)
    assert (tmp_path / ".lock-owner").exists()
    failing_flock(monkeypatch, errno.ENOLCK)
    lock = RunLock(tmp_path)
    lock.acquire()
    assert json.loads((tmp_path / ".lock-owner").read_text())["pid"] == os.getpid()
    lock.release()
    assert os.listdir(tmp_path) == [".lock"]


def test_of_two_that_take_over_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*arguments: Any) -> bool:
        (tmp_path / ".lock-owner").unlink()  # the other one was faster
        return True

    (tmp_path / ".lock-owner").write_text(owner_text())
    monkeypatch.setattr(run_lock, "_has_ended", ended)
    assert_locked(tmp_path, "another process is training", "another folder")


# -- processes on other machines ---------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("HEARTBEAT_SECONDS", 0.02), ("TIMEOUT_SECONDS", 0.2), ("POLL_SECONDS", 0.01)):
        monkeypatch.setattr(run_lock, name, seconds)


def owner_text(**changes: Any) -> str:
    """The record of a process that has ended here, with changes."""
    owner = {
        **run_lock._this_process(),
        "start": "1",
        "has_lock": True,
        "token": "0" * 16,
        "heartbeat": "2026-11-28T12:00:00+00:00",
    }
    return json.dumps(owner | changes)


ELSEWHERE = {
    "another host without file locks": ({"host": "elsewhere"}, False),
    "another host whose locks this one does not see": ({"host": "elsewhere", "system": "another boot"}, True),
    "another boot": ({"system": "another boot"}, False),
    "an unknown system": ({"system": ""}, False),
    "a damaged record": ({"pid": "7"}, False),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ELSEWHERE)
def test_an_owner_that_cannot_be_seen_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    changes, has_locks = ELSEWHERE[name]
    if not has_locks:
        failing_flock(monkeypatch, errno.ENOLCK)
    path = tmp_path / ".lock-owner"
    path.write_text(owner_text(**changes))
    waits: list[str] = []

    def change_record(text: str) -> None:
        waits.append(text)
        path.write_text(owner_text(**changes, heartbeat="2026-11-28T12:00:05+00:00"))

    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: (change_record("alive"), sleep(seconds)))
    with pytest.raises(UsageError, match="is training") as error:
        RunLock(tmp_path).acquire()
    assert error.value.diagnostic.code == "run-locked"
    assert path.exists()
    monkeypatch.setattr(time, "sleep", sleep)
    lock = RunLock(tmp_path)
    lock.acquire(waits.append)  # no heartbeat: it has ended
    assert "may be training" in waits[-1]
    assert json.loads(path.read_text())["pid"] == os.getpid()
    lock.release()
    assert os.listdir(tmp_path) == [".lock"]


@pytest.mark.usefixtures("quick")
def test_a_wait_ends_when_the_other_process_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".lock-owner"
    path.write_text(owner_text(system="another boot"))
    monkeypatch.setattr(time, "sleep", lambda seconds: path.unlink())
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()


@pytest.mark.usefixtures("quick")
def test_the_heartbeat_changes_only_the_time(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    lock.acquire()
    path = tmp_path / ".lock-owner"
    before = path.read_bytes()
    path.write_bytes(re.sub(rb'"heartbeat": "....', b'"heartbeat": "1999', before))
    deadline = time.monotonic() + 10
    while b'"heartbeat": "1999' in path.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(path.read_bytes()) == len(before)
    assert {**json.loads(path.read_bytes()), "heartbeat": ""} == {**json.loads(before), "heartbeat": ""}
    lock.release()
    assert not [thread for thread in threading.enumerate() if thread.name == "jsonnx-run-lock"]


def test_a_process_that_was_stopped_for_long_writes_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "run" / ".lock-owner"
    with RunFolder(tmp_path / "run") as run:
        run.write_texts({run.paths.run_info: "1"})
        path.unlink()
        run.write_texts({run.paths.run_info: "2"})  # removed by hand: it is written again
        assert json.loads(path.read_text())["pid"] == os.getpid()
        path.write_text(owner_text(host="elsewhere", pid=7))
        with pytest.raises(UsageError, match="process 7 on 'elsewhere' has taken over") as error:
            run.write_texts({run.paths.run_info: "3"})
    assert error.value.diagnostic.code == "run-locked"
    assert json.loads(path.read_text())["pid"] == 7
    assert (tmp_path / "run" / "run.json").read_text() == "2"


def test_a_process_on_another_host_counts_as_running_while_its_time_is_renewed(tmp_path: Path) -> None:
    path, now = tmp_path / ".lock-owner", datetime.now(UTC)
    for heartbeat, expected in ((now, True), (now - timedelta(minutes=2), False)):
        path.write_text(owner_text(system="another boot", heartbeat=heartbeat.isoformat(timespec="seconds")))
        assert is_locked(tmp_path) == expected
    path.write_text(owner_text())
    assert not is_locked(tmp_path)
