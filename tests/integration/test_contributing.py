"""The walk-throughs of CONTRIBUTING.md: their diffs apply, and the commands below them succeed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(diff|bash)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)

WALK_THROUGHS = {
    title: [(language, block) for language, block in BLOCK.findall(text)]
    for title, text in SECTION.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    if "```diff" in text
}


def test_the_walk_throughs_are_there() -> None:
    kinds = ("a layer", "a metric", "a data format", "an execution provider", "a lint rule", "an error")
    assert list(WALK_THROUGHS) == [f"Add {kind}" for kind in kinds]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which all walk-throughs are done, one after another."""
    folder = tmp_path_factory.mktemp("checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith("samples/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("title", WALK_THROUGHS)
def test_a_walk_through_works(title: str, checkout: Path) -> None:
    for language, block in WALK_THROUGHS[title]:
        if language == "diff":
            run(checkout, "git", "apply", "--whitespace=error", "-", stdin=block)
        else:
            for command in commands(block):
                run(checkout, *command)


def commands(block: str) -> Iterator[list[str]]:
    """The commands of a block, with this interpreter; those of a target of make one by one."""
    for line in block.splitlines():
        if line == "make generate":
            rule = (ROOT / "Makefile").read_text("utf-8").partition("\ngenerate:")[2].partition("\n\n")[0]
            yield from (
                shlex.split(command.replace("$(BIN)/python", sys.executable)) for command in rule.splitlines()[1:]
            )
        else:
            yield shlex.split(line.replace(".venv/bin/python", sys.executable))


def run(folder: Path, *command: str, stdin: str = "") -> None:
    environment = {**os.environ, "PYTHONPATH": str(folder / "compiler"), "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    environment |= {"PYTEST_ADDOPTS": "-p no:cacheprovider"}
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
