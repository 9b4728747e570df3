"""Races, descriptors, times and folders: hostile circumstances that a file alone cannot make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.files.files import UnsafePath, open_beneath
from support.commands import SOURCE, jsonnx

from .cases import VALID

RACES = 2_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/spec.json").write_text(VALID)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.mark.parametrize("name", ["a.csv", "inner/a.csv"])
def test_a_file_that_becomes_a_link_is_never_read_outside(name: str, folder: Path, tmp_path: Path) -> None:
    """While files are opened, a file or a folder and a link to one outside take each other's place."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.csv").write_bytes(b"secret")
    changed = folder / name.split("/")[0]
    real, link = folder / "real", folder / "link"
    if changed.name == "inner":
        real.mkdir()
        (real / "a.csv").write_bytes(b"public")
        link.symlink_to(outside)
    else:
        real.write_bytes(b"public")
        link.symlink_to(outside / "a.csv")
    ends = threading.Event()

    def swap() -> None:
        while not ends.is_set():
            for first in (real, link):
                first.rename(changed)
                changed.rename(first)

    swapper = threading.Thread(target=swap)
    swapper.start()
    outcomes = {"read": 0, "refused": 0, "absent": 0}
    try:
        for _ in range(RACES):
            try:
                with open_beneath(folder, name) as file:
                    assert file.read() == b"public"
                outcomes["read"] += 1
            except UnsafePath:
                outcomes["refused"] += 1
            except UsageError:
                outcomes["absent"] += 1
    finally:
        ends.set()
        swapper.join()
    assert outcomes["refused"] or outcomes["read"], outcomes


def test_too_few_descriptors_are_an_error(folder: Path) -> None:
    code = "import resource, sys; from jsonnx.cli import main, specs; import jsonnx.render.diagnostics.diagnostics\n"
    code += "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)); sys.argv = ['jsonnx', 'validate', 'spec.json']; main()"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error["), done.stderr
    assert "too many open files" in done.stderr.lower()


def test_processes_that_write_one_file_leave_a_whole_one(folder: Path) -> None:
    """Two specs are compiled to one file at the same time; the model is one of the two that each gives by itself."""
    (folder / "other.json").write_text(VALID.replace("4}]", "7}]"))
    expected = set()
    for name in ("spec.json", "other.json"):
        jsonnx("compile", name, "-o", f"{name}.onnx")
        expected.add((folder / f"{name}.onnx").read_bytes())
    command = [sys.executable, "-m", "jsonnx", "compile", "-o", "model.onnx"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    processes = [subprocess.Popen([*command, name], env=environment) for name in ("spec.json", "other.json")]
    assert [process.wait() for process in processes] == [0, 0]
    assert (folder / "model.onnx").read_bytes() in expected
    assert len(expected) == 2
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


def test_times_of_files_do_not_matter(folder: Path) -> None:
    models = []
    for seconds in (0, 1_700_000_000, 4_330_000_000):
        os.utime("spec.json", (seconds, seconds))
        assert jsonnx("validate", "spec.json").output == "1 file is fine\n"
        jsonnx("compile", "spec.json", "-o", "model.onnx")
        models.append((folder / "model.onnx").read_bytes())
    assert len({*models}) == 1


def test_checks_write_nothing(folder: Path, tmp_path: Path) -> None:
    """No file is created or changed below the working folder, the home folder or that for temporary files."""
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    before = {path: path.stat() for path in tmp_path.rglob("*")}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "HOME": str(home), "TMPDIR": str(temporary)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    for arguments in (["validate", "spec.json"], ["summary", "spec.json", "--format", "json"], ["schema"]):
        command = [sys.executable, "-m", "jsonnx", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert arguments != ["schema"] or json.loads(done.stdout)
    after = {path: path.stat() for path in tmp_path.rglob("*")}
    assert after.keys() == before.keys()
    assert all(after[path].st_mtime_ns == before[path].st_mtime_ns for path in before)
