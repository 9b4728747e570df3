"""The cases of lint rules: short specs in which a rule finds something, and what is known of their data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonnx.core.diagnostics import Diagnostic, identity_source_map
from jsonnx.lint.lint_network import lint_network
from jsonnx.lint.linted_network import DataFacts, LintedNetwork
from jsonnx.pipeline.check.check import check_spec

CASES = Path(__file__).parents[1] / "unit/lint/cases"
"""A file for each rule, with specs in which it finds something at a path, and specs in which it finds nothing."""

NO_FACTS = DataFacts()


def facts_of(data: dict[str, Any]) -> DataFacts:
    classes = {
        output: {int(index): count for index, count in counts.items()}
        for output, counts in data.get("class_counts", {}).items()
    }
    ranges = {name: (low, high) for name, (low, high) in data.get("input_ranges", {}).items()}
    return DataFacts(data.get("sample_counts", {}), classes, ranges)


def lint(spec: Any, codes: frozenset[str], facts: DataFacts = NO_FACTS, locked: bool = False) -> list[Diagnostic]:
    """All diagnostics of a spec with these rules."""
    checked = check_spec(spec)
    typed = checked.require()
    report = checked.new_report()
    source_map = checked.flat.source_map if checked.flat is not None else identity_source_map
    network = LintedNetwork(
        typed, checked.objective, checked.source.value, source_map, facts, locked, codes, checked.silences
    )
    lint_network(network, report)
    return [*checked.diagnostics, *report]
