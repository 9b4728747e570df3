"""The hooks of `.pre-commit-hooks.yaml`, run by pre-commit on a scratch repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import jsonnx

ROOT = Path(__file__).parents[3]

INVALID = {"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "unit": 3}]}
VALID = {"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 3}]}
FORMATTED = '{\n  "inputs": {"x": {"shape": [4]}},\n  "layers": [\n    {"type": "Dense", "units": 3}\n  ]\n}\n'
DAMAGED = '{"inputs": {"x": {"shape": [4]}}, "layers": [{"type": "Dense", "units": 3]}'

NOT_SPECS = {
    "package.json": '{"name": "x", "version": "1.0.0"}',
    "list.json": "[1, 2]",
    "map.json": '{"version": 8, "name": "streets", "layers": [{"id": "water"}]}',
    "damaged.json": '{"name": ',
    "deep.json": "[" * 100_000,
    "text.json": "layers",
}
SPECS = {
    "spec.json": json.dumps(VALID),
    "invalid.json": json.dumps(INVALID),
    "damaged_spec.json": DAMAGED,
    "schema.json": '{"$schema": "../schemas/model.schema.json"}',
    "damaged_schema.json": '{"$schema": "../schemas/model.schema.json",',
    "no_inputs.json": '{"layers": [], "training": {}}',
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (NOT_SPECS | SPECS).items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_that_are_no_specs_are_skipped(folder: Path) -> None:
    result = jsonnx("validate", "--only-specs", "--format", "json", *NOT_SPECS, *SPECS, status=1)
    assert {item["file"] for item in json.loads(result.output)} == SPECS.keys() - {"spec.json"}
    assert jsonnx("validate", "--only-specs", *NOT_SPECS).output == "none of the files is a spec\n"
    assert jsonnx("validate", "--only-specs", *NOT_SPECS, "spec.json").output == "1 file is fine\n"


def test_fmt_skips_them_too(folder: Path) -> None:
    assert jsonnx("fmt", "--only-specs", *NOT_SPECS, "spec.json").stderr == "wrote spec.json\n"
    assert (folder / "spec.json").read_text() == FORMATTED
    assert {name: (folder / name).read_text() for name in NOT_SPECS} == NOT_SPECS


def test_a_file_that_cannot_be_read_is_not_skipped(folder: Path) -> None:
    assert "absent.json" in jsonnx("validate", "--only-specs", "absent.json", status=2).stderr


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=tester", "-c", "user.email=tester@localhost"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_pre_commit_runs_the_hooks_of_this_checkout(tmp_path: Path) -> None:
    """pre-commit installs the last commit of this checkout, as it would a release."""
    pytest.importorskip("pre_commit")
    repository = tmp_path / "repository"
    (repository / "specs").mkdir(parents=True)
    hooks = "".join(f"      - id: {name}\n" for name in ("jsonnx-validate", "jsonnx-fmt", "jsonnx-lint"))
    revision = git(ROOT, "rev-parse", "HEAD").strip()
    config = f"repos:\n  - repo: {ROOT}\n    rev: {revision}\n    hooks:\n{hooks}"
    (repository / ".pre-commit-config.yaml").write_text(config)
    for name, text in {**NOT_SPECS, "specs/bad.json": json.dumps(INVALID), "specs/spec.json": FORMATTED}.items():
        (repository / name).write_text(text)
    git(repository, "init", "-q")
    git(repository, "add", "--all")

    def commit() -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-m", "pre_commit", "run", "--color=never"]
        done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        return done

    failed = commit()
    assert failed.returncode == 1
    assert "error[unknown-key]: Dense has no key 'unit'\n --> specs/bad.json:1:" in failed.stdout
    assert "1 error in 1 of 2 files" in failed.stdout
    assert (repository / "specs/bad.json").read_text() != json.dumps(INVALID), "jsonnx-fmt formats also invalid specs"

    (repository / "specs/bad.json").write_text(json.dumps(VALID))
    git(repository, "add", "--all")
    formatted = commit()
    assert formatted.returncode == 1
    assert "files were modified by this hook" in formatted.stdout
    assert (repository / "specs/bad.json").read_text() == FORMATTED

    git(repository, "add", "--all")
    assert commit().returncode == 0
