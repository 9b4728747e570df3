"""The generated schemas are valid, and a standard validator agrees with our diagnostics."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.diagnostics import CompileError, Report
from jsonnx.core.limits import MAX_DIAGNOSTICS
from jsonnx.core.quantities import BYTES_PATTERN, COUNT_PATTERN
from jsonnx.frontend.json.json_reader import read_text
from jsonnx.frontend.schema.editor_schema import (
    EXPRESSION_PATTERN,
    INNER_REFERENCE_SCHEMA,
    editor_schema,
    editor_schema_text,
)
from jsonnx.frontend.schema.errors import check_against_schema
from jsonnx.frontend.schema.schema import (
    INNER_NAME_SCHEMA,
    NAME_SCHEMA,
    PARAMETER_NAME_SCHEMA,
    REFERENCE_SCHEMA,
    spec_schema,
)
from jsonnx.pipeline.validate.validate import validate
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[4]
SPECS = [*sorted((ROOT / "samples").glob("*.json")), *sorted((ROOT / "tests/integration/diagnostics").glob("*.json"))]

STRICTER = {
    "beyond_float32": "JSON Schema does not limit the size of numbers",
    "units_out_of_range": "JSON Schema does not limit the size of numbers",
    "names": "in Python's regular expressions $ matches before a final line end",
}
"""Diagnostics cases with a part that we reject and a standard validator accepts, and the reason."""


def accepts(document: Any) -> bool:
    report = Report()
    check_against_schema(document, report)
    return not report.has_errors()


@pytest.mark.slow
def test_the_schemas_are_valid_draft_2020_12_schemas() -> None:
    Draft202012Validator.check_schema(spec_schema())
    Draft202012Validator.check_schema(editor_schema())
    assert json.loads(editor_schema_text()) == editor_schema()


@pytest.mark.costly(12)
@pytest.mark.parametrize("spec", SPECS, ids=[spec.stem for spec in SPECS])
def test_a_standard_validator_has_the_same_verdict(spec: Path) -> None:
    try:
        document = read_text(spec.read_bytes()).value
    except CompileError:
        pytest.skip("not JSON")
    standard = Draft202012Validator(spec_schema())
    parts = [document]
    if isinstance(document, dict) and isinstance(document.get("layers"), list):
        parts += [{**document, "layers": [layer]} for layer in document["layers"]]
    for part in parts:
        if standard.is_valid(part) != accepts(part):
            assert spec.stem in STRICTER
            assert not accepts(part)


SPEC_WITH_EXPRESSIONS = {
    "inputs": {"x": {"shape": ["${size}"], "description": "d"}},
    "parameters": {
        "size": {"default": 4, "description": "d"},
        "function": {"required": True},
        "rates": [0.1, 0.2],
        "stages": [[3, "a", True], [["${size}"]]],
    },
    "scales": {"large": {"size": 8}},
    "blocks": {
        "b": {
            "parameters": {"n": 4, "m": {"required": True}, "k": {"default": {"type": "zeros"}, "description": "d"}},
            "globals": ["size"],
            "inputs": {"input": {"description": "d"}, "other": {}},
            "layers": [
                {"type": "Dense", "name": "1_a", "units": "${n}", "use_bias": "${n}", "activation": "${n}"},
                {
                    "type": "Dense",
                    "units": 4,
                    "from": "1_a",
                    "kernel_initializer": {"type": "constant", "value": "${n}"},
                },
                {"use": "1_a", "repeat": "${n}", "description": "d"},
            ],
            "outputs": {"dense": {"description": "d"}},
        }
    },
    "layers": [
        {"type": "b", "name": "s_${index}", "n": "${size}", "repeat": 2},
        {"type": "Reshape", "target_shape": ["${size}", 1]},
        {"type": "Conv1D", "filters": 4, "kernel_size": "${size // 2}", "padding": "${padding}"},
        {"type": "Add", "from": ["x", "s_*.skip", "[ab]_?"], "repeat": True},
        {"type": "Dense", "description": "d", "units": 4, "from": "*"},
    ],
    "outputs": ["${function}"],
    "labels": "${names}",
    "training": {"loss": "mse", "epochs": "${size}", "optimizer": {"type": "adam", "learning_rate": "${rates[0]}"}},
}


def test_the_editor_schema_accepts_blocks_and_expressions() -> None:
    standard = Draft202012Validator(editor_schema())
    assert [error.message for error in standard.iter_errors(SPEC_WITH_EXPRESSIONS)] == []


@pytest.mark.costly(6)
@pytest.mark.parametrize("spec", SPECS, ids=[spec.stem for spec in SPECS])
def test_the_editor_schema_accepts_what_the_strict_schema_accepts(spec: Path) -> None:
    try:
        document = read_text(spec.read_bytes()).value
    except CompileError:
        pytest.skip("not JSON")
    if Draft202012Validator(spec_schema()).is_valid(document):
        assert Draft202012Validator(editor_schema()).is_valid(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("layers", 1, "target_shape"), "4"),
        (("layers", 2, "filters"), 0),
        (("layers", 2, "filtres"), 3),
        (("layers", 0, "repeat"), -1),
        (("blocks", "b", "layers", 0, "units"), "n"),
        (("blocks", "b", "layer"), []),
        (("blocks", "b", "layers", 0, "activation"), "rely"),
        (("training", "epochs"), 0.5),
        (("parameters", "size"), {}),
        (("parameters", "size", "defualt"), 3),
        (("parameters", "function", "default"), 3),
        (("parameters", "stages", 0, 0), {"default": 3}),
        (("blocks", "b", "globals", 0), 3),
        (("blocks", "b", "parameters", "m", "kind"), 3),
        (("blocks", "b", "inputs", "other"), "text"),
        (("layers", 4, "description"), 3),
        (("layers", 3, "from", 1), "s *"),
        (("layers", 2, "type"), 3),
    ],
)
def test_the_editor_schema_rejects_invalid_values(path: tuple[str | int, ...], value: Any) -> None:
    document = json.loads(json.dumps(SPEC_WITH_EXPRESSIONS))
    container = document
    for step in path[:-1]:
        container = container[step]
    container[path[-1]] = value
    assert not Draft202012Validator(editor_schema()).is_valid(document)


def test_a_standard_validator_reports_errors_at_the_same_paths() -> None:
    document = json.loads((ROOT / "tests/integration/diagnostics/wrong_type.json").read_text("utf-8"))
    standard = {error.json_path for error in Draft202012Validator(spec_schema()).iter_errors(document)}
    report = Report()
    check_against_schema(document, report)
    assert {diagnostic.path for diagnostic in report} <= standard


def test_every_pattern_takes_linear_time() -> None:
    """Every pattern repeats single characters only, so that matching needs no backtracking."""
    patterns = set(re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', editor_schema_text()))
    known = [of["pattern"] for of in (INNER_NAME_SCHEMA, INNER_REFERENCE_SCHEMA, NAME_SCHEMA, PARAMETER_NAME_SCHEMA)]
    assert patterns == {
        json.dumps(pattern)[1:-1] for pattern in (*known, EXPRESSION_PATTERN, COUNT_PATTERN, BYTES_PATTERN)
    }
    start = time.process_time()
    assert not re.search(str(REFERENCE_SCHEMA["pattern"]), "a" * 1_000_000 + "!")
    assert time.process_time() - start < 5


def test_every_attribute_has_a_description() -> None:
    undescribed = [
        (name, key)
        for name, of in spec_schema()["$defs"].items()
        for key, value in of.get("properties", {}).items()
        if key not in ("type", "name", "description", "from") and "description" not in value and "$ref" not in value
    ]
    assert undescribed == []


def test_a_reference_in_a_spec_is_not_fetched() -> None:
    document = {"$schema": "http://127.0.0.1:9/schema", "$ref": "file:///etc/passwd", "inputs": {}, "layers": []}
    assert "unknown-key" in {diagnostic.code for diagnostic in validate(document)}


def test_a_thousand_layers_are_validated_within_a_second() -> None:
    layer = {"type": "Conv2D", "filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}
    text = json.dumps({"inputs": {"x": {"shape": [8, 8, 4]}}, "layers": [layer] * 1000}, indent=1)
    validate(text[:1])
    start = time.process_time()
    assert validate(text) == []
    assert time.process_time() - start < 5


def test_thousands_of_errors_are_reported_within_three_seconds() -> None:
    layers = [{"type": f"Dens{index}", "units": 3, "from": f"d{index}"} for index in range(3000)]
    text = json.dumps({"inputs": {"x": {"shape": [4]}}, "layers": layers})
    start = time.process_time()
    errors = [diagnostic for diagnostic in validate(text) if diagnostic.severity == "error"]
    assert len(errors) == MAX_DIAGNOSTICS + 1
    assert time.process_time() - start < 10
