"""Polynomials of symbolic sizes."""

from __future__ import annotations

import random

import pytest
from jsonnx.core.types import BATCH, Dim, Size
from jsonnx.ir.polynomial import MAX_TERMS, Polynomial, product

TIME, WIDTH = Size.named("time"), Size.named("width")


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ([], "1"),
        ([BATCH, 3, 4], "12"),
        ([BATCH * 5, 2], "10"),
        ([TIME, 4], "4*time"),
        ([BATCH, TIME, TIME, 8], "8*time**2"),
        ([TIME - 2, TIME * 3], "3*time**2 - 6*time"),
        ([TIME * WIDTH, 2, TIME], "2*time**2*width"),
        ([TIME * BATCH, 2], "2*time"),
        ([(TIME - 1) // 2, 4], "4*((time - 1)//2)"),
        ([TIME + WIDTH + 1], "time + width + 1"),
        ([TIME, 0], "0"),
    ],
)
def test_the_product_of_sizes_is_a_formula_for_one_sample(sizes: list[Dim], text: str) -> None:
    assert str(product(sizes)) == text


def test_only_a_polynomial_without_symbols_is_a_number() -> None:
    assert product([BATCH, 3]).constant == 3
    assert Polynomial().constant == 0
    assert product([TIME]).constant is None
    assert (product([TIME]) + product([TIME * -1])).constant == 0


def test_polynomials_agree_with_the_numbers_that_symbols_stand_for() -> None:
    rng = random.Random(1)

    def random_size() -> Size | int:
        return TIME * rng.randrange(3) + WIDTH * rng.randrange(3) + rng.randrange(-2, 3)  # type: ignore[no-any-return]

    for _ in range(200):
        sizes = [random_size() for _ in range(3)]
        total = product(sizes[:2]) + product(sizes[2:])
        values = {"time": rng.randrange(9), "width": rng.randrange(9)}
        numbers = [eval(str(size), {}, values) for size in sizes]  # formulas, made above
        assert eval(str(total), {}, values) == numbers[0] * numbers[1] + numbers[2]


def test_a_polynomial_of_too_many_terms_is_unknown() -> None:
    total: Dim = 1
    for number in range(MAX_TERMS - 1):
        total = total + Size.named(f"s_{number}")
    assert str(product([total])) == "?"  # too long
    assert str(product([total, total]) + product([3])) == "?"
    assert (product([total, total]) + product([3])).constant is None
