"""`action.yml`: its steps are run by bash in a scratch repository, as on a runner of GitHub."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from integration.ci.composite_action import Run
from support.commands import SOURCE

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[3]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = ACTION["runs"]["steps"]

INPUTS = '{\n  "inputs": {"x": {"shape": [4]}},\n'
VALID = INPUTS + '  "layers": [\n    {"type": "Dense", "units": 3}\n  ]\n}\n'
INVALID = INPUTS + '  "layers": [\n    {"type": "Dense", "unit": 3}\n  ]\n}\n'
MISSING_DATA = VALID.replace("\n}", ',\n  "training": {"loss": "mse", "data": {"train": "absent.csv", "y": "y"}}\n}')


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    files = {
        "spec.json": VALID,
        "specs/with space.json": INVALID,
        "package.json": "{}",
        "ignored.json": INVALID,
        ".gitignore": "ignored.json\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def action(repository: Path, tmp_path: Path, command: str = "", **inputs: str) -> Run:
    """The steps after the installation, with the jsonnx of this checkout, or with another command in its place."""
    run = Run(ACTION, repository, tmp_path, ROOT, **inputs)
    path = tmp_path / "jsonnx-command"
    jsonnx = f'PYTHONPATH={shlex.quote(str(SOURCE))} exec {sys.executable} -m jsonnx "$@"'
    path.write_text(f"#!/bin/sh\n{command or jsonnx}\n")
    path.chmod(0o755)
    run.context["steps.install.outputs.jsonnx"] = str(path)
    return run.run(first=1)


def test_errors_are_annotations_and_fail_the_last_step(repository: Path, tmp_path: Path) -> None:
    run = action(repository, tmp_path)
    annotations = [line for line in run.output_of("check").splitlines() if line]
    assert len(annotations) == 1
    assert annotations[0].startswith("::error file=specs/with space.json,line=4,")
    assert "title=unknown-key::Dense has no key 'unit'%0Ahelp: did you mean 'units'?" in annotations[0]
    assert run.outputs() | {"comparison": ""} == {"errors": "1", "warnings": "0", "sarif": "", "comparison": ""}
    assert [result.status for result in run.results] == [0, 1]
    summary = run.summary.read_text()
    assert summary.startswith("### jsonnx\n\n````text\nerror[unknown-key]")
    assert summary.endswith("1 error in 1 of 2 files\n1 can be fixed with --fix\n````\n")


def test_valid_specs_pass_and_warnings_are_counted(repository: Path, tmp_path: Path) -> None:
    (repository / "spec.json").write_text(MISSING_DATA)
    run = action(repository, tmp_path, files="spec.json")
    assert "::warning file=spec.json," in run.output_of("check")
    assert (run.status, run.outputs()["warnings"]) == (0, "1"), run.results


@pytest.mark.slow
def test_files_are_pathspecs_one_a_line(repository: Path, tmp_path: Path) -> None:
    run = action(repository, tmp_path, files="package.json\n\nspecs/*.json\n", only_specs="false")
    assert run.outputs()["errors"] == "3"  # package.json lacks inputs and layers
    run = action(repository, tmp_path, files="absent/*.json")
    assert (run.status, run.output_of("check")) == (2, "::error title=jsonnx::no file matches the input files\n")


@pytest.mark.slow
def test_unformatted_specs_fail_if_asked_to(repository: Path, tmp_path: Path) -> None:
    assert action(repository, tmp_path, files="spec.json", format="true").status == 0
    (repository / "spec.json").write_text(json.dumps(json.loads(VALID)))
    run = action(repository, tmp_path, files="spec.json", format="true")
    assert "::error title=jsonnx fmt::" in run.output_of("check")
    assert run.status == 1
    assert "would change spec.json" in run.summary.read_text()
    assert action(repository, tmp_path, files="spec.json").status == 0


def test_sarif_is_written_and_handed_to_a_pinned_upload(repository: Path, tmp_path: Path) -> None:
    run = action(repository, tmp_path, upload_sarif="true", docs_url="https://docs.example/jsonnx")
    path = Path(run.outputs()["sarif"])
    log = json.loads(path.read_text())["runs"][0]
    assert log["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "specs/with%20space.json"
    address = "https://docs.example/jsonnx/reference/errors/unknown-key.html"
    assert log["tool"]["driver"]["rules"][0]["helpUri"] == address
    [(name, inputs)] = run.uses
    assert re.fullmatch(r"github/codeql-action/upload-sarif@[0-9a-f]{40}", name)
    assert inputs["sarif_file"] == str(path)
    assert run.status == 1, "the upload comes before the step that fails"


@pytest.mark.slow
def test_findings_of_lint_are_annotations_if_asked_for(repository: Path, tmp_path: Path) -> None:
    """Two Dense layers without an activation between them are one linear function."""
    layers = '"layers": [\n    {"type": "Dense", "units": 3},\n    {"type": "Dense", "units": 2}\n  ]\n}\n'
    (repository / "spec.json").write_text(INPUTS + "  " + layers)
    assert action(repository, tmp_path, files="spec.json").status == 0
    run = action(repository, tmp_path, files="spec.json", lint="true")
    assert run.output_of("check").startswith("::warning file=spec.json,line=")
    assert (run.status, run.outputs()["warnings"]) == (1, "1")


@pytest.mark.slow
def test_options_are_single_arguments(repository: Path, tmp_path: Path) -> None:
    run = action(repository, tmp_path, files="spec.json", options="--set=layers[0].units=0\n")
    assert "::error file=spec.json" in run.output_of("check")


def commit(repository: Path) -> None:
    identity = ["-c", "user.name=tester", "-c", "user.email=tester@localhost"]
    for arguments in (["add", "--all"], ["commit", "-q", "-m", "Change"]):
        subprocess.run(["git", *identity, *arguments], cwd=repository, check=True)


RECORDED_JSONNX = """[ "$1" != diff ] || printf '%s\n' "$@" > "$RUNNER_TEMP/arguments"
[ "$1" != diff ] || { printf '<!-- jsonnx diff -->\nspec.json differs\n'; exit "${DIFF_STATUS:-0}"; }"""
"""In place of jsonnx: finds no error, and records how `diff` is called."""

RECORDED_GH = """#!/bin/sh
printf '%s\n' "$@" "token $GH_TOKEN" >> "$RUNNER_TEMP/requests"
case "$*" in *--jq*) printf '%b' "$COMMENT_IDS";; esac
"""


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the program gh, which is replaced, is called with."""
    program = tmp_path / "bin" / "gh"
    program.parent.mkdir()
    program.write_text(RECORDED_GH)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("COMMENT_IDS", "")
    return tmp_path / "requests"


