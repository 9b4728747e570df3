"""A model of distributed training: the time of a step by the number of workers, from what one machine measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...collective.exchange import vector_slices
from ...collective.shard_tree import shard_range, subtrees
from ...collective.tcp import HEADER_BYTES

LENGTH_BYTES = 8
"""The size of the message by which rank 0 tells ranks without shards the length of the vectors."""


@dataclass(frozen=True)
class Link:
    """The connection of a worker, in each direction."""

    bytes_per_second: float
    latency_seconds: float


@dataclass(frozen=True)
class Traffic:
    """What the busiest worker exchanges in a step."""

    sent_bytes: int
    received_bytes: int
    messages: int
    """The messages that it sends, and also the number that it receives."""
    rounds: int
    added_elements: int

    @classmethod
    def of(cls, workers: int, shard_count: int, elements: int, rounded: int = 0, gathered_bytes: int = 0) -> Traffic:
        """The traffic for vectors of which the first elements are rounded to 16 bits, and for further data that each
        worker sends to all others."""
        if workers == 1:
            return cls(0, 0, 0, 0, 0)
        slices = vector_slices(elements, workers, rounded)
        size = np.array([part.byte_count for part in slices])
        ranges = [shard_range(rank, workers, shard_count) for rank in range(workers)]
        nodes = np.array([len(subtrees(*shards, shard_count)) for shards in ranges])
        sent = nodes * (size.sum() - size) + (workers - 1) * size
        received = size * (nodes.sum() - nodes) + size.sum() - size
        rounds = 2
        if workers > shard_count:  # rank 0 tells the length of the vectors
            rounds = 3
            sent[0] += LENGTH_BYTES * (workers - 1)
            received[1:] += LENGTH_BYTES
        rounds += gathered_bytes > 0
        sent += gathered_bytes * (workers - 1)
        received += gathered_bytes * (workers - 1)
        headers = rounds * (workers - 1) * HEADER_BYTES
        added = int(nodes.sum() - 1) * max(part.end - part.start for part in slices)
        return cls(int(sent.max()) + headers, int(received.max()) + headers, rounds * (workers - 1), rounds, added)


@dataclass(frozen=True)
class StepCosts:
    """What was measured of a training step on one machine."""

    batch_size: int
    shard_count: int
    shard_seconds: Mapping[int, float]
    """The time of a step but for exchange and update, by the number of shards that the worker computes."""
    gathered_bytes: Mapping[int, int]
    """What a worker sends to each other one besides the vector, by the number of its shards: rows of tables."""
    update_seconds: float
    vector_elements: int
    rounded_elements: int
    message_seconds: float
    """The processor's time to send one message and to receive one."""
    byte_seconds: float
    """The processor's time for a byte that is sent or received."""
    add_seconds: float
    """The time to add an element to another one."""
    busy_share: float = 1.0
    """The processor time of the measured steps by their time: at least 1 if nothing else took the processors."""

    def compute_seconds(self, shards: int) -> float:
        """The time for some shards, by linear interpolation between those that were measured."""
        known = sorted(self.shard_seconds)
        return float(np.interp(shards, known, [self.shard_seconds[count] for count in known]))

    def bytes_to_all(self, shards: int) -> int:
        """What a worker with some shards sends to each other one, at most: in proportion to the nearest number that was
        measured."""
        if not self.gathered_bytes:
            return 0
        nearest = min(self.gathered_bytes, key=lambda count: abs(count - shards))
        return self.gathered_bytes[nearest] * shards // nearest


@dataclass(frozen=True)
class ScaledStep:
    """The step of a number of workers."""

    workers: int
    batch_size: int
    shards: int
    """The shards of the busiest worker."""
    compute_seconds: float
    network_seconds: float
    update_seconds: float
    traffic: Traffic
    efficiency: float = 1.0
    """The samples that a worker trains in a second, relative to a single worker."""

    @property
    def seconds(self) -> float:
        return self.compute_seconds + self.network_seconds + self.update_seconds

    @property
    def samples_per_second(self) -> float:
        return self.batch_size / self.seconds


