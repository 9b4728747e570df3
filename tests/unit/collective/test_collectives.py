"""One set of tests for all collectives."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from jsonnx.collective.exchange import ExchangeCollective
from jsonnx.collective.protocol import CollectiveError
from unit.collective.groups import KINDS, run_group
from unit.collective.test_shard_tree import rank_parts, reference_sum, shard_vectors

LENGTH = 20_003
"""Elements of the vectors: slices of 2 ranks lie in shared memory, those of 8 ranks are sent."""

pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("shard_count", [1, 2, 5, 8, 16])
def test_every_rank_gets_the_bits_of_the_reference(kind: str, size: int, shard_count: int) -> None:
    vectors = shard_vectors(shard_count, LENGTH)

    def sums(collective: ExchangeCollective) -> list[bytes]:
        rank = collective.rank
        return [
            collective.all_reduce(rank_parts(vectors, rank, size, rounded), rounded).tobytes()
            for rounded in (0, 9_001, LENGTH)
        ]

    expected = [reference_sum(vectors, rounded).tobytes() for rounded in (0, 9_001, LENGTH)]
    for found in run_group(kind, size, shard_count, sums):
        assert found == expected


def test_lengths_may_change_from_call_to_call(kind: str) -> None:
    lengths = (5, 0, 100_000, 1, 300_000, 17)

    def sums(collective: ExchangeCollective) -> list[bytes]:
        vectors = [shard_vectors(4, length) for length in lengths]
        return [collective.all_reduce(rank_parts(v, collective.rank, 3)).tobytes() for v in vectors]

    expected = [reference_sum(shard_vectors(4, length)).tobytes() for length in lengths]
    assert run_group(kind, 3, 4, sums) == [expected] * 3


def test_a_sum_keeps_its_values_when_others_go_on(kind: str) -> None:
    def sums(collective: ExchangeCollective) -> bool:
        results = [collective.all_reduce([np.full(LENGTH, step, np.float32)]) for step in range(20)]
        return all((result == 3 * step).all() for step, result in enumerate(results))

    assert run_group(kind, 3, 3, sums) == [True] * 3


def test_large_vectors_travel_both_ways_at_once(kind: str) -> None:
    vectors = [np.full(4_000_000, rank, np.float32) for rank in range(3)]

    def total(collective: ExchangeCollective) -> bool:
        return bool((collective.all_reduce([vectors[collective.rank]]) == 3).all())

    assert run_group(kind, 3, 3, total) == [True] * 3


def test_bytes_are_gathered_and_broadcast(kind: str) -> None:
    def operations(collective: ExchangeCollective) -> Any:
        own = bytes([collective.rank]) * (collective.rank * 40_000)
        collective.barrier()
        return collective.all_gather(own), collective.broadcast(own, 2), collective.broadcast(b"", 1)

    gathered = [bytes([rank]) * (rank * 40_000) for rank in range(3)]
    assert run_group(kind, 3, 3, operations) == [(gathered, gathered[2], b"")] * 3


def test_another_operation_is_an_error_that_names_its_rank(kind: str) -> None:
    def operations(collective: ExchangeCollective) -> None:
        if collective.rank == 1:
            collective.barrier()
        else:
            collective.broadcast(b"x")

    for error in run_group(kind, 3, 3, operations, timeout=5):
        assert isinstance(error, CollectiveError)
        assert error.ranks


def test_another_length_is_an_error(kind: str) -> None:
    def operations(collective: ExchangeCollective) -> None:
        collective.all_reduce([np.zeros(10 + collective.rank // 2, np.float32)])

    for error in run_group(kind, 3, 3, operations, timeout=5):
        assert isinstance(error, CollectiveError)


def test_a_vector_of_another_type_is_an_error_that_names_its_rank(kind: str) -> None:
    def operations(collective: ExchangeCollective) -> None:
        collective.all_reduce([np.zeros(10, [np.float32, np.float64][collective.rank // 2])])

    errors = run_group(kind, 3, 3, operations, timeout=5)
    assert "rank 2 has parts that are not float32" in str(errors[2])
    assert all(isinstance(error, CollectiveError) and error.ranks == (2,) for error in errors)


def test_a_rank_that_ends_is_named_and_the_collective_stays_closed(kind: str) -> None:
    def operations(collective: ExchangeCollective) -> list[CollectiveError]:
        collective.barrier()
        errors = []
        for _attempt in range(2 if collective.rank != 1 else 0):
            with pytest.raises(CollectiveError) as caught:
                collective.barrier()
            errors.append(caught.value)
        return errors

    results = run_group(kind, 3, 3, operations, timeout=5)
    for first, second in (results[0], results[2]):
        assert first.ranks == (1,)
        assert "rank 1" in str(first)
        assert "closed" in str(second)


def test_a_rank_that_does_not_answer_is_named_after_the_timeout(kind: str) -> None:
    others_ended = threading.Semaphore(0)

    def operations(collective: Any) -> CollectiveError | None:
        collective.barrier()
        collective._timeout = 0.5
        if collective.rank == 1:
            for _other in range(2):
                others_ended.acquire(timeout=30)
            return None
        try:
            collective.all_gather(b"")
        except CollectiveError as error:
            return error
        finally:
            others_ended.release()
        return None

    results = run_group(kind, 3, 3, operations)
    for error in (results[0], results[2]):
        assert error is not None
        assert error.ranks == (1,)
        assert "all_gather" in str(error)
