"""The fast validator accepts a value only if jsonschema, the authority, accepts it; and rejects no other value."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonnx.core.diagnostics import CompileError, Report
from jsonnx.frontend.expansion.expand import expand
from jsonnx.frontend.json.json_reader import read_text
from jsonnx.frontend.schema.errors import check_against_schema
from jsonnx.frontend.schema.fast_validator import IGNORED_KEYWORDS, KEYWORDS, is_valid
from jsonnx.frontend.schema.schema import reuse_schema, root_schema, spec_schema
from jsonnx.frontend.schema.validator import VALIDATOR, spec_validator
from jsonschema import Draft202012Validator
from jsonschema.validators import extend
from unit.layers.cases import all_cases

ROOT = Path(__file__).parents[4]
SPECS = [*sorted((ROOT / "samples").glob("*.json")), *sorted((ROOT / "tests/integration/diagnostics").glob("*.json"))]

REUSE_SCHEMA = reuse_schema()

AUTHORITY = extend(VALIDATOR, {"anyOf": Draft202012Validator.VALIDATORS["anyOf"]})
"""Our validator with jsonschema's own `anyOf`, which tries all alternatives."""

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 3, 1.0, 0.5, -0.0, 2**31, 2**63, -(2**63), 1e39, 1e-46, float("inf"), float("nan"),
    "", "relu", "Dense", "x\n", "same", "a b", "layer.out", "x" * 300, [], [1], [1, 2], [1, True], ["x"], [[1], [2]],
    {}, {"type": "adam"}, {"type": "Dense", "units": 3}, {"type": "nothing"}, {"use": "dense"}, {"class": 1},
]  # fmt: skip

TYPE_RULES = [
    {
        "if": {"type": "object", "required": ["type"], "properties": {"type": {"enum": [name]}}},
        "then": {"required": [key]},
    }
    for name, key in (("Dense", "units"), ("adam", "rate"))
]

KEYWORD_SCHEMAS: list[dict[str, Any]] = [
    *({"type": name} for name in ("null", "boolean", "string", "array", "object", "integer", "number")),
    {"type": ["integer", "null"]},
    {"enum": [1, "relu", None, [1, True]]},
    {"const": 1},
    {"const": True},
    {"const": [1, True]},
    {"properties": {"type": {"const": "adam"}, "units": False}},
    {"properties": {"type": True}, "additionalProperties": False},
    {"additionalProperties": {"type": "string"}},
    {"if": {"type": "string"}, "then": {"minLength": 3}, "else": {"type": "integer"}},
    {"if": {"type": "string"}, "then": {"minLength": 3}},
    {"allOf": [{"type": "integer"}, {"minimum": 1}]},
    {"allOf": TYPE_RULES},
    {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]},
    {"not": {"type": "string"}},
    {"required": ["type"]},
    {"propertyNames": {"pattern": "^t"}},
    {"minProperties": 1},
    {"items": {"type": "integer"}},
    {"minItems": 1, "maxItems": 1},
    {"pattern": "^[a-z]+$"},
    {"minLength": 1, "maxLength": 5},
    {"type": "integer", "minimum": 1, "maximum": 2},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"$ref": "#/$defs/from"},
    {"$ref": "#/$defs/optimizer"},
]


def test_every_keyword_of_the_schema_is_supported() -> None:
    def keywords(schema: Any) -> Iterator[str]:
        if isinstance(schema, list):
            for item in schema:
                yield from keywords(item)
        if isinstance(schema, dict):
            for keyword, rule in schema.items():
                yield keyword
                if keyword in ("properties", "$defs"):
                    yield from (inner for each in rule.values() for inner in keywords(each))
                elif keyword not in ("enum", "const", "default", "required"):
                    yield from keywords(rule)

    for schema in (spec_schema(), REUSE_SCHEMA):
        assert set(keywords(schema)) <= set(KEYWORDS) | IGNORED_KEYWORDS
    with pytest.raises(KeyError):
        is_valid(1, {"multipleOf": 2})


def test_bounds_come_with_a_type_that_limits_the_size_of_numbers() -> None:
    """Without one, both validators would ignore bounds on numbers that are too large for float32."""

    def schemas(schema: Any) -> Iterator[dict[str, Any]]:
        if isinstance(schema, dict):
            yield schema
        for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
            yield from schemas(inner)

    for schema in schemas([spec_schema(), REUSE_SCHEMA]):
        if {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} & {
            keyword for keyword, bound in schema.items() if isinstance(bound, (int, float))
        }:
            types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
            assert set(types) - {"null"} <= {"integer", "number"}, schema


def test_every_keyword_has_an_example() -> None:
    examples = {keyword for schema in KEYWORD_SCHEMAS for keyword in schema}
    assert set(KEYWORDS) <= examples


