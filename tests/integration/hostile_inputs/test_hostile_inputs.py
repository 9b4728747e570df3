"""Each row of `rows.py` is checked: by an input with its exact diagnostics in `expected`, or by a test that is named.

`--bless` rewrites the expected texts.
"""

from __future__ import annotations

import ast
import time
from functools import cache
from pathlib import Path

import pytest
from jsonnx.cli import main
from support.commands import IN_PROCESS, jsonnx

from .cases import CASES as SPEC_CASES
from .cases import Case
from .hugging_face_cases import HUGGING_FACE
from .keras_hub_cases import KERAS_HUB
from .onnx_cases import ONNX
from .rows import ROWS, SECTIONS
from .tokenizer_cases import TOKENIZERS

CASES = (*SPEC_CASES, *ONNX, *HUGGING_FACE, *KERAS_HUB, *TOKENIZERS)
FOLDER = Path(__file__).parent
TESTS = FOLDER.parents[1]
EXPECTED = FOLDER / "expected"
FIXES_OFFERED = "can be fixed with --fix"
"""The line that counts fixes, which has tests of its own."""
MAX_SECONDS = 10
"""Of processor time for an input; each must end long before."""


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_a_hostile_input_gets_the_expected_diagnostics(
    case: Case, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case.write()
    start = time.process_time()
    result = IN_PROCESS.invoke(main, case.arguments)
    assert time.process_time() - start < MAX_SECONDS
    output = "".join(line for line in result.output.splitlines(keepends=True) if FIXES_OFFERED not in line)
    text = f"exit status {result.exit_code}\n{output}"
    assert result.exit_code in (0, 1, 2), text
    assert "internal error" not in text
    expected = EXPECTED / f"{case.id}.txt"
    if request.config.getoption("--bless", default=False):
        expected.write_text(text, encoding="utf-8", newline="\n")
    assert text == expected.read_text(encoding="utf-8")


def test_every_expected_text_has_a_case() -> None:
    assert {path.stem for path in EXPECTED.iterdir()} == {case.id for case in CASES}


@cache
def functions_of(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS)
def test_each_row_is_checked(row: str) -> None:
    """By a case here, or by a named test or a document of tests/integration/diagnostics."""
    references = ROWS[row].checked_by
    assert references or any(case.row == row for case in CASES), f"nothing checks {row}: {ROWS[row].input}"
    for reference in references:
        file, _, function = reference.partition("::")
        assert (TESTS / file).is_file(), reference
        assert not function or function in functions_of(file), reference


def test_the_rows_are_complete() -> None:
    numbered = [f"{section}{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)]
    assert [*ROWS] == numbered
    assert {case.row for case in CASES} <= ROWS.keys()


def test_the_help_of_validate_shows_the_limits() -> None:
    text = " ".join(jsonnx("validate", "--help").output.split())
    for limit in ("32 MiB", "32 levels", "10,000 layers", "128 characters", "1024 GiB", "20,000 entries", "60 seconds"):
        assert limit in text
