"""Advice to install a runtime fits the way in which this copy of jsonnx was installed."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.providers.known_providers import runtime_packages
from jsonnx.core.system import installation

PACKAGE = Path(installation.__file__).resolve().parents[2]


class FakeDistribution:
    def __init__(self, origin: dict[str, Any] | str | None, package: Path = PACKAGE) -> None:
        self.origin, self.package = origin, package

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return json.dumps(self.origin) if isinstance(self.origin, dict) else self.origin

    def locate_file(self, name: str) -> Path:
        return self.package


def command(monkeypatch: pytest.MonkeyPatch, fake: FakeDistribution, extra: str = "cuda") -> str:
    monkeypatch.setattr(installation, "distribution", lambda name: fake)
    return installation.install_command(extra)


def test_a_copy_from_a_folder_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path = tmp_path / "with space"
    tmp_path.mkdir()
    origin = {"url": tmp_path.as_uri(), "dir_info": {}}
    assert command(monkeypatch, FakeDistribution(origin)) == f'pip install "jsonnx[cuda] @ {tmp_path.as_uri()}"'


def test_an_editable_copy_names_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = PACKAGE.parent
    origin = {"url": folder.as_uri(), "dir_info": {"editable": True}}
    assert command(monkeypatch, FakeDistribution(origin)) == f'pip install --editable "{folder}[cuda]"'


def test_a_copy_from_a_repository_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    origin = {"url": "https://example.org/jsonnx.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    expected = 'pip install "jsonnx[cpu] @ git+https://example.org/jsonnx.git@abc"'
    assert command(monkeypatch, FakeDistribution(origin), "cpu") == expected


def test_a_copy_from_an_archive_on_the_web_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    origin = {"url": "https://example.org/jsonnx-0.1.0-py3-none-any.whl", "archive_info": {}}
    assert command(monkeypatch, FakeDistribution(origin)) == f'pip install "jsonnx[cuda] @ {origin["url"]}"'


@pytest.mark.parametrize(
    "fake",
    [
        FakeDistribution({"url": "file:///nowhere/jsonnx.whl", "archive_info": {}}),
        FakeDistribution({"url": "file:///nowhere", "dir_info": {"editable": True}}),
        FakeDistribution(None),
        FakeDistribution({"url": "https://example.org/jsonnx.whl"}, Path("elsewhere/jsonnx")),
        FakeDistribution("not JSON"),
    ],
    ids=["archive that has gone", "another copy, editable", "an index", "another copy", "damaged record"],
)
def test_a_copy_whose_origin_is_unknown_gets_the_runtime_alone(
    monkeypatch: pytest.MonkeyPatch, fake: FakeDistribution
) -> None:
    assert command(monkeypatch, fake) == 'pip install "onnxruntime-gpu[cuda,cudnn]"'


def test_a_copy_that_was_not_installed_gets_the_runtime_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installation, "distribution", missing)
    assert installation.install_command("webgpu") == "pip install onnxruntime-webgpu"


def test_the_extras_are_those_of_the_project() -> None:
    import tomllib

    project = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())["project"]
    requirements = {
        extra: " ".join(name.partition(">")[0] for name in names)
        for extra, names in project["optional-dependencies"].items()
    }
    extras = [*runtime_packages(), *installation.PACKAGE_BY_EXTRA]
    expected = {extra: installation._package_requirement(extra).strip('"') for extra in extras}
    trains = {extra: f"{expected[extra]} jsonnx[tables]" for extra in runtime_packages()}
    assert requirements == expected | trains
