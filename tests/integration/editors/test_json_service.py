"""The published schema in the JSON language service of VS Code, for editors without the language server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonnx.frontend.schema.editor_schema import editor_schema
from jsonschema import Draft202012Validator

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PUBLISHED = ROOT / "schemas/model.schema.json"
SERVICE = "vscode-json-languageservice@5.7.2"
MAX_MILLISECONDS = 1_000
"""Twice what an editor may take, since the tests may share their processors."""
DENSE = {"type": "Dense", "name": "a", "units": 8}
LARGE_SPEC = {"inputs": {"x": {"shape": [4]}}, "layers": [DENSE | {"name": f"layer_{index}"} for index in range(490)]}


def ungrouped_schema() -> dict[str, Any]:
    """The schema with one rule for each type of layer, without groups."""
    schema = editor_schema()
    layer_call = schema["$defs"]["layer_call"]
    rules = [rule for group in layer_call["allOf"] for rule in group["then"]["allOf"]]
    return schema | {"$defs": schema["$defs"] | {"layer_call": layer_call | {"allOf": rules}}}


@pytest.mark.parametrize("type_", ["Dense", "ops.image.resize", "std.MLP", "Dens", 5, None])
def test_the_groups_of_rules_accept_what_the_rules_accept(type_: Any) -> None:
    for layer in (
        {"type": type_},
        {"type": type_, "units": 3, "size": [2, 2]},
        {"type": type_, "unit": 3},
        {"units": 3},
    ):
        document = {"inputs": {"x": {"shape": [4]}}, "layers": [layer]}
        grouped, ungrouped = (Draft202012Validator(schema) for schema in (editor_schema(), ungrouped_schema()))
        assert {error.message for error in grouped.iter_errors(document)} == {
            error.message for error in ungrouped.iter_errors(document)
        }


@pytest.fixture(scope="module")
def service_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("node")
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), SERVICE]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def ask(service_folder: Path, *arguments: str | Path) -> dict[str, Any]:
    environment = {**os.environ, "NODE_FOLDER": str(service_folder)}
    command = ["node", str(HERE / "json_service.mjs"), *map(str, arguments)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_completion_hover_and_errors_take_less_than_half_a_second(service_folder: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    large.write_text(json.dumps(LARGE_SPEC, indent=1).replace("{\n   ", "{").replace(",\n   ", ", "))
    for spec in (large, ROOT / "samples/mnist_cnn.json"):
        result = ask(service_folder, "times", PUBLISHED, spec)
        print(spec.name, result)
        assert result["completions"] > 300
        assert result["faults"] == 0
        assert "The type of the layer" in json.dumps(result["hover"])
        assert max(result["milliseconds"].values()) < MAX_MILLISECONDS


@pytest.mark.slow
def test_the_groups_of_rules_keep_completions_and_hovers(service_folder: Path, tmp_path: Path) -> None:
    ungrouped = tmp_path / "ungrouped.schema.json"
    ungrouped.write_text(json.dumps(ungrouped_schema()))
    samples = sorted((ROOT / "samples").glob("*.json"))
    result = ask(service_folder, "compare", ungrouped, PUBLISHED, *samples)
    assert result["positions"] > 5 * len(samples)
    assert result["completions"] > result["positions"]
    assert result["differences"] == []