@pytest.mark.parametrize("schema", KEYWORD_SCHEMAS, ids=[json.dumps(schema)[:60] for schema in KEYWORD_SCHEMAS])
def test_each_keyword_agrees_with_jsonschema(schema: dict[str, Any]) -> None:
    """The standard Draft 2020-12 validator accepts more: larger numbers, and names that end with a line end.

    For complete documents, `test_schema` compares it with the verdict of `check_against_schema`.
    """
    definitions = {"$defs": spec_schema()["$defs"]}
    authority, standard = AUTHORITY({**schema, **definitions}), Draft202012Validator({**schema, **definitions})
    for value in VALUES:
        assert is_valid(value, schema) == authority.is_valid(value), value
        assert is_valid(value, schema) == VALIDATOR({**schema, **definitions}).is_valid(value), value
        assert not is_valid(value, schema) or standard.is_valid(value), value


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yields every container in a value with each of its keys."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def mutated(document: Any, rng: random.Random) -> Any:
    """Returns a copy of a document with one value replaced, removed or added."""
    document = copy.deepcopy(document)
    candidates = list(places(document))
    if not candidates:
        return rng.choice(VALUES)
    container, key = rng.choice(candidates)
    match rng.randrange(4):
        case 0 if isinstance(container, dict):
            container[rng.choice(["name", "from", "units", "seed", "axis", "bogus", "type"])] = rng.choice(VALUES)
        case 1:
            del container[key]
        case 2 if isinstance(container[key], (int, float)):
            container[key] = rng.choice(
                [-container[key], float(container[key]), container[key] * 2, container[key] + 1]
            )
        case _:
            container[key] = copy.deepcopy(rng.choice(VALUES))
    return document


def written_documents() -> Iterator[Any]:
    """Yields every sample and every diagnostics case that is JSON."""
    for spec in SPECS:
        try:
            yield read_text(spec.read_bytes()).value
        except CompileError:
            continue


def flat_documents() -> Iterator[Any]:
    """Yields the documents as the validator gets them: after expansion; and every layer by itself."""
    for document in written_documents():
        flat = expand(document, Report())
        if flat is not None:
            yield flat.document
    for case in all_cases():
        yield {"inputs": {"x": {"shape": [3]}}, "layers": [case.layer]}


def test_every_sample_and_diagnostics_case_gets_the_verdict_of_jsonschema() -> None:
    authority, verdicts = AUTHORITY(spec_schema()), {True: 0, False: 0}
    for document in (*flat_documents(), *written_documents()):
        expected = authority.is_valid(document)
        assert is_valid(document, root_schema()) == expected, json.dumps(document)
        verdicts[expected] += 1
    assert min(verdicts.values()) > 30


def test_parameters_scales_and_blocks_get_the_verdict_of_jsonschema() -> None:
    rng, verdicts = random.Random(0), {True: 0, False: 0}
    authority = AUTHORITY(REUSE_SCHEMA)
    sources = [document for document in written_documents() if isinstance(document, dict) and "blocks" in document]
    for document in sources * 200:
        reuse = {key: document[key] for key in REUSE_SCHEMA["properties"] if key in document}
        for candidate in (reuse, mutated(reuse, rng)):
            expected = authority.is_valid(candidate)
            assert is_valid(candidate, REUSE_SCHEMA) == expected, json.dumps(candidate)
            verdicts[expected] += 1
    assert min(verdicts.values()) > 100


@pytest.mark.costly(4)
@pytest.mark.parametrize("seed", range(4))
def test_mutated_documents_get_the_verdict_of_jsonschema(seed: int) -> None:
    """Of each document three random layers are kept, so that most mutations concern a layer's arguments."""
    rng, authority, verdicts = random.Random(seed), AUTHORITY(spec_schema()), {True: 0, False: 0}
    for document in flat_documents():
        small = document
        if isinstance(document, dict) and isinstance(document.get("layers"), list):
            small = {**document, "layers": rng.sample(document["layers"], min(3, len(document["layers"])))}
        for candidate in (small, mutated(small, rng), mutated(mutated(small, rng), rng)):
            expected = authority.is_valid(candidate)
            assert is_valid(candidate, root_schema()) == expected, json.dumps(candidate)
            assert spec_validator().is_valid(candidate) == expected, json.dumps(candidate)
            verdicts[expected] += 1
    assert min(verdicts.values()) > 100


def test_a_valid_spec_does_not_import_jsonschema() -> None:
    for spec, is_imported in (
        ("samples/mnist_mlp.json", "False"),
        ("tests/integration/diagnostics/choice.json", "True"),
    ):
        code = f"import sys, jsonnx; jsonnx.validate({spec!r}); print('jsonschema' in sys.modules)"
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        assert process.stdout.strip() == is_imported


def test_a_violation_is_reported() -> None:
    report = Report()
    check_against_schema({"inputs": {"x": {"shape": [3]}}, "layers": [{"type": "Dense", "units": True}]}, report)
    assert [diagnostic.code for diagnostic in report] == ["wrong-type"]
