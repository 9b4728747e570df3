"""The fixes of all invalid specs: each makes its error vanish and brings no other; and the diagnostics as JSON."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from jsonnx.core.diagnostics import Diagnostic
from jsonnx.frontend.text.text_edits import apply_text_edits
from jsonnx.pipeline.edit.fix_file import diagnostics_of
from jsonnx.pipeline.validate.validate import validate_spec
from jsonnx.render.diagnostics.diagnostics import render
from jsonnx.render.diagnostics.diagnostics_json import diagnostics_schema
from jsonschema import Draft202012Validator

CASES = sorted(Path(__file__).parent.glob("*.json"))
LATER_CODES = {"shape-mismatch"}
"""Codes of errors that are found only once a layer is valid, so that a fix may uncover one."""

MIN_FIXES = 85
"""The number of diagnostics in the cases that have a fix, at least."""

SCHEMA = Draft202012Validator(diagnostics_schema())


def check(data: bytes, name: str) -> list[Diagnostic]:
    return [*diagnostics_of(data, name, lambda source: validate_spec(source).diagnostics)]


def key_of(diagnostic: Diagnostic) -> tuple[str, str, str]:
    return diagnostic.code, diagnostic.path, diagnostic.message


def message_of(diagnostic: Diagnostic) -> tuple[str, str]:
    """The code and message, without indexes, which change when an item is removed."""
    return diagnostic.code, re.sub(r"\[[0-9]+\]", "[]", diagnostic.message)


@cache
def diagnostics_of_case(case: Path) -> list[Diagnostic]:
    """The diagnostics of a case, whose folder is the current one."""
    return check(case.read_bytes(), case.name)


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_each_fix_removes_its_error_and_brings_no_other(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case.parent)
    data = case.read_bytes()
    diagnostics = diagnostics_of_case(case)
    for diagnostic in diagnostics:
        if diagnostic.fix is None:
            continue
        fixed = apply_text_edits(data.decode("utf-8-sig"), diagnostic.fix.text_edits)
        after = check(fixed.encode(), case.name)
        assert key_of(diagnostic) not in map(key_of, after), diagnostic.fix
        added = [
            item for item in after if item.severity == "error" and message_of(item) not in map(message_of, diagnostics)
        ]
        if diagnostic.code not in ("invalid-json", "duplicate-key"):  # the first check ended there
            assert not [key_of(item) for item in added if item.code not in LATER_CODES], diagnostic.fix


def test_the_diagnostics_of_all_cases_fit_the_published_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    published = json.loads((Path(__file__).parents[3] / "schemas" / "diagnostics.schema.json").read_text())
    assert published == diagnostics_schema()
    Draft202012Validator.check_schema(published)
    monkeypatch.chdir(CASES[0].parent)
    fix_count = 0
    for case in CASES:
        values = json.loads(render(diagnostics_of_case(case), "json"))
        assert values
        assert not [error.message for error in SCHEMA.iter_errors(values)], case.name
        fix_count += sum(value["fix"] is not None for value in values)
    assert fix_count >= MIN_FIXES


def test_a_wrong_value_does_not_fit_the_schema() -> None:
    (value,) = json.loads(render([Diagnostic("cycle", "round")], "json"))
    assert SCHEMA.is_valid([value])
    assert not SCHEMA.is_valid([value | {"line": 0}])
    assert not SCHEMA.is_valid([{key: item for key, item in value.items() if key != "fix"}])


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_ranges_are_within_the_text(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case.parent)
    lines = case.read_bytes().decode("utf-8-sig").splitlines()
    for diagnostic in diagnostics_of_case(case):
        if diagnostic.end_line is None:
            continue
        start = (diagnostic.line or 0, diagnostic.column or 0)
        end = (diagnostic.end_line, diagnostic.end_column or 0)
        assert start < end
        assert end[0] <= len(lines)
        assert end[1] <= len(lines[end[0] - 1]) + 1