def test_changed_specs_are_compared_with_a_revision(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repository)
    (repository / "specs/with space.json").write_text(VALID)
    (repository / "--new.json").write_text(VALID)
    commit(repository)
    run = action(repository, tmp_path, RECORDED_JSONNX, against="HEAD^")
    assert run.status == 0
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert arguments[1].startswith("--against")
    assert re.fullmatch(r"git:[0-9a-f]{40}", arguments[2])
    assert arguments[-3:] == ["--", "--new.json", "specs/with space.json"]
    assert run.summary.read_text().endswith("spec.json differs\n")
    monkeypatch.setenv("DIFF_STATUS", "1")
    assert action(repository, tmp_path, RECORDED_JSONNX, against="HEAD^", fail_on="any").status == 1


@pytest.mark.slow
def test_the_comparison_is_that_of_jsonnx_diff(repository: Path, tmp_path: Path) -> None:
    (repository / "specs/with space.json").write_text(VALID)
    commit(repository)
    (repository / "spec.json").write_text(VALID.replace('"units": 3', '"units": 5'))
    (repository / "package.json").write_text('{"name": "models"}')
    commit(repository)
    run = action(repository, tmp_path, against="HEAD^", fail_on="signature")
    comparison = Path(run.outputs()["comparison"]).read_text()
    assert comparison.startswith("<!-- jsonnx diff -->")
    assert "spec.json" in comparison
    assert "package.json" not in comparison
    assert run.status == 1, "programs that read three outputs break"


@pytest.mark.slow
def test_other_json_files_are_not_compared(repository: Path, tmp_path: Path) -> None:
    (repository / "specs/with space.json").write_text(VALID)
    commit(repository)
    (repository / "package.json").write_text('{"name": "models"}')
    run = action(repository, tmp_path, against="HEAD", fail_on="any")
    assert "package.json" not in Path(run.outputs()["comparison"]).read_text()
    assert run.status == 0, run.results