@dataclass(frozen=True)
class Scaling:
    """How steps scale with the number of workers: `strong` if they divide one batch, `weak` with a batch for each."""

    subject: str
    costs: StepCosts
    link: Link
    worker_counts: Sequence[int]
    threads: int
    shards_are_assumed: bool = False
    min_busy_share: float = 0.8
    """Below it, other programs have made the measured times longer."""
    min_efficiency: float = 0.5
    """Below it, more workers do not pay: they wait longer than they compute what one would."""

    @cached_property
    def strong(self) -> list[ScaledStep]:
        return [self.strong_step(workers) for workers in self.worker_counts]

    @cached_property
    def weak(self) -> list[ScaledStep]:
        return [self.weak_step(workers) for workers in self.worker_counts]

    def strong_step(self, workers: int) -> ScaledStep:
        """The step of the batch of the spec."""
        return self._step(workers, self.costs.batch_size, self.costs.shard_count)

    def weak_step(self, workers: int) -> ScaledStep:
        """The step of a batch that is larger by the number of workers, with more shards of the same size."""
        return self._step(workers, self.costs.batch_size * workers, self.costs.shard_count * workers)

    def _step(self, workers: int, batch_size: int, shard_count: int) -> ScaledStep:
        costs = self.costs
        shards = -(-shard_count // workers)
        vector = costs.vector_elements, costs.rounded_elements
        traffic = Traffic.of(workers, shard_count, *vector, costs.bytes_to_all(shards))
        step = ScaledStep(
            workers,
            batch_size,
            shards,
            costs.compute_seconds(shards),
            network_seconds(traffic, costs, self.link),
            costs.update_seconds,
            traffic,
        )
        if workers == 1:
            return step
        single = self._step(1, costs.batch_size, costs.shard_count)
        return replace(step, efficiency=step.samples_per_second / single.samples_per_second / workers)

    @cached_property
    def candidates(self) -> list[int]:
        """The numbers of workers among which limits are searched: those asked for, and powers of two."""
        powers = (1 << power for power in range(max(self.worker_counts).bit_length()))
        return sorted({1, *powers, *self.worker_counts})

    def fastest(self, is_weak: bool) -> ScaledStep:
        """The candidate that trains most samples in a second, the smallest one of equals."""
        return max(self._candidate_steps(is_weak), key=lambda step: step.samples_per_second)

    def first_inefficient(self, is_weak: bool) -> ScaledStep | None:
        """The smallest candidate below `min_efficiency`."""
        return next((step for step in self._candidate_steps(is_weak) if step.efficiency < self.min_efficiency), None)

    def lost_seconds(self, step: ScaledStep) -> dict[str, float]:
        """By reason: the time of a step in which its workers gain nothing over a single one."""
        share = step.batch_size / self.costs.batch_size / step.workers
        return {
            "network": step.network_seconds,
            "update": step.update_seconds * (1 - share),
            "shards": step.compute_seconds - share * self.costs.compute_seconds(self.costs.shard_count),
        }

    def _candidate_steps(self, is_weak: bool) -> list[ScaledStep]:
        return [self.weak_step(workers) if is_weak else self.strong_step(workers) for workers in self.candidates]


def network_seconds(traffic: Traffic, costs: StepCosts, link: Link) -> float:
    """The time of an exchange: messages travel both ways at once, while the processor copies what arrives."""
    bytes_moved = traffic.sent_bytes + traffic.received_bytes
    transfer = max(traffic.sent_bytes, traffic.received_bytes) / link.bytes_per_second
    processor = traffic.messages * costs.message_seconds + bytes_moved * costs.byte_seconds
    return traffic.rounds * link.latency_seconds + max(transfer, processor) + traffic.added_elements * costs.add_seconds
