"""Every fix that a rule offers makes its finding vanish, and the spec stays valid and without new findings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from generate.codes.example_specs import completed
from jsonnx.core.diagnostics import Diagnostic
from jsonnx.frontend.text.text_edits import apply_text_edits
from jsonnx.lint.lint_network import default_codes
from jsonnx.lint.rules import RULES
from support.lint_cases import CASES, facts_of, lint

SAFE = {"dropout-rate", "missing-seed", "no-effect", "repeated-activation", "unused-silence"}
"""Rules with a fix that leaves what the network computes, and its weights, as they are."""

MIN_RULES_WITH_FIX = 23


def found(text: str, case: dict[str, Any], code: str) -> list[Diagnostic]:
    codes = default_codes() | {code}
    return lint(text, codes, facts_of(case.get("data", {})), case.get("locked", False))


def cases_of(code: str) -> list[tuple[dict[str, Any], str, Diagnostic]]:
    """The cases of a rule with the text of the spec and the finding."""
    cases = json.loads((CASES / f"{code}.json").read_text("utf-8"))["found"]
    texts = [json.dumps(completed(case["spec"]), indent=2) for case in cases]
    return [
        (case, text, next(item for item in found(text, case, code) if item.code == code))
        for case, text in zip(cases, texts, strict=True)
    ]


@pytest.mark.parametrize("code", sorted(RULES))
def test_a_fix_removes_the_finding_and_adds_none(code: str) -> None:
    for case, text, diagnostic in cases_of(code):
        if diagnostic.fix is None:
            continue
        assert diagnostic.fix.is_safe <= (code in SAFE)
        fixed = apply_text_edits(text, diagnostic.fix.text_edits)
        before, after = ({(item.code, item.severity) for item in found(part, case, code)} for part in (text, fixed))
        assert (code, RULES[code].severity) not in after, fixed
        assert after <= before, fixed


def test_many_rules_have_a_fix() -> None:
    with_fix = {code for code in RULES if any(item.fix for _, _, item in cases_of(code))}
    assert len(with_fix) >= MIN_RULES_WITH_FIX
    assert with_fix >= SAFE
