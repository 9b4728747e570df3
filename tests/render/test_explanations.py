"""Every diagnostic code in the source has an explanation, and the examples of explanations produce their codes."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.diagnostics import CompileError, Diagnostic
from jsonnx.pipeline.check import check_spec
from jsonnx.render.explanations import CODES, EXPLANATIONS, explain

SOURCE = Path(__file__).parents[2] / "compiler/jsonnx"
CODE = re.compile(r"[a-z]+(-[a-z]+)*")

CODE_FUNCTIONS = {
    "Diagnostic",
    "UsageError",
    "add",
    "add_each",
    "add_in_spec",
    "ColumnFault",
    "SpaceFault",
    "fail",
    "_list",
    "_reject",
    "_report",
    "_report_mismatch",
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
            if name in CODE_FUNCTIONS and len(node.args) > 1:
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


def test_an_explanation_has_a_title_a_text_and_two_examples() -> None:
    for code, about in EXPLANATIONS.items():
        assert all(part.strip() for part in about), code
        assert about.text.endswith("."), code
        assert not about.title.endswith("."), code
        text = explain(code)
        assert text is not None
        assert text.startswith(f"{code}: {about.title}\n")
        assert text.isascii()


def test_an_unknown_code_has_no_explanation() -> None:
    assert explain("no-such-thing") is None


def document(example: str) -> dict[str, Any] | str:
    """Completes an example to a spec. The example may be a spec, some of its keys, its layers, one layer, or a part of
    `training`; text that is not JSON is returned unchanged."""
    try:
        value = json.loads(example, object_pairs_hook=unique_keys)
    except ValueError:
        return example
    if isinstance(value, list):
        value = {"layers": value}
    elif "type" in value or "use" in value:
        value = {"layers": [value]}
    elif "loss" in value or "optimizer" in value or "data" in value:
        value = {"training": {"loss": "mse", **value}}
    spec: dict[str, Any] = {"inputs": {}, "layers": [{"type": "Dense", "units": 3}], **value}
    names = {layer.get("name", "") for layer in spec["layers"]}
    sources = [source for layer in spec["layers"] for source in as_list(layer.get("from", "x"))]
    sizes = {"four_numbers": [4], "six_numbers": [6], "sequence": [5, 4], "image": [8, 8, 4]}
    inputs = {name: {"shape": sizes.get(name, [4])} for name in sources if name not in (names | {"steam"})}
    return {**spec, "inputs": spec["inputs"] or inputs}


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) != len(dict(pairs)):
        raise ValueError("duplicate key")
    return dict(pairs)


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def codes_of(example: str) -> set[str]:
    try:
        return {diagnostic.code for diagnostic in check_spec(document(example)).diagnostics}
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
    about = EXPLANATIONS[code]
    assert code in codes_of(about.wrong_example)
    assert code not in codes_of(about.right_example)


def test_str_of_a_diagnostic_is_one_line() -> None:
    assert str(Diagnostic("a-code", "wrong", "$.x", "f.json", 1, 2)) == "f.json:1:2: error[a-code]: wrong (at $.x)"
