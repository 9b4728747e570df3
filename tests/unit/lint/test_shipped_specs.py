"""The samples, and the specs in the documentation, have no findings but those that they silence with a reason."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.diagnostics import Diagnostic
from jsonnx.pipeline.check.check import Spec
from jsonnx.pipeline.validate.lint_spec import LintOptions
from jsonnx.pipeline.validate.validate import ValidationOptions, validate_spec
from jsonnx.sections.lint_codes import LINT_CODES

ROOT = Path(__file__).parents[3]
SAMPLES = sorted((ROOT / "samples").glob("*.json"))
PAGES = sorted(
    page
    for page in (ROOT / "docs").rglob("*.md")
    if page.name != "lint.md" and page.relative_to(ROOT / "docs").parts[0] not in ("reference", "project")
)
JSON_BLOCK = re.compile(r"```json[^\n]*\n(.*?)```", re.DOTALL)


def findings(spec: Spec) -> list[Diagnostic]:
    diagnostics = validate_spec(spec, ValidationOptions(lint_options=LintOptions())).diagnostics
    return [diagnostic for diagnostic in diagnostics if diagnostic.code in LINT_CODES]


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.stem for sample in SAMPLES])
def test_a_sample_has_no_finding_that_it_does_not_silence(sample: Path) -> None:
    assert findings(sample) == []


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.stem for sample in SAMPLES])
def test_a_sample_silences_with_a_reason(sample: Path) -> None:
    silences = json.loads(sample.read_text("utf-8")).get("lint", {}).get("ignore", [])
    assert all(isinstance(silence, dict) and silence.get("reason") for silence in silences)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_the_specs_of_a_page_have_no_findings(page: Path) -> None:
    for spec in specs_of(page):
        assert findings(spec) == [], spec


def specs_of(page: Path) -> list[dict[str, Any]]:
    """The specs of a page that are complete and have no reason to be wrong."""
    blocks = []
    for text in JSON_BLOCK.findall(page.read_text("utf-8")):
        try:
            value = json.loads(text)
        except ValueError:
            continue
        blocks += [value] if isinstance(value, dict) and {"inputs", "layers"} <= value.keys() else []
    return blocks
