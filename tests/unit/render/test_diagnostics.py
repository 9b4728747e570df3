"""Diagnostics in every output format; tests/integration/diagnostics checks the wording of the text format."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from jsonnx.core.diagnostics import Diagnostic, Note, Position
from jsonnx.core.fixes import Edit, Fix, TextEdit
from jsonnx.render.diagnostics.diagnostics import (
    FORMATS,
    MAX_DIAGNOSTICS_PER_FILE,
    ShownDiagnostics,
    escape_invisible,
    render,
)
from jsonnx.render.diagnostics.source_excerpts import Excerpt
from jsonnx.render.explanations import explanation

ODD = "a,b: 100%\u202e\x00"

ERROR = Diagnostic(
    "unknown-key",
    f"Dense has no key {ODD}",
    "$.layers[0].unit",
    "dir/my spec.json",
    2,
    3,
    help="did you mean 'units'?",
    notes=(Note("it is here", "$.layers", "dir/my spec.json", 1, 5),),
)
UNCHECKED = Diagnostic("not-checked", "not checked: shapes", "$.layers", "a", 1, 1, severity="note")
DOUBT = Diagnostic("not-exact", "not the same", file="other.json", severity="warning")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("diagnostics", [[], [ERROR], [DOUBT], [ERROR, DOUBT, Diagnostic("cycle", "round and round")]])
def test_every_format_is_rendered_without_invisible_characters(format: str, diagnostics: list) -> None:
    text = render(
        diagnostics,
        format,
        excerpts={"dir/my spec.json": {Position(2, 3): Excerpt("\x00\x1b[31m {}")}},
        files=["fine.json"],
    )
    assert text.isascii()
    assert text.replace("\n", "").isprintable()


def test_text_shows_the_source_line_and_marks_the_token() -> None:
    text = render(
        [ERROR],
        "text",
        excerpts={"dir/my spec.json": {Position(2, 3): Excerpt('\t "unit": 3')}},
        files=["dir/my spec.json", "b.json"],
    )
    assert text.splitlines() == [
        r"error[unknown-key]: Dense has no key a,b: 100%\u202e\x00",
        " --> dir/my spec.json:2:3",
        "  |",
        '2 |   "unit": 3',
        "  |   ^^^^^^",
        "  = note: it is here (dir/my spec.json:1:5)",
        "  = help: did you mean 'units'?",
        "",
        "1 error in 1 of 2 files",
    ]


def test_text_is_rendered_without_source_line_or_position() -> None:
    assert render([DOUBT], "text") == ("warning[not-exact]: not the same\n--> other.json\n\n1 warning in 1 file")
    assert render([Diagnostic("cycle", "round", "$.layers[1]")], "text") == ("error[cycle]: round\n--> $.layers[1]")
    assert render([Diagnostic("cycle", "round")], "text") == "error[cycle]: round"


@pytest.mark.parametrize(
    ("files", "verdict"),
    [([], "nothing is wrong"), (["a"], "1 file is fine"), (["a", "b"], "2 files are fine")],
)
def test_text_reports_valid_files(files: list[str], verdict: str) -> None:
    assert render([], "text", files=files) == verdict


def test_text_shows_a_limited_number_per_file_and_counts_the_rest() -> None:
    many = [
        Diagnostic("cycle", f"number {index}", file=file)
        for file in "ab"
        for index in range(MAX_DIAGNOSTICS_PER_FILE + 5)
    ]
    text = render(many, "text", files=["a", "b"])
    assert text.count("error[cycle]") == 2 * MAX_DIAGNOSTICS_PER_FILE
    assert "and 5 more in a\n" in text
    assert text.endswith("\n\n50 errors in 2 files")
    text = render(many, "text", files=["a", "b"], shown=ShownDiagnostics(option="--all"))
    assert "and 5 more in a; --all shows them" in text
    assert render(many, "text", shown=ShownDiagnostics(limit=None)).count("error[cycle]") == len(many)


def test_a_note_is_always_shown_without_a_source_line_and_is_not_counted() -> None:
    many = [Diagnostic("cycle", f"number {index}", file="a") for index in range(MAX_DIAGNOSTICS_PER_FILE + 5)]
    excerpts = {"a": {Position(1, 1): Excerpt("{")}}
    text = render([*many, UNCHECKED], "text", excerpts=excerpts, files=["a"])
    assert "note[not-checked]: not checked: shapes\n --> a:1:1\n\nand 5 more in a\n\n25 errors in 1 file" in text
    assert render([UNCHECKED], "github").startswith("::notice file=a")
    assert json.loads(render([UNCHECKED], "sarif"))["runs"][0]["results"][0]["level"] == "note"


EDITED = Diagnostic("cycle", "here", file="a b.json", line=1, column=2, end_line=1, end_column=5)


def test_github_gets_the_end_of_a_range_within_a_line() -> None:
    assert render([EDITED], "github") == "::error file=a b.json,line=1,col=2,endLine=1,endColumn=5,title=cycle::here"
    assert "end" not in render([replace(EDITED, end_line=2)], "github")


def test_fixes_are_written_as_json_patch_and_as_edits_of_the_text() -> None:
    edit = TextEdit(1, 4, Position(1, 2), Position(1, 5), '"x"')
    fix = Fix("Write it", (Edit("move", ("a/b", 0), new_key="c"), Edit("add", ("d",), None)), False, (edit,))
    (value,) = json.loads(render([replace(EDITED, fix=fix)], "json"))
    assert value["fix"] == {
        "title": "Write it",
        "safe": False,
        "patch": [
            {"op": "move", "from": "/a~1b/0", "path": "/a~1b/c"},
            {"op": "add", "path": "/d", "value": None},
        ],
        "edits": [
            {
                "start": {"line": 1, "column": 2, "offset": 1},
                "end": {"line": 1, "column": 5, "offset": 4},
                "text": '"x"',
            }
        ],
    }
    (result,) = json.loads(render([replace(EDITED, fix=fix)], "sarif"))["runs"][0]["results"]
    (change,) = result["fixes"][0]["artifactChanges"]
    assert change["artifactLocation"] == {"uri": "a%20b.json"}
    assert change["replacements"][0]["insertedContent"] == {"text": '"x"'}
    assert change["replacements"][0]["deletedRegion"]["endColumn"] == 5


def test_carets_are_aligned_after_wide_and_combining_characters() -> None:
    source = '{"層": "e\u0301", "x": 1}'
    diagnostic = Diagnostic("cycle", "here", file="f", line=1, column=source.index('"x"') + 1)
    line, caret = render(
        [diagnostic], "text", excerpts={"f": {Position(1, diagnostic.column): Excerpt(source)}}
    ).splitlines()[3:5]
    assert line == f"1 | {source}"
    assert caret == "  |             ^^^"


def test_color_is_added_only_on_request() -> None:
    plain = render([ERROR], "text", color=False)
    colored = render([ERROR], "text", color=True)
    assert "\x1b[1;31merror[unknown-key]\x1b[0m" in colored
    assert "\x1b" not in plain


def test_json_is_a_list_of_objects_with_the_same_keys() -> None:
    entries = json.loads(render([ERROR, DOUBT], "json"))
    keys = {"code", "severity", "message", "file", "line", "column", "end_line", "end_column", "path", "help", "notes"}
    assert all(set(entry) == {*keys, "expected", "found", "fix"} for entry in entries)
    assert entries[0]["notes"] == [
        {"message": "it is here", "path": "$.layers", "file": "dir/my spec.json", "line": 1, "column": 5}
    ]
    assert entries[0]["message"] == ERROR.message
    assert json.loads(render([], "json")) == []


def test_github_commands_are_escaped() -> None:
    odd = Diagnostic("cycle", "50%\nof it", file="a,b:c.json", line=1, column=2)
    assert render([odd], "github") == "::error file=a%2Cb%3Ac.json,line=1,col=2,title=cycle::50%25\\nof it"
    lines = render([ERROR, DOUBT], "github").splitlines()
    assert lines[0].endswith("%0Anote: it is here (dir/my spec.json:1:5)%0Ahelp: did you mean 'units'?")
    assert lines[1] == "::warning file=other.json,title=not-exact::not the same"


def test_sarif_has_rules_with_help_and_results_with_positions() -> None:
    run = json.loads(render([ERROR, DOUBT], "sarif"))["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["not-exact", "unknown-key"]
    assert rules[1]["help"]["text"] == explanation("unknown-key").plain_text()
    first, second = run["results"]
    assert (first["ruleId"], first["ruleIndex"], first["level"]) == ("unknown-key", 1, "error")
    assert second["level"] == "warning"
    location = first["locations"][0]["physicalLocation"]
    assert location == {
        "artifactLocation": {"uri": "dir/my%20spec.json"},
        "region": {"startLine": 2, "startColumn": 3},
    }
    assert first["relatedLocations"][0]["message"]["text"] == "it is here"


def test_junit_has_one_case_per_file_and_fails_only_for_errors() -> None:
    root = ElementTree.fromstring(render([ERROR, DOUBT], "junit", files=["fine.json"]))
    assert (root.get("tests"), root.get("failures")) == ("3", "1")
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert list(cases) == ["fine.json", "dir/my spec.json", "other.json"]
    assert len(cases["fine.json"]) == 0
    assert "did you mean" in (cases["dir/my spec.json"].findtext("failure") or "")
    assert cases["other.json"].find("failure") is None


def test_only_invisible_characters_are_escaped() -> None:
    assert escape_invisible("naïve 日本 ok") == "naïve 日本 ok"
    assert escape_invisible("a\tb\u200b\ud800") == r"a\tb\u200b\ud800"
