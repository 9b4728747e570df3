"""Symbolic sizes: simplest form, and agreement with numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pytest
from jsonnx.core.types import Dim, Size
from jsonnx.ir.polynomial import product

TIME, WIDTH = Size.named("time"), Size.named("width")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        ((TIME - 1) // 2 + 1, "(time + 1)//2"),
        (((TIME - 1) // 2 + 1) // 2, "(time + 1)//4"),
        (((TIME - 1) // 2 - 2) // 2 + 1, "(time - 1)//4"),
        (TIME // 160 // 2 + 1, "time//320 + 1"),
        ((TIME * 2 + 1) // 2, "time"),
        ((TIME * 2 + 1) // 4, "time//2"),
        ((TIME * 3 + 4) // 2, "time + time//2 + 2"),
        ((TIME // 2 + WIDTH) // 3, "(time + 2*width)//6"),
        ((TIME // 2) * (WIDTH // 2), "(time//2)*(width//2)"),
        ((TIME * 2 + 2) * WIDTH, "2*(time + 1)*width"),
        ((WIDTH * TIME) * TIME, "time*time*width"),
        (TIME * WIDTH - WIDTH * TIME, "0"),
        (TIME - (TIME // 2) * 3, "time - 3*(time//2)"),
    ],
)
def test_a_size_has_its_simplest_form(size: Dim, text: str) -> None:
    assert str(size) == text


Formula = tuple[Dim, Callable[[Mapping[str, int]], int]]


def random_formula(rng: random.Random, depth: int) -> Formula:
    """A random size, and a function that computes it from the values of its symbols."""
    if depth == 0:
        symbol = rng.choice(["time", "width"])
        return Size.named(symbol), lambda values: values[symbol]
    x, x_value = random_formula(rng, depth - 1)
    kind, number = rng.randrange(5), rng.randrange(1, 6)
    if kind == 0:
        return x - number, lambda values: x_value(values) - number
    if kind == 1:
        return x // number, lambda values: x_value(values) // number
    if kind == 2:
        return x * number, lambda values: x_value(values) * number
    y, y_value = random_formula(rng, rng.randrange(depth))
    if kind == 3:
        return x - y, lambda values: x_value(values) - y_value(values)
    return x * y, lambda values: x_value(values) * y_value(values)


def test_formulas_agree_with_the_numbers_that_symbols_stand_for() -> None:
    rng = random.Random(1)
    for _ in range(1000):
        size, value = random_formula(rng, rng.randrange(1, 7))
        multiply_adds = str(product([size, size]))
        for _ in range(4):
            values = {"time": rng.randrange(50), "width": rng.randrange(50)}
            assert eval(str(size), {}, values) == value(values)
            assert multiply_adds == "?" or eval(multiply_adds, {}, values) == value(values) ** 2
