"""`jsonnx diff --against git:REF`: specs compared with those of a revision."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonnx.pipeline.git.git_files import GitPath
from jsonnx.render.networks import revision_diff
from jsonnx.render.networks.revision_diff import COMMENT_MARKER, code_span
from jsonnx.render.schemas.diff_schema import diff_schema
from jsonschema import Draft202012Validator
from support.commands import jsonnx

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

SPEC: dict[str, Any] = {
    "name": "words",
    "inputs": {"text": {"shape": [4], "dtype": "string"}},
    "layers": [
        {"type": "StringLookup", "name": "ids", "vocabulary": "lists/words.txt"},
        {"type": "Embedding", "name": "vectors", "input_dim": 9, "output_dim": 4},
        {"type": "Flatten"},
        {"type": "Dense", "name": "kind", "units": 2},
    ],
    "labels": ["no", "yes"],
    "budget": {"parameters": "1k"},
}


def git(*arguments: str, folder: str | Path = ".") -> str:
    settings = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *settings, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, in which the tests' current folder lies."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    root = tmp_path / "repository"
    (root / "specs/lists").mkdir(parents=True)
    monkeypatch.chdir(root)
    git("init", "-q", "-b", "main")
    Path("specs/lists/words.txt").write_text("a\nb\nc\n")
    write("specs/words.json", SPEC)
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return root


def write(file: str | Path, spec: Any) -> str:
    Path(file).write_text(json.dumps(spec, indent=1) + "\n")
    return str(file)


def edit(change: Callable[[dict[str, Any]], Any], file: str = "specs/words.json") -> None:
    spec = json.loads(Path(file).read_text())
    change(spec)
    write(file, spec)


def differences(*arguments: str, status: int = 0) -> dict[str, Any]:
    """The JSON output of `diff`."""
    result: dict[str, Any] = json.loads(jsonnx("diff", *arguments, "--format", "json", status=status).stdout)
    return result


def refused(*arguments: str) -> str:
    """The message on standard error, for a wrong use."""
    return jsonnx("diff", *arguments, status=2).stderr


def test_an_unchanged_spec() -> None:
    edit(lambda spec: spec.update(description="a comment"))
    assert jsonnx("diff", "specs/words.json", "--against", "git:main").stdout == (
        "specs/words.json: no difference in meaning\n"
    )
    report = differences("specs/words.json", "--against", "git:HEAD", "--fail-on", "any")
    assert report["commit"] == git("rev-parse", "HEAD")
    assert [spec["state"] for spec in report["specs"]] == ["unchanged"]


def test_the_order_of_inputs_is_a_difference() -> None:
    inputs = {"a": {"shape": [2]}, "b": {"shape": [2]}}
    write("specs/sum.json", {"inputs": inputs, "layers": [{"type": "Add", "from": ["a", "b"]}]})
    git("add", ".")
    git("commit", "-qm", "two inputs")
    edit(lambda spec: spec.update(inputs=dict(reversed(inputs.items()))), "specs/sum.json")
    assert "are in a different order" in jsonnx("diff", "specs/sum.json", "--against", "git:main", status=1).stdout


def test_a_change_that_breaks_programs() -> None:
    edit(lambda spec: spec["layers"][3].update(units=3))
    edit(lambda spec: spec.update(labels=["yes", "no", "maybe"]))
    text = jsonnx("diff", "specs/words.json", "--against", "git:main", status=1).stdout
    assert "! output kind is float32[batch, 3], was float32[batch, 2]" in text
    assert "! labels kind differ: with 'maybe'; 'yes', 'no' with another class index" in text
    assert "1 of 3 fit as they are; --partial loads these" in text
    assert "parameters 70 -> 87 (+17, +24.3 %)" in text
    assert "activation bytes 144 -> 144" not in text


def test_files_that_the_spec_names_are_read_at_the_revision() -> None:
    Path("specs/lists/words.txt").write_text("a\nb\nc\nd\n")
    (spec,) = differences("specs/words.json", "--against", "git:main")["specs"]
    (layer,) = spec["differences"]["layers"]
    assert layer["arguments"] == {"vocabulary": {"old": ["a", "b", "c"], "new": ["a", "b", "c", "d"]}}
    Path("specs/lists/words.txt").unlink()
    git("rm", "-q", "--cached", "specs/lists/words.txt")
    git("commit", "-q", "-m", "without the list")
    Path("specs/lists/words.txt").write_text("a\n")
    (spec,) = differences("specs/words.json", "--against", "git:HEAD")["specs"]
    assert spec["state"] == "invalid-before"
    assert "'git:HEAD:specs/lists/words.txt'" in spec["errors"][0]["message"]
    assert (spec["errors"][0]["path"], spec["errors"][0]["line"]) == ("$.layers[0].vocabulary", 15)


def test_an_object_that_is_missing_is_an_error() -> None:
    name = git("rev-parse", "HEAD:specs/words.json")
    Path(".git/objects", name[:2], name[2:]).unlink()
    assert "git-failed" in jsonnx("diff", "git:HEAD:specs/words.json", "specs/words.json", status=2).stderr


@pytest.mark.parametrize(
    ("change", "statuses"),
    [
        (lambda spec: spec.update(training={"loss": "mse"}), (0, 0, 1)),
        (lambda spec: spec.update(budget={"parameters": "2k"}), (0, 0, 1)),
        (lambda spec: spec["layers"][1].update(input_dim=10), (0, 1, 1)),
        (lambda spec: spec["layers"][3].update(units=3) or spec.update(labels=["a", "b", "c"]), (1, 1, 1)),
    ],
    ids=["training", "budget", "weights", "signature"],
)
def test_the_exit_status_is_chosen(change: Callable[[dict[str, Any]], Any], statuses: tuple[int, ...]) -> None:
    edit(change)
    for fail_on, status in zip(("signature", "breaking", "any"), statuses, strict=True):
        jsonnx("diff", "specs/words.json", "--against", "git:main", "--fail-on", fail_on, status=status)
    jsonnx("diff", "specs/words.json", "--against", "git:main", "--fail-on", "never")


def test_a_new_a_renamed_a_deleted_and_an_invalid_spec() -> None:
    git("mv", "specs/words.json", "specs/renamed.json")
    edit(lambda spec: spec["layers"][1].update(output_dim=5), "specs/renamed.json")
    write("specs/new.json", {"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "units": 1}]})
    write("specs/bad.json", {"inputs": {"x": {"shape": [2]}}, "layers": [{"type": "Dense", "unit": 1}]})
    specs = ("specs/renamed.json", "specs/new.json", "specs/words.json", "specs/bad.json")
    report = differences(*specs, "--against", "git:main", "--fail-on", "never", status=1)
    assert [(spec["state"], spec["old_file"], spec["renamed"]) for spec in report["specs"]] == [
        ("changed", "git:main:specs/words.json", True),
        ("new", None, False),
        ("deleted", "git:main:specs/words.json", False),
        ("invalid", None, False),
    ]
    assert report["specs"][3]["errors"][0]["code"] == "unknown-key"
    assert report["breaks_signature"]
    jsonnx("diff", "specs/new.json", "--against", "git:main", "--fail-on", "breaking")
    jsonnx("diff", "specs/words.json", "--against", "git:main", status=1)
    assert "neither here nor at the revision" in refused("specs/nothing.json", "--against", "git:main")


def test_a_spec_that_was_invalid_before() -> None:
    Path("specs/words.json").write_text("{")
    git("commit", "-qam", "broken")
    write("specs/words.json", SPEC)
    (spec,) = differences("specs/words.json", "--against", "git:main")["specs"]
    assert spec["state"] == "invalid-before"
    assert spec["errors"][0]["line"] == 1


def test_a_file_at_a_revision() -> None:
    shutil.copy("specs/words.json", "specs/other.json")
    edit(lambda spec: spec["layers"][3].update(units=1, use_bias=False) or spec.pop("labels"), "specs/other.json")
    for name in ("git:main:specs/words.json", "git:main:./specs/words.json"):
        (spec,) = differences("specs/other.json", "--against", name, status=1)["specs"]
        assert spec["old_file"] == "git:main:specs/words.json"
        assert differences(name, "specs/other.json", status=1) == spec["differences"]
    assert differences("specs/words.json", "git:HEAD~0:specs/words.json")["same"]
    assert "no such file at that revision" in refused("specs/other.json", "--against", "git:main:words.json")
    assert "2 specs cannot be compared with the one file" in refused("a", "b", "--against", "git:main:words.json")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("git:", "names no revision"),
        ("git:main:", "names no file"),
        ("git:--output=x", "begins with a hyphen"),
        ("git:-x:specs/words.json", "begins with a hyphen"),
        ("git:ma\nin", "characters that no revision has"),
        ("git:main:../x.json", "does not lie in the repository"),
        ("git:mian", "did you mean 'main'?"),
        ("git:main^{tree}", "has no revision"),
        ("git:nothing", "`git branch --all`"),
    ],
)
def test_a_bad_revision_is_refused(name: str, message: str) -> None:
    assert message in refused("specs/words.json", "--against", name)
    assert not Path("x").exists()


def test_a_remote_branch_is_suggested() -> None:
    git("update-ref", "refs/remotes/origin/feature", "HEAD")
    assert "did you mean 'origin/feature'?" in refused("specs/words.json", "--against", "git:feature")


def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside.json", SPEC)
    assert "does not lie in a Git repository" in refused(outside, "--against", "git:main")


def test_a_spec_outside_of_the_current_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The revision is one of the repository in which the spec lies."""
    path = str(Path("specs/words.json").absolute())
    monkeypatch.chdir(tmp_path)
    assert differences(path, "--against", "git:main")["specs"][0]["state"] == "unchanged"


