"""The temporary folders of servers end with them, at the latest when the next one starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from jsonnx.mcp_server.temporary_folder import PREFIX, TemporaryFolder, remove_leftovers
from support.commands import SOURCE

HOLD = """
import sys
from jsonnx.mcp_server.temporary_folder import TemporaryFolder
print(TemporaryFolder().path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_folder_is_private_and_removed() -> None:
    folder = TemporaryFolder()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    (folder.path / "log").write_text("x")
    folder.remove()
    folder.remove()
    assert not folder.path.exists()


def test_only_folders_whose_process_has_ended_are_removed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        folder = Path(server.stdout.readline().strip())
        (folder / "job-1").write_text("log")
        remove_leftovers()
        assert (folder / "job-1").exists()
        server.send_signal(signal.SIGKILL)
        server.wait()
    own = TemporaryFolder()
    assert not folder.exists()
    assert own.path.exists()


def test_other_files_and_links_stay(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (target / "file").write_text("x")
    (tmp_path / f"{PREFIX}link").symlink_to(target)
    (tmp_path / f"{PREFIX}file").write_text("x")
    (tmp_path / "other-mcp-folder").mkdir()
    remove_leftovers()
    assert {path.name for path in tmp_path.iterdir()} == {
        *("precious", f"{PREFIX}link", f"{PREFIX}file", "other-mcp-folder")
    }
    assert (target / "file").exists()


def test_folders_of_other_users_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{PREFIX}other").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: os.stat(tmp_path).st_uid + 1)
    remove_leftovers()
    assert (tmp_path / f"{PREFIX}other").exists()
