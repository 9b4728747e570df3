"""The model of distributed training: its bytes are those of the collective, its times those of constructed cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from jsonnx.collective.exchange import ExchangeCollective, Memory, Outgoing
from jsonnx.collective.shard_tree import shard_range, subtrees
from jsonnx.collective.tcp import HEADER_BYTES
from jsonnx.render.results.scaling_text import scaling_text
from jsonnx.runtime.profile.scaling_model import Link, Scaling, StepCosts, Traffic

ELEMENTS, ROUNDED = 1000, 600


class CountingRank(ExchangeCollective):
    """A rank that counts what it would exchange, and receives zeros."""

    def __init__(self, rank: int, size: int, shard_count: int) -> None:
        super().__init__(rank, size, shard_count)
        self.sent = self.received = self.messages = self.rounds = 0

    def close(self) -> None:
        """Does nothing."""

    def _exchange(
        self, step: int, outgoing: Outgoing, lengths: Mapping[int, int] | None, memory: Memory
    ) -> dict[int, np.ndarray]:
        if lengths is None:  # the length of the vectors, from rank 0
            lengths = {peer: 8 if peer == 0 else 0 for peer in self._peers}
        self.sent += sum(len(piece) for pieces in outgoing.values() for piece in pieces)
        self.received += sum(lengths.values())
        self.messages += len(self._peers)
        self.rounds += 1
        received = {peer: np.zeros(lengths[peer], np.uint8) for peer in self._peers}
        if step == 4 and self.rank:
            received[0][:] = np.frombuffer(ELEMENTS.to_bytes(8, "little"), np.uint8)
        return received


@pytest.mark.parametrize("shards", [1, 6, 8])
@pytest.mark.parametrize("workers", [2, 3, 5, 8, 11])
@pytest.mark.parametrize("rounded", [0, ROUNDED])
def test_traffic_is_that_of_the_collective(workers: int, shards: int, rounded: int) -> None:
    ranks = [CountingRank(rank, workers, shards) for rank in range(workers)]
    for rank in ranks:
        count = len(subtrees(*shard_range(rank.rank, workers, shards), shards))
        rank.all_reduce([np.zeros(ELEMENTS, np.float32) for _ in range(count)], rounded)
    traffic = Traffic.of(workers, shards, ELEMENTS, rounded)
    headers = HEADER_BYTES * traffic.messages
    assert traffic.sent_bytes == max(rank.sent for rank in ranks) + headers
    assert traffic.received_bytes == max(rank.received for rank in ranks) + headers
    assert {(rank.messages, rank.rounds) for rank in ranks} == {(traffic.messages, traffic.rounds)}


COSTS = StepCosts(
    batch_size=64,
    shard_count=8,
    shard_seconds={1: 0.010, 8: 0.080},
    gathered_bytes={},
    update_seconds=0.020,
    vector_elements=16_000,
    rounded_elements=0,
    message_seconds=0.0,
    byte_seconds=0.0,
    add_seconds=0.0,
)
FAST = Link(1e15, 0.0)


def scaling(costs: StepCosts = COSTS, link: Link = FAST, *workers: int) -> Scaling:
    return Scaling("spec.json", costs, link, workers or (1, 2, 8, 16), threads=1)


def test_a_step_without_network_is_that_of_the_busiest_worker_and_the_update() -> None:
    steps = scaling().strong
    assert [step.shards for step in steps] == [8, 4, 1, 1]
    assert [step.seconds for step in steps] == pytest.approx([0.1, 0.06, 0.03, 0.03])
    assert [step.efficiency for step in steps] == pytest.approx([1, 0.1 / 0.12, 0.1 / 0.24, 0.1 / 0.48])
    assert [step.batch_size for step in steps] == [64] * 4


def test_workers_with_a_batch_each_lose_only_the_network() -> None:
    assert [step.efficiency for step in scaling().weak] == pytest.approx([1, 1, 1, 1])
    weak = scaling(COSTS, Link(1e15, 0.05)).weak  # two rounds of 50 ms
    assert [step.efficiency for step in weak] == pytest.approx([1, 0.5, 0.5, 0.5])
    assert [step.batch_size for step in weak] == [64, 128, 512, 1024]


def test_the_network_takes_the_longer_of_transfer_and_processor_time() -> None:
    step = scaling(COSTS, Link(1e6, 0.001), 2).strong[0]
    sent = 2 * 4 * 8000 + 2 * HEADER_BYTES
    assert (step.traffic.sent_bytes, step.traffic.messages, step.traffic.added_elements) == (sent, 2, 8000)
    assert step.network_seconds == pytest.approx(0.002 + sent / 1e6)
    costs = replace(COSTS, message_seconds=0.5, byte_seconds=1e-5, add_seconds=1e-4)
    slow = scaling(costs, Link(1e6, 0.001), 2).strong[0]
    assert slow.network_seconds == pytest.approx(0.002 + 1.0 + 2 * sent * 1e-5 + 0.8)


def test_every_worker_sends_rows_of_tables_to_all_others() -> None:
    costs = replace(COSTS, gathered_bytes={1: 100, 4: 350})
    assert [costs.bytes_to_all(shards) for shards in (1, 2, 4, 8)] == [100, 200, 350, 700]
    plain, rows = (scaling(one, FAST, 2, 8).strong for one in (COSTS, costs))
    assert [r.traffic.sent_bytes - p.traffic.sent_bytes for p, r in zip(plain, rows, strict=True)] == [
        350 + HEADER_BYTES,
        7 * (100 + HEADER_BYTES),
    ]
    assert [step.traffic.rounds for step in rows] == [3, 3]


def test_limits_are_told_with_what_is_lost() -> None:
    fast = scaling(COSTS, FAST, 1, 16)
    assert fast.candidates == [1, 2, 4, 8, 16]
    assert fast.fastest(is_weak=False).workers == 8  # the smallest of equals
    assert fast.fastest(is_weak=True).workers == 16
    assert fast.first_inefficient(is_weak=True) is None
    inefficient = fast.first_inefficient(is_weak=False)
    assert inefficient is not None
    assert inefficient.workers == 8
    assert fast.lost_seconds(inefficient) == pytest.approx({"network": 0, "update": 0.0175, "shards": 0}, abs=1e-9)
    assert scaling(COSTS, Link(1e4, 0.0)).fastest(is_weak=False).workers == 1


def test_more_workers_than_shards_exchange_but_do_not_compute() -> None:
    more, most = scaling(COSTS, Link(1e9, 0.001), 8, 16).strong
    assert (more.traffic.rounds, most.traffic.rounds) == (2, 3)
    assert most.network_seconds > more.network_seconds
    assert most.compute_seconds == more.compute_seconds


@pytest.mark.parametrize(("busy_share", "is_told"), [(0.3, True), (1.7, False)])
def test_steps_that_other_programs_disturbed_are_told(busy_share: float, is_told: bool) -> None:
    text = scaling_text(scaling(replace(COSTS, busy_share=busy_share)))
    assert ("the measured steps had them for 30% of their time" in text) == is_told


def test_the_reason_of_lost_time_is_told() -> None:
    assert "most time is lost in the update" in scaling_text(scaling(COSTS, FAST, 1, 16))
    assert "most time is lost in the network" in scaling_text(scaling(COSTS, Link(1e9, 1.0), 1, 2))
    uneven = replace(COSTS, shard_seconds={1: 0.08, 8: 0.08}, update_seconds=0.0)
    assert "the busiest of them has more than its share" in scaling_text(scaling(uneven, FAST, 1, 8))
