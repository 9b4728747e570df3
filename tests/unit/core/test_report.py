"""Reports count and limit diagnostics."""

from __future__ import annotations

from jsonnx.core.diagnostics import Report
from jsonnx.core.limits import MAX_DIAGNOSTICS


def test_a_diagnostic_that_is_added_again_does_not_count() -> None:
    report = Report()
    for _ in range(MAX_DIAGNOSTICS + 1):
        report.add("cycle", ("layers", 0), "the same")
    assert not report.is_full
    report.add("cycle", ("layers", 1), "another")
    assert [diagnostic.message for diagnostic in report] == ["the same", "another"]


def test_a_full_report_says_that_there_are_more_errors_once() -> None:
    report = Report()
    for index in range(MAX_DIAGNOSTICS + 9):
        report.add("cycle", ("layers", index), "a cycle")
    assert report.is_full
    assert [diagnostic.code for diagnostic in report].count("not-listed") == 1
    assert len(list(report)) == MAX_DIAGNOSTICS + 1


def test_a_note_comes_last_and_is_no_error() -> None:
    report = Report(locator=lambda path, key: None)
    report.add("not-checked", ("layers",), "not checked", severity="note")
    assert not report.has_errors()
    report.add("cycle", ("layers", 0), "a cycle")
    assert [diagnostic.severity for diagnostic in report] == ["error", "note"]
