"""The folder from which Docker builds a server, and the wheel in it."""

from __future__ import annotations

import base64
import json
import os
import stat
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from jsonnx import Session, compile
from jsonnx.server.deployment import wheel
from jsonnx.server.deployment.wheel import package_wheel
from support.commands import SOURCE, jsonnx

SPEC = {
    "inputs": {"x": {"shape": [2]}},
    "layers": [{"type": "Dense", "name": "y", "units": 1}],
    "training": {
        "loss": "mse",
        "optimizer": "sgd",
        "epochs": 1,
        "data": {"train": "data.csv", "x": {"x": ["a", "b"]}, "y": "y"},
    },
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_folder_has_what_an_image_needs_and_nothing_of_the_training() -> None:
    Path("data.csv").write_text("a,b,y\n1,2,3\n4,5,6\n")
    Path("spec.json").write_text(json.dumps(SPEC))
    jsonnx("train", "spec.json", "-o", "run", "--quiet")
    old = os.umask(0o077)
    try:
        jsonnx("export", "--docker", "run", "-o", "image")
    finally:
        os.umask(old)
    name, _ = package_wheel("serve")
    files = {".dockerignore", ".gitignore", "Dockerfile", "compose.yaml", "models", "prometheus.yml", "token.txt", name}
    assert set(os.listdir("image")) == files
    version = Path("image/models/run/1")
    served = set(os.listdir(version))
    assert served >= {"model.onnx", "run.json", "execution.json", "spec.json"}
    assert served.isdisjoint({"weights.safetensors", "checkpoints", "metrics.jsonl", "spec.source.json", ".lock"})
    assert (version / "model.onnx").read_bytes() == Path("run/model.onnx").read_bytes()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in Path("image").rglob("*") if path.is_file()}
    assert modes == {0o644}  # the user of the container owns none of them
    assert stat.S_IMODE(Path("image").stat().st_mode) == 0o700  # the token is in it
    assert len(Path("image/token.txt").read_text().strip()) >= 43


def test_the_dockerfile_is_short_and_its_user_has_no_rights() -> None:
    compile(SPEC).save("net.onnx")
    jsonnx("export", "--docker", "net.onnx", "-o", "image", "--name", "m")
    lines = Path("image/Dockerfile").read_text().splitlines()
    assert len(lines) < 20
    assert all(
        line.split()[0] in ["#", "FROM", "COPY", "RUN", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "CMD"] for line in lines
    )
    (user,) = (line.split()[1] for line in lines if line.startswith("USER"))
    assert user == "65532:65532"
    (command,) = (json.loads(line.partition(" ")[2]) for line in lines if line.startswith("CMD"))
    assert command[:3] == ["jsonnx", "serve", "/models/m"]
    assert Session("image/models/m/1").run([[1.0, 2.0]]).keys() == {"y"}
    tokens = []
    for _ in range(2):
        jsonnx("export", "--docker", "net.onnx", "-o", "image", "--force")
        tokens.append(Path("image/token.txt").read_text())
    assert tokens[0] != tokens[1]
    assert "file-exists" in jsonnx("export", "--docker", "net.onnx", "-o", "image", status=2).stderr


def test_the_wheel_has_all_files_of_the_package_and_their_digests() -> None:
    name, content = package_wheel("serve")
    assert package_wheel("serve") == (name, content)
    Path(name).write_bytes(content)
    with zipfile.ZipFile(name) as archive:
        files = {item: archive.read(item) for item in archive.namelist()}
    package = SOURCE / "jsonnx"
    expected = {
        path.relative_to(SOURCE).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    folder = name.removesuffix("-py3-none-any.whl") + ".dist-info"
    assert {item for item in files if not item.startswith(folder)} == expected
    record = files.pop(f"{folder}/RECORD").decode().splitlines()
    digests = {path: base64.urlsafe_b64encode(sha256(data).digest()) for path, data in files.items()}
    rows = [f"{path},sha256={digests[path].decode().rstrip('=')},{len(data)}" for path, data in files.items()]
    assert record == [*rows, f"{folder}/RECORD,,"]
    assert b"jsonnx = jsonnx.cli:main" in files[f"{folder}/entry_points.txt"]
    assert b"Provides-Extra: serve" in files[f"{folder}/METADATA"]
    assert f"{folder}/licenses/LICENSE" in files


def test_a_package_without_the_extra_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    compile(SPEC).save("net.onnx")
    monkeypatch.setattr(wheel, "PACKAGE", "no-such-package")
    result = jsonnx("export", "--docker", "net.onnx", "-o", "image", status=2)
    assert "error[missing-package]" in result.stderr
    assert "pip install -e ." in result.stderr
    assert os.listdir() == ["net.onnx"]
