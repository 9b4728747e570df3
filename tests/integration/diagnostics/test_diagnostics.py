"""Invalid specs (NAME.json) with the expected diagnostics (NAME.txt). `--bless` rewrites the expected texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonnx.pipeline.validate.validate import validate
from jsonnx.render.diagnostics.diagnostics import position_of, render
from jsonnx.render.diagnostics.source_excerpts import read_excerpts

CASES = sorted(Path(__file__).parent.glob("*.json"))


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_an_invalid_spec_gets_the_expected_diagnostics(case: Path, request: pytest.FixtureRequest, monkeypatch) -> None:
    monkeypatch.chdir(case.parent)
    diagnostics = validate(Path(case.name))
    with open(case, "rb") as file:
        excerpts = {case.name: read_excerpts(file, filter(None, map(position_of, diagnostics)))}
    text = render(diagnostics, "text", excerpts=excerpts, files=[case.name]) + "\n"
    expected = case.with_suffix(".txt")
    if request.config.getoption("--bless", default=False):
        expected.write_text(text, encoding="utf-8", newline="\n")
    assert all(diagnostic.line and diagnostic.column for diagnostic in diagnostics)
    assert any(diagnostic.severity == "error" for diagnostic in diagnostics)
    assert text == expected.read_text(encoding="utf-8")


def test_every_expected_text_has_a_spec() -> None:
    assert {text.stem for text in CASES[0].parent.glob("*.txt")} <= {case.stem for case in CASES}