def test_without_a_change_nothing_is_compared(repository: Path, tmp_path: Path) -> None:
    commit(repository)
    run = action(repository, tmp_path, RECORDED_JSONNX, against="HEAD")
    assert Path(run.outputs()["comparison"]).read_text() == "<!-- jsonnx diff -->\n\nNo spec differs.\n"
    assert not (tmp_path / "arguments").exists()


def test_a_revision_that_was_not_fetched_is_an_error(repository: Path, tmp_path: Path) -> None:
    commit(repository)
    for revision in ("origin/main", "--all", "$(touch pwned)", "; touch pwned"):
        run = action(repository, tmp_path, RECORDED_JSONNX, against=revision)
        assert (run.status, "has it been fetched?" in run.output_of("compare")) == (2, True)
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(("ids", "request_"), [("", "POST"), ("41\\n42\\n", "PATCH")])
def test_one_comment_is_kept_up_to_date(
    ids: str, request_: str, repository: Path, tmp_path: Path, requests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMMENT_IDS", ids)
    commit(repository)
    (repository / "spec.json").write_text(INVALID)
    run = action(repository, tmp_path, RECORDED_JSONNX, against="HEAD", comment="true")
    assert run.status == 0, run.results
    path = "repos/owner/models/issues/" + ("comments/41" if ids else "7/comments")
    body = f"body=@{run.outputs()['comparison']}"
    assert requests.read_text().splitlines()[-7:] == [
        "--silent",
        "--method",
        request_,
        "--field",
        body,
        path,
        "token the-token",
    ]


def test_without_a_pull_request_there_is_no_comment(repository: Path, tmp_path: Path, requests: Path) -> None:
    run = Run(ACTION, repository, tmp_path, ROOT, against="HEAD", comment="true")
    run.context |= {"github.event.pull_request.number": "", "steps.install.outputs.jsonnx": "true"}
    commit(repository)
    assert run.run(first=1).status == 0
    assert "::notice" in run.output_of("comment")
    assert not requests.exists()


HOSTILE = (
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "x\n); touch pwned; (",
    "x\nstatus=0",
    "--x=$(touch pwned)",
)
INPUT_NAMES = ("files", "options", "only_specs", "lint", "format", "sarif", "upload_sarif", "against")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_input_is_executed_or_adds_an_output(text: str, repository: Path, tmp_path: Path) -> None:
    fails = 'printf "%s\\n" "$@"; exit 1'
    for name in INPUT_NAMES:
        run = action(repository, tmp_path, fails, **{name: text})
        assert run.status != 0
        assert run.context.get("steps.check.outputs.status") in (None, "1")
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.slow
def test_names_of_files_are_not_executed(repository: Path, tmp_path: Path) -> None:
    names = ['"; touch pwned; ".json', "$(touch pwned).json", "--option.json", "two\nlines.json"]
    for name in names:
        (repository / name).write_text(INVALID)
    assert action(repository, tmp_path).outputs()["errors"] == str(len(names) + 1)
    assert not list(tmp_path.rglob("pwned"))


def test_scripts_have_no_expressions_and_other_actions_are_pinned() -> None:
    """An expression in a script would be replaced before bash reads it, so that an input could add commands."""
    for step in STEPS:
        assert "${{" not in step.get("run", "")
        assert "uses" not in step or re.search(r"@[0-9a-f]{40}$", step["uses"]), step


def test_the_page_lists_all_inputs_with_their_defaults() -> None:
    rows = re.findall(
        r"^\| `([\w-]+)` \| *(?:`(.*?)`|the job's)? *\|", (ROOT / "docs/guides/tools/ci.md").read_text("utf-8"), re.M
    )
    defaults = {name: entry["default"] for name, entry in ACTION["inputs"].items()}
    assert dict(rows) == defaults | {"token": ""}


@pytest.mark.slow
def test_the_first_step_installs_this_checkout(repository: Path, tmp_path: Path) -> None:
    run = Run(ACTION, repository, tmp_path, ROOT, python=sys.executable).run()
    assert os.access(run.context["steps.install.outputs.jsonnx"], os.X_OK)
    assert (run.outputs()["errors"], run.status) == ("1", 1), run.results
