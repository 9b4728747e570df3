"""Paths of a client stay beneath the served folder."""

from __future__ import annotations

import json
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
    """The code of the error that a path gives, as a `relative` path, a `model` or `data`; None if it is fine."""
    try:
        getattr(served, kind)(name)
    except UsageError as error:
        return error.diagnostic.code
    return None


@pytest.mark.parametrize(
    "name",
    ["..", "../secret/b.csv", "data/../../secret", "/etc/passwd", "link", "link/b.csv", "link/new.json", "", "a\0b"],
)
@pytest.mark.parametrize("kind", ["relative", "model", "data"])
def test_a_path_out_of_the_folder_is_refused(served: ServedFolder, kind: str, name: str) -> None:
    assert code_of(served, kind, name) == "unsafe-path"


def test_paths_beneath_are_relative_and_without_links(served: ServedFolder) -> None:
    assert served.relative("data/./a.csv") == "data/a.csv"
    assert served.relative("inner/a.csv") == "data/a.csv"
    assert served.relative(str(served.path / "data")) == "data"
    assert served.relative("new/folder/spec.json") == "new/folder/spec.json"
    assert served.relative("-o") == "-o"


@pytest.mark.parametrize(
    "pattern", ["../secret/*.csv", "link/*.csv", "li*/*.csv", "data/../../secret/*", "/etc/*", "*"]
)
def test_a_pattern_that_means_files_outside_is_refused(served: ServedFolder, pattern: str) -> None:
    assert code_of(served, "data", pattern) == "unsafe-path"


def test_data_may_not_have_links_out_of_the_folder(served: ServedFolder) -> None:
    assert served.data("data") == "data"
    assert served.data("data/*.csv") == "data/*.csv"
    (served.path / "data" / "deep").mkdir()
    (served.path / "data" / "deep" / "b.csv").symlink_to(served.path.parent / "secret" / "b.csv")
    assert code_of(served, "data", "data") == "unsafe-path"
    assert code_of(served, "data", "data/**/*.csv") == "unsafe-path"


@pytest.mark.parametrize(
    "info",
    [
        {"data_folder": "../../secret"},
        {"data_folder": "/etc"},
        {"data_folder": ".", "spec": "../../secret/spec.json"},
        {"data_files": {"train": "../../secret/b.csv"}},
        {"data_files": {"validation": "/etc/passwd"}},
    ],
)
def test_the_records_of_a_run_may_not_lead_out(served: ServedFolder, info: dict[str, object]) -> None:
    run = served.path / "run"
    run.mkdir()
    (run / "run.json").write_text(
        json.dumps({"data_folder": "..", "spec": "spec.json", "data_files": {"train": "../data"}})
    )
    assert served.model("run") == "run"
    (run / "run.json").write_text(json.dumps(info))
    assert code_of(served, "model", "run") == "unsafe-path"


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"data_folder": 3, "data_files": [1]}'])
def test_a_damaged_record_is_left_to_the_command(served: ServedFolder, text: str) -> None:
    (served.path / "run").mkdir()
    (served.path / "run" / "run.json").write_text(text)
    assert served.model("run") == "run"


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
