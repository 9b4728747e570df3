"""Paths of a client stay beneath the served folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.mcp_server.served_folder import ServedFolder


@pytest.fixture
def served(tmp_path: Path) -> ServedFolder:
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    (root / "data" / "a.csv").write_text("x\n")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "b.csv").write_text("x\n")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "inner").symlink_to("data")
    return ServedFolder(root)


def code_of(served: ServedFolder, kind: str, name: str) -> str | None:
    """The code of the error that a path gives, as a `relative` path or `data`; None if it is fine."""
    try:
        getattr(served, kind)(name)
    except UsageError as error:
        return error.diagnostic.code
    return None


@pytest.mark.parametrize(
    "name",
    [
        *("..", "../secret/b.csv", "data/../../secret", "/etc/passwd", "link", "link/b.csv", "link/new.json"),
        *("", "a\0b", "\ud800", "a" * 300_000),
    ],
    ids=lambda name: name[:20].encode("ascii", "backslashreplace").decode(),
)
@pytest.mark.parametrize("kind", ["relative", "data"])
def test_a_path_out_of_the_folder_is_refused(served: ServedFolder, kind: str, name: str) -> None:
    assert code_of(served, kind, name) == "unsafe-path"


def test_paths_beneath_are_relative_and_without_links(served: ServedFolder) -> None:
    assert served.relative("data/./a.csv") == "data/a.csv"
    assert served.relative("inner/a.csv") == "data/a.csv"
    assert served.relative(str(served.path / "data")) == "data"
    assert served.relative("new/folder/spec.json") == "new/folder/spec.json"
    assert served.relative("-o") == "-o"


def test_a_pattern_is_left_to_the_command(served: ServedFolder) -> None:
    assert served.data("data/*.csv") == "data/*.csv"
    assert served.data("inner") == "data"


@pytest.mark.parametrize("name", ["a.json", "data/new/a.json", "a.b.JSON"])
def test_a_file_to_write(served: ServedFolder, name: str) -> None:
    assert served.output(name, [".json"]) == name


@pytest.mark.parametrize(
    "name",
    [
        *(".vscode/tasks.json", "data/.git/a.json", ".a.json", "run/execution.json", "run/deep/a.json"),
        *("sweep/best.json", "sweep/trials/0001.json", "link/a.json", "../a.json"),
    ],
)
def test_a_file_that_is_hidden_or_belongs_to_a_run_is_not_written(served: ServedFolder, name: str) -> None:
    for folder, file in (("run", "run.json"), ("sweep", "sweep.json")):
        (served.path / folder).mkdir()
        (served.path / folder / file).write_text("{}")
    with pytest.raises(UsageError, match="unsafe-path"):
        served.output(name, [".json"])


@pytest.mark.parametrize("name", ["d2.csv", "tasks", "a.json.sh"])
def test_a_file_to_write_has_one_of_the_suffixes(served: ServedFolder, name: str) -> None:
    with pytest.raises(UsageError, match="bad-option"):
        served.output(name, [".json"])


def test_the_served_folder_exists(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        ServedFolder(tmp_path / "absent")


def test_the_configuration_of_rules_lies_beneath_too(served: ServedFolder) -> None:
    (served.path.parent / "jsonnx.toml").write_text("")
    assert served.configuration("data/spec.json") is None
    (served.path / "jsonnx.toml").write_text("")
    assert served.configuration("data/spec.json") == served.configuration(None) == "jsonnx.toml"
    (served.path / "data" / "jsonnx.toml").symlink_to(served.path.parent / "jsonnx.toml")
    with pytest.raises(UsageError, match="unsafe-path"):
        served.configuration("data/spec.json")
