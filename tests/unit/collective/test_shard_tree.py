"""Sums of shards by the fixed tree, against a recursive reference."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.collective.shard_tree import (
    MAX_BLOCK_ELEMENTS,
    ShardSums,
    children,
    shard_range,
    subtrees,
    tree_sum,
)
from ml_dtypes import bfloat16

SHARD_COUNTS = (1, 2, 3, 5, 8, 16, 100)
SIZES = (1, 2, 3, 4, 7, 8, 200)


def shard_vectors(shard_count: int, length: int = 37) -> list[np.ndarray]:
    random = np.random.default_rng(shard_count)
    scales = 10.0 ** random.integers(-6, 6, (shard_count, length))
    return list((random.standard_normal((shard_count, length)) * scales).astype(np.float32))


def rounded_head(vector: np.ndarray, rounded: int) -> np.ndarray:
    head = vector[:rounded].astype(bfloat16).astype(np.float32)
    return np.concatenate([head, vector[rounded:]])


def reference_sum(vectors: list[np.ndarray], rounded: int = 0) -> np.ndarray:
    """The recursion that defines the sum."""
    if len(vectors) == 1:
        return rounded_head(vectors[0], rounded)
    middle = 1
    while 2 * middle < len(vectors):
        middle *= 2
    return rounded_head(reference_sum(vectors[:middle], rounded) + reference_sum(vectors[middle:], rounded), rounded)


def rank_parts(vectors: list[np.ndarray], rank: int, size: int, rounded: int = 0) -> list[np.ndarray]:
    first, end = shard_range(rank, size, len(vectors))
    sums = ShardSums(first, end, len(vectors), rounded)
    for shard in range(first, end):
        buffer = sums.buffer(len(vectors[shard]))
        buffer[:] = vectors[shard]
        sums.add(shard, buffer)
    return sums.take()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shard_count", SHARD_COUNTS)
def test_the_sum_over_all_ranks_has_the_bits_of_the_reference(shard_count: int, size: int) -> None:
    vectors = shard_vectors(shard_count)
    for rounded in (0, 20, 37):
        parts: dict[tuple[int, int], np.ndarray] = {}
        for rank in range(size):
            nodes = subtrees(*shard_range(rank, size, shard_count), shard_count)
            parts.update(zip(nodes, rank_parts(vectors, rank, size, rounded), strict=True))
        total = tree_sum(parts, shard_count, np.empty(37, np.float32), rounded)
        assert total.tobytes() == reference_sum(vectors, rounded).tobytes()


def test_the_order_of_the_ranks_gives_other_bits() -> None:
    vectors = shard_vectors(8)
    assert sum(vectors[1:], vectors[0]).tobytes() != reference_sum(vectors).tobytes()


@pytest.mark.parametrize("shard_count", SHARD_COUNTS)
@pytest.mark.parametrize("size", SIZES)
def test_every_shard_belongs_to_one_subtree_of_one_rank(shard_count: int, size: int) -> None:
    ranges = [shard_range(rank, size, shard_count) for rank in range(size)]
    nodes = [node for first, end in ranges for node in subtrees(first, end, shard_count)]
    assert [shard for first, end in nodes for shard in range(first, end)] == list(range(shard_count))


def test_subtrees_are_as_large_as_the_range_allows() -> None:
    assert subtrees(0, 5, 5) == [(0, 5)]
    assert children((0, 5)) == ((0, 4), (4, 5))
    assert subtrees(1, 7, 8) == [(1, 2), (2, 4), (4, 6), (6, 7)]
    assert subtrees(3, 3, 8) == []


def test_the_sum_may_replace_any_part_and_leaves_the_others() -> None:
    vectors = shard_vectors(8, 2 * MAX_BLOCK_ELEMENTS + 5)
    expected = reference_sum(vectors).tobytes()
    for replaced in range(8):
        parts = {(shard, shard + 1): vector.copy() for shard, vector in enumerate(vectors)}
        tree_sum(parts, 8, out=parts[replaced, replaced + 1])
        assert parts.pop((replaced, replaced + 1)).tobytes() == expected
        assert all(part.tobytes() == vectors[shard].tobytes() for (shard, _), part in parts.items())


def test_the_last_elements_of_a_vector_are_rounded_in_their_own_block() -> None:
    vectors = shard_vectors(3, MAX_BLOCK_ELEMENTS + 50)
    parts = {(shard, shard + 1): rounded_head(vector, MAX_BLOCK_ELEMENTS + 7) for shard, vector in enumerate(vectors)}
    total = tree_sum(parts, 3, np.empty_like(vectors[0]), MAX_BLOCK_ELEMENTS + 7)
    assert total.tobytes() == reference_sum(vectors, MAX_BLOCK_ELEMENTS + 7).tobytes()


def test_shards_may_be_added_in_any_order() -> None:
    vectors = shard_vectors(16)
    order = np.random.default_rng(0).permutation(16)
    sums = ShardSums(0, 16, 16)
    for shard in order:
        sums.add(int(shard), vectors[shard].copy())
    assert sums.take()[0].tobytes() == reference_sum(vectors).tobytes()


@pytest.mark.parametrize(("shard_count", "most"), [(1, 1), (8, 4), (16, 5), (100, 8)])
def test_few_vectors_exist_at_a_time(shard_count: int, most: int) -> None:
    sums = ShardSums(0, shard_count, shard_count)
    memory = set()
    for _step in range(3):
        for shard in range(shard_count):
            buffer = sums.buffer(10)
            memory.add(buffer.ctypes.data)
            buffer[:] = shard
            sums.add(shard, buffer)
        assert sums.take()[0][0] == shard_count * (shard_count - 1) / 2
    assert len(memory) <= most


def test_a_buffer_has_the_length_that_is_asked_for() -> None:
    sums = ShardSums(0, 1, 1)
    sums.add(0, sums.buffer(5))
    sums.take()
    assert len(sums.buffer(7)) == 7


def test_compression_rounds_as_much_as_the_depth_of_the_tree() -> None:
    parts = [np.random.default_rng(shard).standard_normal(20_000, np.float32) for shard in range(8)]
    exact = np.sum(np.array(parts, np.float64), axis=0)
    found = reference_sum(parts, 20_000)
    error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert 1e-3 < error < 4e-3
    assert (rounded_head(found, 20_000) == found).all()
