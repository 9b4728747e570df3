"""The folders in which a spec may name data files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonnx.core.diagnostics import UsageError
from jsonnx.core.files.files import UnsafePath
from jsonnx.core.files.spec_folders import SpecFolders


def test_a_single_root_need_not_be_in_a_list(tmp_path: Path) -> None:
    """Otherwise each character of its path would be a folder, the root of the file system among them."""
    data, other = tmp_path / "data", tmp_path / "other"
    data.mkdir()
    other.mkdir()
    assert SpecFolders.of(tmp_path, str(data)).roots == (data,)
    assert SpecFolders.of(tmp_path, data).roots == (data,)
    assert SpecFolders.of(tmp_path, [str(data), other]).roots == (data, other)


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no folder .*nope"):
        SpecFolders.of(tmp_path, [tmp_path / "nope"])


def test_a_path_may_lead_into_a_root_and_nowhere_else(tmp_path: Path) -> None:
    """By `..`, by a link in the spec's folder, in the root, or to a folder."""
    specs, data, secret = (tmp_path / name for name in ("specs", "data", "secret"))
    for folder in (specs, data, secret):
        folder.mkdir()
        (folder / f"{folder.name}.csv").write_text(folder.name)
    (specs / "file.csv").symlink_to("../data/data.csv")
    (specs / "folder").symlink_to(data)
    (data / "latest.csv").symlink_to("data.csv")
    (specs / "bad.csv").symlink_to(secret / "secret.csv")
    (data / "bad.csv").symlink_to(secret / "secret.csv")
    folders = SpecFolders.of(specs, data)
    for name in ("../data/data.csv", "file.csv", "folder/data.csv", "latest.csv", str(data / "latest.csv")):
        folders.check(name)
        with folders.open(name) as file:
            assert file.read() == b"data", name
    refused = (
        "bad.csv",
        "../secret/secret.csv",
        "../data/bad.csv",
        "folder/bad.csv",
        str(data / "bad.csv"),
        "..",
        "\0",
    )
    for name in refused:
        with pytest.raises(UnsafePath):
            folders.open(name)
        with pytest.raises(UnsafePath):
            folders.check(name)
    for name in ("file.csv", "../data/data.csv"):
        with pytest.raises(UnsafePath):
            SpecFolders.of(specs, ()).open(name)


def sweep_from_a_stranger(folder: Path, spec_folder: str, spec: str) -> Path:
    sweep = folder / "sweep"
    sweep.mkdir(parents=True)
    (sweep / "sweep.json").write_text(json.dumps({"spec": "spec.json", "spec_folder": spec_folder}))
    (sweep / "spec.json").write_text(spec)
    return sweep


def test_a_sweep_folder_leads_to_no_folder_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside, here = tmp_path / "outside", tmp_path / "here"
    for folder in (outside, here):
        folder.mkdir()
    spec = '{"layers": []}'
    sweep = sweep_from_a_stranger(here, "../../outside", spec)
    monkeypatch.chdir(here)
    assert SpecFolders.of(sweep, ()).roots == ()
    (outside / "spec.json").write_text('{"layers": [1]}')
    assert SpecFolders.of(sweep, ()).roots == ()
    (outside / "spec.json").write_text(spec)
    assert SpecFolders.of(sweep, ()).roots == (outside.resolve(),)
    monkeypatch.chdir(tmp_path)  # the folder is beneath the current one
    (outside / "spec.json").unlink()
    assert SpecFolders.of(sweep, ()).roots == (outside.resolve(),)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"spec": 1, "spec_folder": "."}', '{"spec": "a", "spec_folder": "\\u0000"}']
)
def test_a_damaged_sweep_folder_has_no_folder_of_data(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.json").write_text(text)
    assert SpecFolders.of(tmp_path, ()).roots == ()
