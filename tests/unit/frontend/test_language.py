"""The specs in docs/language/index.md are valid and have the described layers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonnx.frontend.schema.editor_schema import editor_schema
from jsonnx.pipeline.check.check import check_spec
from jsonschema import Draft202012Validator

TEXT = (Path(__file__).parents[3] / "docs/language/index.md").read_text("utf-8")
SPECS = dict(re.findall(r"^## (Parameters|Blocks|Repetition)$.*?```json\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE))


def names(section: str, **options: str) -> list[str]:
    return [call.name for call in check_spec(SPECS[section], **options).network.calls]  # type: ignore[arg-type]


@pytest.mark.parametrize("section", ["Parameters", "Blocks", "Repetition"])
def test_the_specs_of_the_language_reference_are_valid(section: str) -> None:
    assert check_spec(SPECS[section]).diagnostics == []
    assert Draft202012Validator(editor_schema()).is_valid(json.loads(SPECS[section]))


def test_the_specs_expand_to_the_described_layers() -> None:
    assert names("Parameters") == ["dense", "out_64"]
    assert names("Parameters", scale="large") == ["dense", "out_256"]
    assert "stage1_sum" in names("Blocks")
    assert names("Repetition")[::2] == ["step_1_dense", "step_2_dense", "step_3_dense", "deep_1", "add"]
