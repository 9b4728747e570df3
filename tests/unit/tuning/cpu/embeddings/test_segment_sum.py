"""Segment sums: few rows are added in order, many are sorted."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import Size, TensorType
from jsonnx.ir import Builder, Graph
from jsonnx.tuning.cpu.embeddings.segment_sum import MAX_ORDERED_ELEMENTS, ROWS_PER_PRODUCT, segment_sum
from support.harness import run

WIDTH, ROWS = 3, 400
LIMIT = MAX_ORDERED_ELEMENTS // WIDTH
"""The most rows that are added in order."""
RNG = np.random.default_rng(0)


def summing() -> Graph:
    g = Builder()
    rows = g.input("rows", TensorType("float32", (Size.named("m"), WIDTH)))
    first_rows = g.input("first", TensorType("int32", (Size.named("n"),)))
    numbers = g.input("numbers", TensorType("int32", (Size.named("k"),)))
    segment_rows = g.input("which", TensorType("int32", (Size.named("k"),)))
    sums = segment_sum(g, rows, first_rows, numbers, segment_rows)
    requested = g.input("wanted", TensorType("int32", (Size.named("w"),)))
    return g.graph({"sums": g.Gather(sums.rows, sums.positions), "some": sums.gather(g, requested)})


NUMBERS = {
    "none": np.empty(0, int),
    "few": np.array([7, 3, 7]),
    "each-once": RNG.permutation(ROWS),
    "all-the-same": np.full(ROWS, 49),
    "just-as-many-as-come-in-order": np.repeat([5, 20], [LIMIT, 2]),
    "just-as-many-as-are-sorted": np.repeat([5, 20], [LIMIT + 1, 2]),
    "groups-that-fill-and-pass-a-product": np.repeat(np.arange(300), np.arange(300) % (2 * ROWS_PER_PRODUCT + 5)),
    "as-words-are": np.minimum(RNG.zipf(1.3, 3 * LIMIT) - 1, 2000),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_every_row_is_added_once(name: str) -> None:
    numbers = RNG.permutation(NUMBERS[name])
    count = int(numbers.max(initial=49)) + 2
    rows = RNG.normal(size=(len(numbers) + ROWS, WIDTH)).astype(np.float32)
    places = RNG.permutation(len(rows))
    segment_rows, first_rows = places[: len(numbers)], RNG.choice(places[len(numbers) :], count)
    first_rows[-1] = len(rows)  # an empty segment
    expected = np.concatenate([rows, np.zeros((1, WIDTH))])[first_rows].astype(np.float64)
    np.add.at(expected, numbers, rows[segment_rows])
    feeds = {"rows": rows, "first": first_rows, "numbers": numbers, "which": segment_rows, "wanted": [count - 1, 3, 3]}
    feeds = {name: np.asarray(x, np.float32 if name == "rows" else np.int32) for name, x in feeds.items()}
    results = run(summing(), feeds)
    np.testing.assert_allclose(results["sums"], expected, rtol=1e-5, atol=1e-4)
    assert (results["some"] == results["sums"][[count - 1, 3, 3]]).all()
    again = run(summing(), feeds)
    assert results["sums"].tobytes() == again["sums"].tobytes()
