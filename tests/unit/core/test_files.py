"""Atomic writes, and folders."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import nullcontext
from pathlib import Path

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.files import files
from jsonnx.core.files.files import make_folders, remove_empty_folders, remove_temporary_files, write_atomically


def test_a_write_replaces_the_file_and_leaves_no_temporary_file(tmp_path):
    path = tmp_path / "a.bin"
    for content in (b"one", b"two"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_new_file_has_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("failing_call", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch, failing_call):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, failing_call, fail)
    with pytest.raises(UsageError) as error:
        write_atomically(path, b"new")
    assert "no space left on device" in error.value.diagnostic.message
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_an_unwritable_path_is_an_error(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none" / "a", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(UsageError) as error:
            write_atomically(path, b"")
        assert error.value.diagnostic.code == "unwritable-file"


def test_a_device_is_written_not_replaced():
    write_atomically("/dev/null", b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_temporary_files_of_killed_processes_are_removed(tmp_path):
    (tmp_path / ".jsonnx-00ff.tmp").write_bytes(b"")
    (tmp_path / "kept.tmp").write_bytes(b"")
    remove_temporary_files(tmp_path)
    assert os.listdir(tmp_path) == ["kept.tmp"]


# -- folders -----------------------------------------------------------------------------------------------------------


def test_missing_folders_are_created_and_returned(tmp_path: Path) -> None:
    assert make_folders(tmp_path / "a" / "b") == [tmp_path / "a", tmp_path / "a" / "b"]
    assert make_folders(tmp_path / "a" / "b" / "c") == [tmp_path / "a" / "b" / "c"]
    assert make_folders(tmp_path / "a") == []
    (tmp_path / "a" / "file").write_text("")
    remove_empty_folders([tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"])
    assert os.listdir(tmp_path / "a") == ["file"]


@pytest.mark.parametrize("name", ["file", "file/a", "new/" + "x" * 300, "new/\0"])
def test_a_folder_that_cannot_be_created_leaves_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as error:
        make_folders(tmp_path / name)
    assert error.value.diagnostic.code == "unwritable-file"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(("error", "is_error"), [(errno.EINVAL, False), (errno.EOPNOTSUPP, False), (errno.EIO, True)])
def test_folders_that_cannot_be_flushed_are_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, is_error: bool
) -> None:
    fsync = os.fsync

    def fsync_files(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(error, os.strerror(error))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fsync_files)
    with pytest.raises(UsageError) if is_error else nullcontext():
        write_atomically(tmp_path / "a", b"a")
    with pytest.raises(UsageError) if is_error else nullcontext():
        make_folders(tmp_path / "b")
    assert (tmp_path / "b").exists() != is_error
