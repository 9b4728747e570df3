"""SARIF and GitLab's Code Quality: schema, limits, positions, and fingerprints that stay the same when lines move."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.diagnostics import Diagnostic, Note, Position
from jsonnx.core.fixes import Fix, TextEdit
from jsonnx.render.diagnostics import sarif
from jsonnx.render.diagnostics.diagnostics import render
from jsonnx.render.explanations import CODES, page_of
from jsonschema import Draft4Validator
from support.commands import jsonnx

FOLDER = Path(__file__).parent
SPECS = sorted((FOLDER.parent / "diagnostics").glob("*.json"))
SCHEMA = Draft4Validator(json.loads((FOLDER / "sarif-2.1.0-rtm.5.json").read_text("utf-8")))
"""The schema of SARIF 2.1.0 in the last revision before the standard, from Microsoft's package jest-sarif (MIT)."""

GITHUB_MAX_GZIP_BYTES = 10 << 20
GITLAB_KEYS = {"description", "check_name", "fingerprint", "severity", "location"}
GITLAB_SEVERITIES = {"info", "minor", "major", "critical", "blocker"}
TWO_ERRORS = """{
  "inputs": {"x": {"shape": [4]}},
  "layers": [
    {"type": "Dense", "unit": 3},
    {"type": "Dense", "unit": 3}
  ]
}
"""


def sarif_run(diagnostics: list[Diagnostic]) -> dict[str, Any]:
    log = json.loads(render(diagnostics, "sarif"))
    assert not [*SCHEMA.iter_errors(log)]
    return log["runs"][0]


def test_sarif_of_all_specs_with_errors_fits_the_schema() -> None:
    output = jsonnx("validate", "--format", "sarif", *map(str, SPECS), status=1).output
    log = json.loads(output)
    assert not [error.message for error in SCHEMA.iter_errors(log)]
    results = log["runs"][0]["results"]
    assert len(results) > len(SPECS)
    for result in results:
        region = result["locations"][0]["physicalLocation"]["region"]
        assert region["startLine"] >= 1
        start = (region["startLine"], region.get("startColumn", 1))
        assert (region.get("endLine", start[0]), region.get("endColumn", start[1] + 1)) > start
    fingerprints = [result["partialFingerprints"]["jsonnxDiagnostic/v1"] for result in results]
    assert max(Counter(fingerprints).values()) == 1


def test_a_wrong_log_does_not_fit_the_schema() -> None:
    log = json.loads(render([Diagnostic("cycle", "round", file="a.json", line=1)], "sarif"))
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert [*SCHEMA.iter_errors(log)]


def test_the_rules_of_all_codes_fit_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JSONNX_DOCS_URL", "https://docs.example/en/")
    run = sarif_run([Diagnostic(code, "message", file="a.json", line=1) for code in CODES])
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted(CODES)
    for rule in rules:
        assert rule["helpUri"] == f"https://docs.example/en/{page_of(rule['id'])}.html"
        assert len(rule["fullDescription"]["text"]) <= 1024


def test_sarif_keeps_the_limits_of_github(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of the largest number of results, with long messages and notes; errors are kept before warnings."""
    monkeypatch.setattr(sarif, "MAX_RESULTS", sarif.MAX_RESULTS // 100)
    notes = tuple(Note("defined here " * 10, "$.layers[0]", "a.json", index + 1, 1) for index in range(3))
    warnings = [Diagnostic("cycle", "w" * 200, file="a.json", line=1, severity="warning") for _ in range(100)]
    errors = [
        Diagnostic("unknown-key", f"{index} {'e' * 200}", "$", "a.json", index + 1, 1, notes=notes)
        for index in range(sarif.MAX_RESULTS)
    ]
    text = render([*warnings, *errors], "sarif")
    run = json.loads(text)["runs"][0]
    assert len(run["results"]) == sarif.MAX_RESULTS
    assert {result["level"] for result in run["results"]} == {"error"}
    assert "100 further" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert 100 * len(gzip.compress(text.encode(), 1)) < GITHUB_MAX_GZIP_BYTES


def test_sarif_has_the_range_and_the_fix_of_a_error() -> None:
    edit = TextEdit(40, 46, Position(4, 23), Position(4, 29), '"units"')
    fix = Fix("Rename the key to 'units'", text_edits=(edit,))
    error = Diagnostic("unknown-key", "no key", "$", "a b.json", 4, 23, end_line=4, end_column=29, fix=fix)
    [result] = sarif_run([error])["results"]
    region = {"startLine": 4, "startColumn": 23, "endLine": 4, "endColumn": 29}
    assert result["locations"][0]["physicalLocation"]["region"] == region
    [entry] = result["fixes"]
    assert entry["description"]["text"] == fix.title
    assert entry["artifactChanges"] == [
        {
            "artifactLocation": {"uri": "a%20b.json"},
            "replacements": [{"deletedRegion": region, "insertedContent": {"text": '"units"'}}],
        }
    ]


def test_a_error_without_a_position_is_at_the_first_line() -> None:
    [result] = sarif_run([Diagnostic("unreadable-file", "cannot read", file="a b.json")])["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}
    [result] = sarif_run([Diagnostic("unreadable-file", "cannot read")])["results"]
    assert "physicalLocation" not in result["locations"][0]


@pytest.mark.parametrize("format", ["sarif", "gitlab"])
def test_fingerprints_are_distinct_and_do_not_change_when_lines_move(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = tmp_path / "spec.json"

    def fingerprints(file: str | Path) -> list[str]:
        report = json.loads(jsonnx("validate", "--format", format, str(file), status=1).output)
        if format == "gitlab":
            return [entry["fingerprint"] for entry in report]
        return [result["partialFingerprints"]["jsonnxDiagnostic/v1"] for result in report["runs"][0]["results"]]

    spec.write_text(TWO_ERRORS)
    before = fingerprints("spec.json")
    assert len({*before}) == 2
    assert fingerprints("./spec.json") == fingerprints(spec) == before
    spec.write_text(TWO_ERRORS.replace('"layers": [', '"layers": [\n\n    {"type": "ReLU"},'))
    assert fingerprints("spec.json") == before


def test_code_quality_has_what_gitlab_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.json").write_text(TWO_ERRORS)
    entries = json.loads(jsonnx("validate", "--format", "gitlab", "./spec.json", status=1).output)
    assert [entry["location"] for entry in entries] == [
        {"path": "spec.json", "lines": {"begin": line}} for line in (4, 5)
    ]
    assert entries[0]["description"] == "Dense has no key 'unit'; did you mean 'units'?"
    for entry in entries:
        assert entry.keys() == GITLAB_KEYS
        assert entry["severity"] in GITLAB_SEVERITIES
    assert json.loads(render([], "gitlab")) == []
