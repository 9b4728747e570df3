"""The first specs of pages of docs/language are valid and have the described layers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonnx.frontend.schema.editor_schema import editor_schema
from jsonnx.pipeline.check.check import check_spec
from jsonschema import Draft202012Validator

PAGES = Path(__file__).parents[3] / "docs/language"
each_page = pytest.mark.parametrize("page", ["parameters", "blocks", "repetition"])


def first_spec(page: str) -> str:
    (text,) = re.findall(r"\A.*?```json[^\n]*\n(.*?)```", (PAGES / f"{page}.md").read_text("utf-8"), re.DOTALL)
    return str(text)


def names(page: str, **options: str) -> list[str]:
    return [call.name for call in check_spec(first_spec(page), **options).network.calls]  # type: ignore[arg-type]


@each_page
def test_the_specs_of_the_language_reference_are_valid(page: str) -> None:
    assert check_spec(first_spec(page)).diagnostics == []
    assert Draft202012Validator(editor_schema()).is_valid(json.loads(first_spec(page)))


def test_the_specs_expand_to_the_described_layers() -> None:
    assert names("parameters") == ["dense", "out_64"]
    assert names("parameters", scale="large") == ["dense", "out_256"]
    assert "stage1_sum" in names("blocks")
    assert names("repetition")[::2] == ["step_1_dense", "step_2_dense", "step_3_dense", "deep_1", "add"]
