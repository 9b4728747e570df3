"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest
from jsonnx.core import files
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.files import remove_temporary_files, write_atomically


def test_a_file_is_replaced_and_nothing_is_left_over(tmp_path):
    path = tmp_path / "a.bin"
    for content in (b"one", b"two"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_mode_is_the_users(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch, broken):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, broken, fail)
    with pytest.raises(UsageError) as error:
        write_atomically(path, b"new")
    assert "no space left on device" in error.value.diagnostic.message
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_what_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none" / "a", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(UsageError) as error:
            write_atomically(path, b"")
        assert error.value.diagnostic.code == "unwritable-file"


def test_a_device_is_written_to_not_replaced():
    write_atomically("/dev/null", b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_leftovers_are_swept(tmp_path):
    (tmp_path / ".jsonnx-00ff.tmp").write_bytes(b"")
    (tmp_path / "kept.tmp").write_bytes(b"")
    remove_temporary_files(tmp_path)
    assert os.listdir(tmp_path) == ["kept.tmp"]
