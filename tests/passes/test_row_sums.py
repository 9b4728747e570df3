"""Rows added at numbers that come again: in order where few do, sorted where many do."""

from __future__ import annotations

import numpy as np
import pytest
from harness import run
from jsonnx.graph import Builder, Graph
from jsonnx.passes.row_sums import MANY, TOGETHER, with_rows_added
from jsonnx.types import Size, TensorType

WIDTH, ROWS = 3, 400
RNG = np.random.default_rng(0)


def adding() -> Graph:
    g = Builder()
    start = g.input("start", TensorType("float32", (Size.named("n"), WIDTH)))
    numbers = g.input("numbers", TensorType("int64", (Size.named("k"),)))
    rows = g.input("rows", TensorType("float32", (Size.named("m"), WIDTH)))
    which = g.input("which", TensorType("int64", (Size.named("k"),)))
    return g.graph({"sums": with_rows_added(g, start, numbers, rows, which)})


NUMBERS = {
    "none": np.empty(0, np.int64),
    "few": np.array([7, 3, 7]),
    "just-as-many-as-come-in-order": RNG.integers(0, 50, 50 // MANY),
    "just-as-many-as-are-sorted": RNG.integers(0, 50, 50 // MANY + 1),
    "all-the-same": np.full(ROWS, 49),
    "each-once": RNG.permutation(ROWS),
    "groups-that-fill-and-pass-a-product": np.repeat(np.arange(TOGETHER + 4), np.arange(TOGETHER + 4)),
    "as-words-are": np.minimum(RNG.zipf(1.3, ROWS) - 1, 49),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_every_row_is_added_once(name: str) -> None:
    numbers = NUMBERS[name]
    start = RNG.normal(size=(int(numbers.max(initial=49)) + 1, WIDTH)).astype(np.float32)
    rows = RNG.normal(size=(ROWS, WIDTH)).astype(np.float32)
    which = RNG.permutation(ROWS)[: len(numbers)]
    expected = start.astype(np.float64)
    np.add.at(expected, numbers, rows[which])
    found = run(adding(), {"start": start, "numbers": numbers, "rows": rows, "which": which})["sums"]
    np.testing.assert_allclose(found, expected, atol=2e-5)
    again = run(adding(), {"start": start, "numbers": numbers, "rows": rows, "which": which})["sums"]
    assert found.tobytes() == again.tobytes()
