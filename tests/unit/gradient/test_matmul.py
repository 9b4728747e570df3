"""Rules of matrix products."""

from __future__ import annotations

import pytest
from unit.gradient.operators import REAL, Operator, worst_error


def einsum(equation: str, *shapes: tuple[int | None, ...]) -> Operator:
    return Operator("Einsum", (REAL,) * len(shapes), shapes, {"equation": equation})


PAIR = (REAL, REAL)

OPERATORS = [
    Operator("MatMul", PAIR, ((3,), (None, 3, 2))),
    Operator("MatMul", PAIR, ((2, 3), (None, 3, 4))),
    Operator("MatMul", PAIR, ((2, 2, 3), (None, 3, 1))),
    Operator("MatMul", PAIR, ((2, 3), (3, 2))),
    Operator("MatMul", PAIR, ((2, 1, 3), (2, 3, 4))),
    Operator("MatMul", PAIR, ((2, 2, 3), (None, 2, 3, 1))),
    einsum("abc,cd->abd", (2, 3), (None, 3, 4)),
    einsum("abc,abd->acd", (2, 3), (2, 1)),
    einsum("ab,ac->bc", (2,), (3,)),
    einsum("...x,xy->...y", (2, 3), (None, 3, 2)),
    einsum("abc,cd,de->abe", (2, 3), (None, 3, 2), (None, 2, 1)),
    einsum("abc->ac", (2, 3)),
    einsum("abb->a", (3, 3)),
    einsum("abc,b->ca", (2, 3), (None, 2)),
]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.id)
def test_a_rule_equals_finite_differences(operator: Operator) -> None:
    assert worst_error(operator) < 1e-7
