"""Sums of sparse gradients over shards, against those of dense ones by the same tree."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from jsonnx.collective.local import local_collectives
from jsonnx.collective.protocol import Collective
from jsonnx.collective.shard_tree import shard_range, tree_sum
from jsonnx.collective.sparse_sums import SparseGradient, SparseSums, sparse_sum
from ml_dtypes import bfloat16

ROWS, SHARDS, WIDTHS = 50, 7, {"a": 3, "b": 16}
Shard = dict[str, SparseGradient]


def dense(gradient: SparseGradient) -> np.ndarray:
    """The whole gradient, flat. In float64, as a sum of many rows may be added in any order."""
    total = np.zeros((ROWS, gradient.rows.shape[1]))
    np.add.at(total, gradient.indices, gradient.rows)
    return total.ravel()


def drawn(count: int, width: int, seed: int, repeats: bool = False) -> SparseGradient:
    rng = np.random.default_rng(seed)
    indices = rng.choice(ROWS, count, replace=repeats)
    return SparseGradient(indices, (rng.normal(size=(count, width)) * 10.0 ** rng.integers(-4, 4)).astype(np.float32))


def totals(shards: list[Shard], size: int, rounds: bool) -> list[Shard]:
    """The sums over all shards, on each rank."""

    def run(collective: Collective) -> Shard:
        first, end = shard_range(collective.rank, size, SHARDS)
        sums = SparseSums(first, end, SHARDS, rounds)
        for _ in range(2):  # the second sum has nothing of the first
            for shard in reversed(range(first, end)):
                sums.add(shard, {table: sparse_sum([part], rounds) for table, part in shards[shard].items()})
            total = dict(collective.all_reduce_sparse(sums.take(), WIDTHS, rounds))
        return total

    with ThreadPoolExecutor(size) as executor:
        return list(executor.map(run, local_collectives(size, SHARDS, timeout=30)))


@pytest.mark.parametrize("count", [0, 1, 2, 49, 300])
def test_rows_of_one_index_are_added(count: int) -> None:
    gradient = drawn(count, 3, seed=count, repeats=True)
    total = sparse_sum([gradient])
    assert total.indices.tolist() == sorted(set(gradient.indices.tolist()))
    np.testing.assert_allclose(
        dense(total), dense(gradient), rtol=1e-5, atol=1e-5 * np.abs(gradient.rows).max(initial=0)
    )


@pytest.mark.parametrize("rounds", [False, True])
def test_sums_have_the_bits_of_dense_ones_on_any_number_of_ranks(rounds: bool) -> None:
    shards = [{table: drawn(5 * n, width, seed=n) for table, width in WIDTHS.items()} for n in range(SHARDS)]
    shards[3] = {}  # without samples
    (single,) = totals(shards, 1, rounds)
    for table, width in WIDTHS.items():
        empty = SparseGradient(np.empty(0, np.int64), np.empty((0, width), np.float32))
        vectors = [dense(shard.get(table, empty)).astype(np.float32) for shard in shards]
        vectors = [vector.astype(bfloat16).astype(np.float32) if rounds else vector for vector in vectors]
        rounded = len(vectors[0]) if rounds else 0
        parts = {(n, n + 1): vector for n, vector in enumerate(vectors)}
        expected = tree_sum(parts, SHARDS, np.empty_like(vectors[0]), rounded)
        np.testing.assert_array_equal(dense(single[table]).astype(np.float32), expected)
    for size in (2, 3, 7, 9):
        for total in totals(shards, size, rounds):
            for table, expected_sum in single.items():
                assert total[table].indices.tobytes() == expected_sum.indices.tobytes()
                assert total[table].rows.tobytes() == expected_sum.rows.tobytes()