def test_a_repository_without_commits(tmp_path: Path) -> None:
    git("init", "-q", str(tmp_path / "empty"))
    spec = write(tmp_path / "empty/spec.json", SPEC)
    assert "the repository has no commits yet" in refused(spec, "--against", "git:main")


def test_a_repository_without_a_work_tree(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("clone", "-q", "--bare", str(repository), str(tmp_path / "bare.git"))
    spec = str(Path("specs/words.json").absolute())
    monkeypatch.chdir(tmp_path / "bare.git")
    assert differences("git:main:specs/words.json", spec)["same"]
    Path("spec.json").write_text(json.dumps(SPEC))
    assert "has no work tree" in refused("spec.json", "--against", "git:main")


def test_a_repository_of_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    message = refused("specs/words.json", "--against", "git:main")
    assert "dubious ownership" in message
    assert "git config --global --add safe.directory" in message


def test_a_shallow_clone_says_how_to_get_the_revision(repository: Path, tmp_path: Path) -> None:
    git("commit", "-q", "--allow-empty", "-m", "second")
    git("clone", "-q", "--depth=1", repository.as_uri(), str(tmp_path / "shallow"))
    message = refused(str(tmp_path / "shallow/specs/words.json"), "--against", "git:HEAD~1")
    assert "this clone is shallow" in message
    assert "fetch-depth: 0" in message


def test_a_submodule(repository: Path, tmp_path: Path) -> None:
    """A spec within is compared with revisions of the submodule; the outer repository has no files of it."""
    git("init", "-q", "-b", "outer", str(tmp_path / "outer"))
    git("submodule", "add", "-q", repository.as_uri(), "parts", folder=tmp_path / "outer")
    git("commit", "-qm", "with a submodule", folder=tmp_path / "outer")
    spec = str(tmp_path / "outer/parts/specs/words.json")
    assert differences(spec, "--against", "git:main")["specs"][0]["state"] == "unchanged"
    assert "lies in a submodule" in refused(spec, "--against", "git:outer-branch")
    os.chdir(tmp_path / "outer")
    assert "'parts' is a submodule" in refused(spec, "--against", "git:outer:parts/specs/words.json")


def test_a_symbolic_link_at_the_revision_is_not_followed() -> None:
    Path("specs/link.json").symlink_to("words.json")
    Path("specs/lists/more.txt").symlink_to("words.txt")
    linked = {"inputs": SPEC["inputs"], "layers": [SPEC["layers"][0] | {"vocabulary": "lists/more.txt"}]}
    write("specs/linked.json", linked)
    git("add", ".")
    git("commit", "-qm", "links")
    assert "it is a symbolic link" in refused("specs/words.json", "--against", "git:main:specs/link.json")
    write("specs/linked.json", linked | {"layers": SPEC["layers"][:1]})
    (spec,) = differences("specs/linked.json", "--against", "git:main")["specs"]
    assert (spec["state"], spec["errors"][0]["code"]) == ("invalid-before", "unsafe-path")


def test_programs_that_the_repository_configures_are_not_run(repository: Path) -> None:
    """A filter, a text conversion and a file system monitor are commands in the configuration of a repository."""
    command = f"touch {repository / 'ran'}; cat"
    Path(".gitattributes").write_text("*.json filter=f diff=f\n")
    for key in ("filter.f.smudge", "filter.f.clean", "diff.f.textconv", "core.fsmonitor", "diff.external"):
        git("config", key, command)
    Path(".git/hooks/post-checkout").write_text(f"#!/bin/sh\n{command}\n")
    edit(lambda spec: spec["layers"][1].update(input_dim=10))
    assert differences("specs/words.json", "--against", "git:main")["specs"][0]["state"] == "changed"
    assert not Path("ran").exists()


def test_variables_of_a_hook_do_not_lead_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git("init", "-q", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", "index")
    assert differences("specs/words.json", "--against", "git:main")["specs"][0]["state"] == "unchanged"


def test_a_missing_git_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "the program git is not installed" in refused("specs/words.json", "--against", "git:main")


def test_names_of_files_are_taken_as_they_are() -> None:
    """Neither patterns nor options of git are read into a name."""
    for name in ("-q.json", "*.json", "ä b.json", ":(top)x.json"):
        write(f"specs/{name}", SPEC)
    git("add", ".")
    git("commit", "-qm", "odd names")
    os.chdir("specs")
    names = ["./-q.json", "*.json", "ä b.json", ":(top)x.json"]
    report = differences(*names, "--against", "git:main")
    assert [spec["state"] for spec in report["specs"]] == ["unchanged"] * 4
    assert report["specs"][2]["old_file"] == "git:main:specs/ä b.json"


def test_the_markdown_is_a_comment() -> None:
    edit(lambda spec: spec["layers"][3].update(units=3))
    edit(lambda spec: spec.update(labels=["no", "yes", "@team <b>|`x`"]))
    text = jsonnx("diff", "specs/words.json", "--against", "git:main", "--format", "markdown", status=1).stdout
    lines = text.splitlines()
    assert lines[:2] == [COMMENT_MARKER, "### jsonnx: 1 of 1 spec differs, 1 breaks programs"]
    row = next(line for line in lines if line.startswith("| `specs/words.json` |"))
    assert "**breaks in 2 places**" in row
    assert "**1 of 3 fit**" in row
    assert "70 → 87 (+24.3\N{NO-BREAK SPACE}%)" in row
    fence = lines.index("```diff")
    assert "! labels kind differ: with '@team <b>|`x`'" in lines[fence + 1 :]
    assert lines[-1] == f"Compared with `git:main` ({git('rev-parse', '--short=10', 'HEAD')})."


def test_a_comment_stays_within_the_limit_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision_diff, "MAX_COMMENT_CHARACTERS", 1_800)
    names = [write(f"specs/s{number}.json", SPEC) for number in range(3)]
    git("add", ".")
    git("commit", "-qm", "many")
    for name in names:
        edit(lambda spec: spec["layers"][3].update(units=3) or spec.pop("labels"), name)
    text = jsonnx("diff", *names, "--against", "git:HEAD", "--format", "markdown", "--fail-on", "never").stdout
    assert len(text) <= 1_800
    assert text.count("<details>") == 2
    assert "Not shown: details of 1 spec." in text


def test_code_spans_hold_any_text() -> None:
    assert code_span("a") == "`a`"
    assert code_span("a|b") == "`a\\|b`"
    assert code_span("a``b") == "``` a``b ```"
    assert code_span("a\u202eb") == "`a\\u202eb`"


def test_a_revision_is_parsed() -> None:
    assert GitPath.parse("git:v1.0:a:b.json") == GitPath("v1.0", "a:b.json")
    assert str(GitPath.parse("git:HEAD~2")) == "git:HEAD~2"


def test_the_number_of_names_must_fit() -> None:
    assert "got 1 name, and no --against" in refused("specs/words.json")
    assert "got 3 names, and no --against" in refused("a", "b", "c")
    assert "has no version at" in refused("-", "--against", "git:main")
    assert "has no version at" in refused("specs", "--against", "git:main")


def test_the_output_has_the_published_schema() -> None:
    edit(
        lambda spec: spec["layers"][3].update(units=3) or spec.update(labels=["a", "b", "c"], training={"loss": "mse"})
    )
    edit(lambda spec: spec["layers"].insert(2, {"type": "ReLU"}) or spec.update(budget={"parameters": 99}))
    write("specs/bad.json", {"layers": []})
    schema = Draft202012Validator(diff_schema())
    compared = differences("specs/words.json", "specs/bad.json", "--against", "git:main", status=1)
    schema.validate(compared)
    schema.validate(differences("git:main:specs/words.json", "specs/words.json", status=1))
    assert not schema.is_valid({**compared, "more": 1})


def test_a_revision_without_its_prefix_is_told() -> None:
    assert "write --against git:main" in refused("specs/words.json", "--against", "main")
