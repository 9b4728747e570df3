"""The checks find a rule with an error of a thousandth, and cover every rule."""

from __future__ import annotations

import pytest
from campaigns.gradient_checks.measure import Checks
from campaigns.gradient_checks.optimizers import Steps
from campaigns.gradient_checks.subjects import losses, operators, regularizers, subjects
from jsonnx.gradient import NOT_DIFFERENTIABLE, RULES
from jsonnx.ir import Graph, Subgraph
from unit.training import cases

FAMILIES = {
    "operators": lambda: map(Checks, operators()),
    "losses": lambda: map(Checks, losses()),
    "regularizers": lambda: map(Checks, regularizers()),
    "optimizers": lambda: map(Steps, cases.OPTIMIZERS),
}

STRAIGHT_THROUGH = {"DequantizeLinear", "QuantizeLinear"}
"""Operators whose rules are no derivatives: `unit/gradient/test_quantization.py` tests them."""


def operators_of(graph: Graph) -> set[str]:
    bodies = [value for node in graph.nodes for value in node.attributes.values() if isinstance(value, Subgraph)]
    return {node.op for node in graph.nodes}.union(*map(operators_of, bodies))


def test_every_rule_is_checked() -> None:
    found = set().union(*(operators_of(subject.graph()) for subject in subjects()))
    assert set(RULES) - found == STRAIGHT_THROUGH
    assert not set(RULES) & NOT_DIFFERENTIABLE


def test_a_rule_with_an_error_of_a_thousandth_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right, (subject, *_) = RULES["Tanh"], (s for s in operators() if s.name == "Tanh")
    assert max(check.error or 0 for check in Checks(subject).at(0)) < 1e-7
    monkeypatch.setitem(RULES, "Tanh", lambda g, node, dy: g.Mul(right(g, node, dy), 1.001))
    assert 2e-4 < max(check.error or 0 for check in Checks(subject).at(0)) < 2e-3


@pytest.mark.costly(2)
@pytest.mark.parametrize("family", FAMILIES)
def test_one_draw_of_each_family_but_layers_passes(family: str) -> None:
    """Layers have their own test, which checks every element."""
    found = [check for made in FAMILIES[family]() for check in made.at(0)]
    wrong = [check for check in found if check.error is None or check.error > 1e-6]
    assert [(check.subject.name, check.tensor, check.error) for check in wrong] == []
