"""Each error, warning and rule has a page, which shows what the command line prints for its wrong example."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
from generate.codes.code_pages import SUBJECTS, code_names, code_pages, is_rule
from generate.codes.example_specs import completed
from generate.codes.scenes import SCENES
from generate.codes.wrong_examples import example_of
from jsonnx.core.diagnostics import Diagnostic
from jsonnx.lint.rules import RULES
from jsonnx.pipeline.validate.validate import validate
from jsonnx.render.explanations import CODES, explanation
from jsonnx.sections.lint_codes import LINT_CODES
from support.lint_cases import CASES, facts_of, lint

DIAGNOSTICS = Path(__file__).parents[2] / "integration/diagnostics"


@cache
def pages() -> dict[str, str]:
    return code_pages()


def page_of(code: str) -> str:
    return pages()[code_names()[code]]


def test_every_code_has_a_page_and_is_listed() -> None:
    assert set(code_names()) == set(CODES)
    assert len(pages()) == len(CODES) + 2
    for code in CODES:
        folder = "rules" if code in LINT_CODES else "errors"
        assert f"reference/{folder}/{code}.md" in pages()
        index = pages()[f"reference/{folder}/index.md"]
        assert f"]({code}.md)" in index
        assert f"\n{code}\n" in index.partition("{toctree}")[2]


@pytest.mark.parametrize("code", CODES)
def test_a_page_has_the_explanation_and_links_to_kin(code: str) -> None:
    about, page = explanation(code), page_of(code)
    assert page.startswith(f"# {code}\n")
    assert f"**{about.title}.** {about.text}" in page
    for heading in ("## Wrong", "## Right", "## See also", *(["## Silence"] if is_rule(code) else [])):
        assert f"\n{heading}\n" in page
    assert about.subject in SUBJECTS


NOT_PRINTED = {
    *("bad-certificate", "checkpoint-mismatch", "exposed-server"),
    *("address-unavailable", "bad-checkpoint", "bad-feed", "bad-model", "bad-request", "changed-spec"),
    *("collective-failed", "command-failed", "cpu-fallback", "damaged-files", "data-drift", "digest-mismatch"),
    *("forbidden-origin", "found-vectors", "git-failed", "incomplete-run", "internal-error", "job-changed"),
    *("keras-call", "keras-no-model", "lock-mismatch", "missing-package", "missing-runtime"),
    *("model-unavailable", "needs-weights", "no-gradient", "no-model-to-test", "no-spec", "not-exact"),
    *("not-found", "not-imported", "not-lockable", "out-of-memory", "outside-repository", "provider-failed"),
    *("provider-mismatch", "provider-unavailable", "queue-full", "ranks-differ", "ray-cluster", "ray-cpus"),
    *("ray-node", "request-expired", "request-timeout", "run-locked", "runtime-conflict", "runtime-failure"),
    *("runtime-too-old", "server-error", "shutting-down", "sweep-changed", "system-failure", "teacher-mismatch"),
    "time-limit",
    *("too-large", "too-many-connections", "too-many-jobs", "tracker-failed", "unknown-job", "unknown-model"),
    *("unknown-revision", "unknown-times", "unknown-version", "unsafe-file", "unsupported-datatype"),
    *("unsupported-media-type", "unusable-weights", "weights-differ", "weights-unnamed", "worker-lost"),
    *("wrong-token",),
}
"""Codes whose example needs what a build of the documentation lacks: a server, a device, a cluster, a damaged disk."""


@pytest.mark.parametrize("code", CODES)
def test_a_page_shows_what_the_command_line_prints(code: str) -> None:
    shown = example_of(code).printed
    assert (shown is None) == (code in NOT_PRINTED)
    if shown is not None:
        assert f"[{code}]: " in shown.text
        assert "\n".join(shown.console()) in page_of(code)
        assert "/tmp" not in shown.text


@pytest.mark.parametrize("code", CODES)
def test_a_right_spec_is_without_the_code(code: str) -> None:
    example = example_of(code)
    if example.right_language == "json" and code not in SCENES:
        assert code not in {diagnostic.code for diagnostic in validate(example.right, lint=code in RULES)}


def test_scenes_are_those_of_codes() -> None:
    assert set(SCENES) <= set(CODES)


@cache
def diagnostics() -> list[Diagnostic]:
    """All diagnostics in the cases of errors and of rules."""
    found = [diagnostic for file in DIAGNOSTICS.glob("*.json") for diagnostic in validate(file)]
    for file in CASES.iterdir():
        for case in json.loads(file.read_text("utf-8"))["found"]:
            codes = frozenset({file.stem, "dropout-rate"})
            text = json.dumps(completed(case["spec"]))
            found += lint(text, codes, facts_of(case.get("data", {})), case.get("locked", False))
    return found


@cache
def fixes() -> dict[str, set[str]]:
    """The fixes of the diagnostics, by code."""
    found: dict[str, set[str]] = defaultdict(set)
    for diagnostic in diagnostics():
        if diagnostic.fix is not None:
            found[diagnostic.code].add("safe" if diagnostic.fix.is_safe else "unsafe")
    return found


def test_the_severities_of_a_code_are_those_that_cases_have() -> None:
    for diagnostic in diagnostics():
        assert diagnostic.severity in explanation(diagnostic.code).severities, diagnostic


@pytest.mark.parametrize("code", CODES)
def test_the_fixes_of_a_code_are_those_that_cases_have(code: str) -> None:
    assert fixes()[code] <= set(explanation(code).fixes)
    if code not in ("invalid-json",):  # its unsafe fix is that of its example
        assert set(explanation(code).fixes) <= fixes()[code]
