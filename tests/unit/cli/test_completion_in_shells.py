"""`jsonnx completion`: the scripts, their installation, and the keys of a user in bash, zsh and fish."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.commands import SOURCE, jsonnx

SHELLS = ("bash", "zsh", "fish")
ANSWER_SECONDS = 60
SPEC = {"inputs": {"x": {"shape": [4]}}, "layers": [], "scales": {"small": {}, "large": {}}}
COMPLETED_LINES = {
    "jsonnx vali": "validate",
    "jsonnx layers Conv2DT": "Conv2DTranspose",
    "jsonnx validate --form": "--format",
    "jsonnx explain unknown-k": "unknown-key",
    "jsonnx fmt my_": "my_spec.json",
    "jsonnx train my_spec.json --scale sm": "small",
}
"""Typed lines, and the word that completes each."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, also the current one, with a spec, in which `jsonnx` is the one of this checkout."""
    command = tmp_path / "bin" / "jsonnx"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(SOURCE))} exec {sys.executable} -m jsonnx "$@"\n')
    command.chmod(0o755)
    (tmp_path / "my_spec.json").write_text(json.dumps(SPEC))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(shell: str, lines: list[str]) -> str:
    """What an interactive shell shows after each line and a tab, which must bring forth the awaited word."""
    parent, child = pty.openpty()
    process = subprocess.Popen([shell, "-i"], stdin=child, stdout=child, stderr=child, start_new_session=True)
    os.close(child)
    shown = ""
    try:
        for line in lines:
            os.write(parent, f"{line}\t".encode())
            shown += read_until(parent, COMPLETED_LINES[line])
            os.write(parent, b"\x15")  # Ctrl-U deletes the line
    finally:
        process.kill()
        process.wait()
        os.close(parent)
    return shown


def read_until(terminal: int, word: str) -> str:
    """The terminal's output up to a word. Fails if the word does not appear."""
    shown, end = "", time.monotonic() + ANSWER_SECONDS
    while word not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
        assert ready, f"no {word!r} in {shown!r}"
        shown += os.read(terminal, 1 << 16).decode(errors="replace")
    return shown


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_tab_completes_the_line(shell: str, home: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    jsonnx("completion", shell, "--install")
    typed(shell, [*COMPLETED_LINES])


def test_fish_completes_the_line(home: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    jsonnx("completion", "fish", "--install")
    for line, word in COMPLETED_LINES.items():
        done = subprocess.run(["fish", "-c", f"complete -C '{line}'"], capture_output=True, text=True, check=True)
        assert word in [candidate.split("\t")[0] for candidate in done.stdout.splitlines()], done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed(shell: str) -> None:
    assert f"_JSONNX_COMPLETE={shell}_complete" in jsonnx("completion", shell).stdout


def test_the_installation_adds_one_line_and_keeps_the_others(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/bash")
    settings = home / "settings"
    settings.write_bytes(b"alias l=ls # caf\xe9")  # not UTF-8, without an end of line
    (home / ".bashrc").symlink_to(settings)
    first = jsonnx("completion", "--install").stderr
    assert first.splitlines() == [
        "wrote .local/share/jsonnx/completion.bash",
        "added a line to .bashrc",
        "open a new shell to use it",
    ]
    assert "added" not in jsonnx("completion", "--install").stderr
    script = home / ".local/share/jsonnx/completion.bash"
    line = f"[ -r {script} ] && . {script}  # completion of jsonnx\n".encode()
    assert settings.read_bytes() == b"alias l=ls # caf\xe9\n" + line
    assert (home / ".bashrc").is_symlink()


def test_the_folders_of_the_environment_are_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        (home / name).mkdir()
        monkeypatch.setenv(name, str(home / name))
    jsonnx("completion", "zsh", "--install")
    jsonnx("completion", "fish", "--install")
    files = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert files >= {
        "XDG_DATA_HOME/jsonnx/completion.zsh",
        "ZDOTDIR/.zshrc",
        "XDG_CONFIG_HOME/fish/completions/jsonnx.fish",
    }


def test_an_unknown_shell_and_a_home_that_cannot_be_written_are_usage_errors(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert "no completion for the shell 'tcsh'" in jsonnx("completion", status=2).stderr
    monkeypatch.delenv("SHELL")
    assert "the variable SHELL is not set" in jsonnx("completion", "--install", status=2).stderr
    (home / ".local").write_text("not a folder")
    assert "error[unwritable-file]" in jsonnx("completion", "bash", "--install", status=2).stderr
    assert not (home / ".bashrc").exists()
