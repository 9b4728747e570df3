"""Every diagnostic code in the source has an explanation, and the examples of explanations produce their codes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from generate.codes.example_specs import example_spec
from jsonnx.core.diagnostics import CompileError, Diagnostic
from jsonnx.core.limits import (
    GIB,
    MAX_BLOCK_DEPTH,
    MAX_CONSTANT_BYTES,
    MAX_DIAGNOSTICS,
    MAX_JSON_DEPTH,
    MAX_JSON_VALUES,
    MAX_LAYERS,
    MAX_SPEC_BYTES,
    MAX_WEIGHTS_BYTES,
    MIB,
)
from jsonnx.layers.unsupported import NOT_EXPRESSIBLE
from jsonnx.pipeline.check.check import check_spec
from jsonnx.render.explanations import CODES, Explanation, explain, explanation

SOURCE = Path(__file__).parents[3] / "compiler/jsonnx"
CODE = re.compile(r"[a-z]+(-[a-z]+)*")

CODE_FUNCTIONS = {
    "Diagnostic",
    "UsageError",
    "add",
    "add_each",
    "add_in_spec",
    "ColumnError",
    "JsonError",
    "RequestError",
    "ServerError",
    "SpaceError",
    "fail",
    "_list",
    "_reject",
    "_report",
    "_report_mismatch",
    "_usage_error",
}
"""Functions that take a code: as first argument, or, if the code has a hyphen, as a later argument."""


def words(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and CODE.fullmatch(part.value):
            yield part.value


def codes_in(tree: ast.AST) -> Iterator[str]:
    """Yields the codes in a module: arguments of CODE_FUNCTIONS, values named `code`, and those of ShapeErrors."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            plain = [argument for argument in node.args if isinstance(argument, ast.Constant)]
            if name == "rule" or (name in CODE_FUNCTIONS and len(node.args) > 1):
                yield from (word for part in plain for word in words(part) if "-" in word or part is node.args[0])
            if len(node.args) == {"require": 4, "ShapeError": 3}.get(name):
                yield from words(node.args[-1])
            for keyword in node.keywords:
                yield from words(keyword.value) if keyword.arg == "code" else ()
        elif isinstance(node, ast.arguments):
            named = zip(reversed([*node.posonlyargs, *node.args]), reversed(node.defaults), strict=False)
            for default in (default for argument, default in named if argument.arg == "code"):
                yield from words(default)
        elif isinstance(node, ast.Assign) and {getattr(target, "id", "") for target in node.targets} & {
            "code",
            "_CODES",
        }:
            yield from words(node.value)


def test_exactly_the_codes_in_the_source_are_explained() -> None:
    used = {code for path in SOURCE.rglob("*.py") for code in codes_in(ast.parse(path.read_text("utf-8")))}
    assert used == set(CODES)


def test_the_severities_in_the_source_are_those_of_explanations() -> None:
    """Of diagnostics whose code and severity stand in one call as they are; another is an error."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                severities = [*words_of_keyword(node, "severity")]
                codes = {word for argument in node.args for word in words(argument) if word in CODES}
                assert all({*severities} <= {*explanation(code).severities} for code in codes), (path, node.lineno)


def words_of_keyword(node: ast.Call, name: str) -> Iterator[str]:
    for keyword in node.keywords:
        yield from words(keyword.value) if keyword.arg == name and isinstance(keyword.value, ast.Constant) else ()


def test_an_explanation_has_a_title_a_text_and_two_examples() -> None:
    for code in CODES:
        about = explanation(code)
        assert all(part.strip() for part in about[:5]), code
        assert about.text.endswith("."), code
        assert not about.title.endswith("."), code
        text = explain(code)
        assert text is not None
        assert text.startswith(f"{code}: {about.title}\n")
        assert text.isascii()


def test_a_file_in_another_form_is_refused() -> None:
    examples = "## Wrong\n\n```json\n[1,\n 2]\n```\n\n## Right\n\n```\na\nb\n```\n"
    text = f"# A title\n\nA paragraph\nof two lines.\n\n{examples}"
    parts = ("A title", "A paragraph of two lines.", "[1, 2]", "a\nb")
    assert Explanation.parse(text) == Explanation(*parts, languages=("json", ""))
    facts = "---\nsubject: files\nseverity: error, warning\nfix: safe\n---\n"
    assert Explanation.parse(facts + text) == (*parts, "files", ("error", "warning"), ("safe",), ("json", ""))
    for part in ("# A title\n", "## Wrong\n", "## Right\n", "```json\n"):
        with pytest.raises(ValueError, match="expected a title"):
            Explanation.parse(text.replace(part, ""))


def test_the_explanations_of_limits_state_them() -> None:
    deep, large = explanation("too-deep"), explanation("too-large")
    assert f"may nest {MAX_JSON_DEPTH} levels, and blocks {MAX_BLOCK_DEPTH}:" in deep.text
    assert f"... {MAX_JSON_DEPTH + 1} levels ..." in deep.wrong_example
    assert f"{MAX_SPEC_BYTES // MIB} MiB, {MAX_JSON_VALUES:,} values" in large.text
    assert f"{MAX_LAYERS:,} layers" in large.text
    assert f"All weights together may take {MAX_WEIGHTS_BYTES // GIB} GiB" in large.text
    assert f"one number per position, {MAX_CONSTANT_BYTES // MIB} MiB" in large.text
    assert f"up to {MAX_DIAGNOSTICS:,} errors" in explanation("not-listed").text
    assert f"Such layers are {', '.join(NOT_EXPRESSIBLE)};" in explanation("not-expressible").text


def test_an_unknown_code_has_no_explanation() -> None:
    assert explain("no-such-thing") is None


def codes_of(example: str) -> set[str]:
    try:
        return {diagnostic.code for diagnostic in check_spec(example_spec(example)).diagnostics}
    except CompileError as error:
        return {diagnostic.code for diagnostic in error.diagnostics}


CODES_OF_SPECS = [
    *("cycle", "duplicate-key", "duplicate-name", "invalid-json", "invalid-name", "invalid-number", "invalid-value"),
    *("labels-mismatch", "loss-mismatch", "metric-mismatch", "missing-key", "out-of-range", "shape-mismatch"),
    *("shared-weights", "unknown-key", "unknown-name", "unknown-type", "unsupported-argument", "unused-input"),
    *("unused-layer", "wrong-inputs", "wrong-type", "invalid-encoding", "not-expressible", "not-supported"),
]


@pytest.mark.parametrize("code", CODES_OF_SPECS)
def test_only_the_wrong_example_produces_the_code(code: str) -> None:
    about = explanation(code)
    assert code in codes_of(about.wrong_example)
    assert code not in codes_of(about.right_example)


def test_str_of_a_diagnostic_is_one_line() -> None:
    assert str(Diagnostic("a-code", "wrong", "$.x", "f.json", 1, 2)) == "f.json:1:2: error[a-code]: wrong (at $.x)"
