"""Rules of matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from unit.gradient.operators import REAL, Operator, worst_error


def einsum(equation: str, *shapes: tuple[int | None, ...]) -> Operator:
    return Operator("Einsum", (REAL,) * len(shapes), shapes, {"equation": equation})


PAIR = (REAL, REAL)

SUMMANDS = (None, (2,), (1,), (3, 2), (3, 1), (1, 2), ())
"""Shapes of the third operand of Gemm, which broadcasts to [3, 2]."""


def gemms() -> Iterator[Operator]:
    """Products of [3, 4] and [4, 2] with all transpositions and summands, and with factors in half of them."""
    for index, (is_a_transposed, is_b_transposed, summand) in enumerate(product((0, 1), (0, 1), SUMMANDS)):
        factors = {"alpha": 0.5, "beta": -1.5} if index % 2 else {}
        a, b = ((None, 4, 3) if is_a_transposed else (4,)), ((None, 2, 4) if is_b_transposed else (None, 4, 2))
        shapes = (a, b) if summand is None else (a, b, (None, *summand))
        attributes = {"transA": is_a_transposed, "transB": is_b_transposed, **factors}
        yield Operator("Gemm", (REAL,) * len(shapes), shapes, attributes)


OPERATORS = [
    Operator("MatMul", PAIR, ((3,), (None, 3, 2))),
    Operator("MatMul", PAIR, ((2, 3), (None, 3, 4))),
    Operator("MatMul", PAIR, ((2, 2, 3), (None, 3, 1))),
    Operator("MatMul", PAIR, ((2, 3), (3, 2))),
    Operator("MatMul", PAIR, ((2, 1, 3), (2, 3, 4))),
    Operator("MatMul", PAIR, ((2, 2, 3), (None, 2, 3, 1))),
    *gemms(),
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
