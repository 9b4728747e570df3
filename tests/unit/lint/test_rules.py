"""Every rule has specs in which it finds something, and specs in which it finds nothing (cases/CODE.json)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from generate.codes.example_specs import completed, example_spec
from jsonnx.lint.check_warnings import CHECK_WARNINGS, DATA_WARNINGS
from jsonnx.lint.linted_network import DataFacts
from jsonnx.lint.rules import RULES
from jsonnx.render.explanations import explanation
from jsonnx.render.reference.generated_sources import lint_codes_source
from jsonnx.sections.lint_codes import LINT_CODES
from support.lint_cases import CASES, facts_of, lint

CODES = sorted({*RULES, *CHECK_WARNINGS} - set(DATA_WARNINGS))
MIN_CASES = 2

LOCKED_EXAMPLES = ("missing-seed",)
FACTS_OF_EXAMPLES = {
    "batch-exceeds-data": DataFacts(sample_counts={"train": 500}),
    "class-imbalance": DataFacts(class_counts={"dense": {0: 990, 1: 10}}),
    "few-class-samples": DataFacts(class_counts={"dense": {0: 990, 1: 2}}),
    "schedule-length": DataFacts(sample_counts={"train": 3200}),
}
"""What the files have in them that the examples of explanations name."""


def found_at(case: dict[str, Any], code: str) -> list[str]:
    """The paths at which a code is found in a case."""
    codes = frozenset({code, *(["dropout-rate"] if code == "unused-silence" else [])})
    facts = facts_of(case.get("data", {}))
    diagnostics = lint(completed(case["spec"]), codes, facts, case.get("locked", False))
    return [diagnostic.path for diagnostic in diagnostics if diagnostic.code == code]


@pytest.mark.parametrize("code", CODES)
def test_a_rule_finds_what_it_should_and_nothing_else(code: str) -> None:
    cases = json.loads((CASES / f"{code}.json").read_text("utf-8"))
    assert len(cases["found"]) >= MIN_CASES
    assert len(cases["not_found"]) >= MIN_CASES
    for case in cases["found"]:
        assert found_at(case, code) == [case["at"]], case
    for case in cases["not_found"]:
        assert found_at(case, code) == [], case


def test_every_file_of_cases_is_that_of_a_rule() -> None:
    assert {path.stem for path in CASES.iterdir()} == set(CODES)


def test_the_codes_that_a_spec_may_silence_are_those_of_rules_and_warnings() -> None:
    assert set(LINT_CODES) == {*RULES, *CHECK_WARNINGS}
    assert (CASES.parents[3] / "compiler/jsonnx/sections/lint_codes.py").read_text("utf-8") == lint_codes_source()
    assert not set(RULES) & set(CHECK_WARNINGS)


@pytest.mark.parametrize("code", sorted(RULES))
def test_the_examples_of_an_explanation_produce_its_code(code: str) -> None:
    about = explanation(code)
    codes = frozenset({code, *(["dropout-rate"] if code == "unused-silence" else [])})
    facts, locked = FACTS_OF_EXAMPLES.get(code, DataFacts()), code in LOCKED_EXAMPLES
    wrong, right = (
        {item.code for item in lint(example_spec(text), codes, facts, locked)}
        for text in (about.wrong_example, about.right_example)
    )
    assert code in wrong
    if code != "few-class-samples":  # the files of its examples differ, not the specs
        assert code not in right
