"""Jobs are processes that can be asked and ended, and that end with their server."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.mcp_server import jobs as jobs_module
from jsonnx.mcp_server.command_line import MAX_ARGUMENT_BYTES, CommandFolders, command_environment, command_line
from jsonnx.mcp_server.jobs import Jobs
from support.commands import SOURCE, jsonnx


def folders(path: Path) -> CommandFolders:
    (path / "temporary").mkdir(exist_ok=True)
    return CommandFolders(path, path / "temporary")


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    started = Jobs(folders(tmp_path))
    yield started
    started.close()


def test_a_job_tells_how_it_ended(jobs: Jobs) -> None:
    fine, wrong = jobs.start(["explain", "unknown-key"]), jobs.start(["explain", "no-such-code"])
    fine.process.wait(60)
    wrong.process.wait(60)
    assert fine.status(1)["state"] == "finished"
    assert fine.status(1)["log"] == ['    {"type": "Dense", "units": 10}']
    assert (wrong.status(9)["state"], wrong.status(9)["exit_status"]) == ("failed", 2)
    assert "unknown-code" in wrong.status(9)["log"][0]
    assert fine.status(0)["log"] == []
    assert [job.name for job in jobs.all()] == ["job-1", "job-2"]
    with pytest.raises(UsageError, match="did you mean 'job-1'"):
        jobs.find("job1")


def test_the_number_of_jobs_is_limited(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "MAX_RUNNING_JOBS", 0)
    with pytest.raises(UsageError, match="too-many-jobs"):
        jobs.start(["explain", "unknown-key"])


def test_a_command_ends_after_its_parent(tmp_path: Path) -> None:
    """The command waits for standard input, so it ends only because its parent has."""
    line = [
        sys.executable,
        "-c",
        f"import subprocess; print(subprocess.Popen({command_line(['validate', '-'])!r}).pid)",
    ]
    line[2] = line[2].replace(repr(str(os.getpid())), "str(__import__('os').getpid())")
    environment = {**command_environment(folders(tmp_path)), "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE) as endless:
        parent = subprocess.run(line, stdin=endless.stdout, capture_output=True, text=True, env=environment, check=True)
        deadline = time.monotonic() + 20
        while Path(f"/proc/{parent.stdout.strip()}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        endless.kill()
    assert time.monotonic() < deadline


def test_the_served_folder_is_not_on_the_path_of_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command_line([])[1] == "-P"
    monkeypatch.setenv("PYTHONPATH", f"{os.pathsep}relative{os.pathsep}")
    assert command_environment(folders(tmp_path))["PYTHONPATH"] == os.path.abspath("relative")
    monkeypatch.setenv("PYTHONPATH", "")
    assert "PYTHONPATH" not in command_environment(folders(tmp_path))


@pytest.mark.parametrize(
    ("argument", "code"),
    [("Dense\0", "bad-option"), ("\ud800", "bad-option"), ("é" * MAX_ARGUMENT_BYTES, "too-large")],
    ids=["NUL", "a lone surrogate", "long"],
)
def test_an_argument_that_no_process_can_get_is_an_error(argument: str, code: str) -> None:
    with pytest.raises(UsageError) as error:
        command_line(["layers", "--", argument])
    assert error.value.diagnostic.code == code


def test_all_arguments_together_are_limited() -> None:
    with pytest.raises(UsageError, match="too-large"):
        command_line(["validate", *["x" * MAX_ARGUMENT_BYTES] * 6])


def test_the_command_names_the_extra_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", fail)
    error = jsonnx("mcp", status=2).stderr
    assert "missing-package" in error
    assert re.search(r"pip install .*mcp", error)
