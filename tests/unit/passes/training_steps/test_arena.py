"""The arena: chunks are taken again, joined and split, and what nothing reached is not resident."""

from __future__ import annotations

import random

from jsonnx.passes.training_steps.arena import ALIGNMENT_BYTES, MAX_UNUSED_BYTES, Arena

MB = 1 << 20


def test_a_released_chunk_is_taken_again() -> None:
    arena = Arena()
    for _ in range(3):
        arena.release(arena.allocate(3 * MB))
    assert arena.resident_bytes == 3 * MB


def test_neighbours_that_are_free_are_joined() -> None:
    arena = Arena()
    places = [arena.allocate(MB) for _ in range(4)]
    size = arena.resident_bytes
    for place in (places[1], places[3], places[2], places[0]):
        arena.release(place)
    arena.allocate(2 * MB)
    assert arena.resident_bytes == size


def test_a_gap_between_chunks_in_use_serves_no_larger_request() -> None:
    arena = Arena(doubles=False)
    first, _ = arena.allocate(2 * MB), arena.allocate(2 * MB)
    arena.release(first)
    arena.allocate(3 * MB)
    assert arena.resident_bytes == 7 * MB


def test_the_rest_of_a_chunk_is_used_if_it_is_large() -> None:
    arena = Arena(doubles=False)
    arena.release(arena.allocate(8 * MB))
    arena.allocate(3 * MB)
    arena.allocate(5 * MB)
    assert arena.resident_bytes == 8 * MB
    arena = Arena(doubles=False)
    arena.release(arena.allocate(8 * MB))
    arena.allocate(5 * MB)  # takes the whole chunk
    arena.allocate(3 * MB)
    assert arena.resident_bytes == 11 * MB


def test_what_no_request_reached_is_not_resident() -> None:
    arena = Arena()
    arena.allocate(5 * MB)  # of a region of 8
    assert arena.resident_bytes == 5 * MB
    assert MAX_UNUSED_BYTES > 8 * MB


def test_chunks_in_use_never_overlap() -> None:
    rng = random.Random(1)
    arena, used = Arena(), []
    for _ in range(2000):
        if used and rng.random() < 0.5:
            arena.release(used.pop(rng.randrange(len(used)))[0])
        else:
            size = rng.randrange(1, 1 << rng.randrange(4, 24))
            place = arena.allocate(size)
            assert place[1] % ALIGNMENT_BYTES == 0
            for (region, offset), other in used:
                assert region != place[0] or offset + other <= place[1] or place[1] + size <= offset
            used.append((place, size))
    assert arena.resident_bytes >= sum(size for _, size in used)
