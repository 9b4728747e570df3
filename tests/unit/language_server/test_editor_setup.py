"""The set-ups of editors in docs/guides/tools/editors.md, and the extension for VS Code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

from .lsp_client import REPOSITORY

EXTENSION = REPOSITORY / "editors" / "vscode"
COMMAND = ["jsonnx", "lsp"]

LOAD_WITHOUT_EDITOR = """
const Module = require("module");
const load = Module._load;
const stub = () => new Proxy(function () {}, {
  get: (target, key) => key === Symbol.toPrimitive ? () => "" : key === "prototype" ? target.prototype : stub(),
  apply: () => stub(),
  construct: () => ({}),
});
Module._load = function (name, ...rest) { return name === "vscode" ? stub() : load.call(this, name, ...rest); };
console.log(Object.keys(require(process.argv[1])).join());
"""


def block_of(language: str) -> str:
    """The code block of a language in docs/guides/tools/editors.md."""
    text = (REPOSITORY / "docs/guides/tools/editors.md").read_text()
    found = re.search(rf"```{language} no-run\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_documented_set_ups_start_the_server() -> None:
    helix = tomllib.loads(block_of("toml"))
    server = helix["language-server"]["jsonnx"]
    assert [server["command"], *server["args"]] == COMMAND
    assert "jsonnx" in helix["language"][0]["language-servers"]
    zed = json.loads(block_of("json"))["lsp"]["json-language-server"]["binary"]
    assert [zed["path"], *zed["arguments"]] == COMMAND
    assert '"jsonnx", "lsp"' in block_of("lua")
    manifest = json.loads((EXTENSION / "package.json").read_text())
    settings = manifest["contributes"]["configuration"]["properties"]
    assert settings["jsonnx.command"]["default"] == COMMAND
    lock = json.loads((EXTENSION / "package-lock.json").read_text())
    assert lock["packages"][""]["dependencies"] == manifest["dependencies"]
    assert lock["packages"][""]["devDependencies"] == manifest["devDependencies"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node.js with npm")
def test_the_extension_is_packaged_and_loads_what_it_requires(tmp_path: Path) -> None:
    folder = tmp_path / "vscode"
    shutil.copytree(EXTENSION, folder, ignore=shutil.ignore_patterns("node_modules", "*.vsix"))
    for command in (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "package"]):
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    with zipfile.ZipFile(folder / "jsonnx.vsix") as package:
        package.extractall(tmp_path / "installed")
    names = {path.name for path in (tmp_path / "installed" / "extension").iterdir()}
    assert {"extension.js", "package.json", "readme.md", "node_modules"} <= names
    script = tmp_path / "installed" / "extension" / "extension.js"
    loaded = subprocess.run(["node", "-e", LOAD_WITHOUT_EDITOR, str(script)], capture_output=True, text=True)
    assert loaded.stdout.strip() == "activate,deactivate", loaded.stderr
