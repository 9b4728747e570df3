"""Measures on one machine what the model of distributed training needs: shards, update, messages and sums."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from statistics import median

import numpy as np

from ...collective.shard_tree import Vector, shard_range, tree_sum
from ...collective.tcp import Listener, TcpCollective
from ...core.callback import Callback, Logs
from ...core.system.cpu_count import checked_thread_count
from ...data.samples.dataset import Dataset
from ...runtime.fit.step_timer import EnoughSteps
from ...runtime.fit.trainer import PlanTrainer
from ...runtime.fit_arguments import fit_settings
from ...runtime.profile.scaling_model import Link, Scaling, StepCosts, Traffic
from ..check.check import CheckedSpec
from ..train.run_data import DataFiles
from .profile_network import WARM_UP_STEPS, ProfileOptions, checked_training_spec, opened_trainer
from .trace_network import training_samples

ASSUMED_SHARDS = 8
"""The shards of a spec that does not say how many, unless a batch has fewer samples."""
MAX_SECONDS = 10.0
"""After it, the measurement of a number of shards ends with the third step."""
MIN_STEPS = 3
RANKS = 4
"""The ranks that measure exchanges, as threads of this process."""
MIN_ELEMENTS = 16 * RANKS
"""The length of vectors that measure messages."""
MAX_ELEMENTS = 1 << 22
"""The maximum length of vectors that measure bytes."""
WARM_UP_EXCHANGES = 2
EXCHANGES = 20
ARCHIVE = b"PK\3\4"
"""How rows that metrics keep begin; other data are those of `SparseSums`."""
NO_TABLE_ROWS = bytes(1 << 18)
"""The data of a worker whose samples read no row of any table: zeros are the numbers of its rows."""
CONNECT_SECONDS = 30.0


def measure_scaling(spec_or_run: str, options: ProfileOptions, worker_counts: Sequence[int], link: Link) -> Scaling:
    """Measures steps of workers with the training data of a spec or of a RUN folder, and predicts those of all numbers.

    Raises CompileError for a spec that cannot be trained so and for data that do not fit, UsageError without data.
    """
    checked = checked_training_spec(spec_or_run, options)
    is_assumed = checked.network.training is not None and checked.network.training.distributed is None
    if is_assumed:
        options = replace(options, changes=(*options.changes, _shards_change(checked)))
        checked = checked_training_spec(spec_or_run, options)
    worker = _MeasuredWorker(0, 1)
    trainer, files = opened_trainer(spec_or_run, checked, options, worker)
    samples = training_samples(trainer.plan, DataFiles(options.data) if options.data else files)
    trainer.prepare(samples)
    section = trainer.plan.training.distributed
    assert section is not None
    shard_seconds, update_seconds, gathered_bytes, busy_shares = {}, {}, {}, []
    for shards, workers in _workers_by_shards(worker_counts, section.shards).items():
        if workers > 1:
            worker = _MeasuredWorker(_busiest_rank(workers, section.shards), workers)
            weights, provider = trainer.weights(), trainer.resolved_provider
            trainer = PlanTrainer(trainer.plan, provider, options.threads, weights, collective=worker)
        shard_seconds[shards], update_seconds[shards], busy_share = _step_times(trainer, samples, options.steps, worker)
        busy_shares.append(busy_share)
        if workers > 1:
            gathered_bytes[shards] = max(worker.gathered_bytes)
    message_seconds, byte_seconds, add_seconds = exchange_seconds(worker.elements)
    costs = StepCosts(
        batch_size=min(trainer.plan.training.batch_size, len(samples)),
        shard_count=section.shards,
        shard_seconds=shard_seconds,
        gathered_bytes=gathered_bytes,
        update_seconds=median(update_seconds.values()),
        vector_elements=worker.elements,
        rounded_elements=worker.rounded,
        message_seconds=message_seconds,
        byte_seconds=byte_seconds,
        add_seconds=add_seconds,
        busy_share=min(busy_shares),
    )
    return Scaling(spec_or_run, costs, link, worker_counts, checked_thread_count(options.threads), is_assumed)


def _shards_change(checked: CheckedSpec) -> str:
    """The change of a spec that says nothing of workers."""
    assert checked.network.training is not None
    shards = min(ASSUMED_SHARDS, checked.network.training.batch_size)
    return f'training.distributed={{"shards": {shards}}}'


def _workers_by_shards(worker_counts: Sequence[int], shard_count: int) -> dict[int, int]:
    """The numbers of shards that busiest workers have, most first, each with a number of workers where that is so."""
    counts = sorted({1, *worker_counts}, reverse=True)
    found = {-(-shard_count // workers): workers for workers in counts}
    return dict(sorted(found.items(), reverse=True))


def _busiest_rank(workers: int, shard_count: int) -> int:
    """The first rank with most shards."""
    ranges = [shard_range(rank, workers, shard_count) for rank in range(workers)]
    return max(range(workers), key=lambda rank: ranges[rank][1] - ranges[rank][0])


# -- steps -------------------------------------------------------------------------------------------------------------


class _MeasuredWorker:
    """A collective that stands for all workers but one: this one takes its own sum for that of all."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self.elements = self.rounded = 0
        self.reduce_times: list[float] = []
        self.gathered_bytes: list[int] = []
        """What each step gathers from all workers besides the vector: rows of tables, rows that metrics keep."""

    def all_reduce(self, parts: Sequence[Vector], rounded: int = 0) -> Vector:
        self.elements, self.rounded = len(parts[0]), rounded
        self.reduce_times.append(time.perf_counter())
        self.gathered_bytes.append(0)
        return parts[0]

    def all_gather(self, data: bytes) -> list[bytes]:
        if self.gathered_bytes:
            self.gathered_bytes[-1] += len(data)
        if data.startswith(ARCHIVE):
            return [data]
        others = [NO_TABLE_ROWS] * (self.size - 1)
        return [*others[: self.rank], data, *others[self.rank :]]

    def broadcast(self, data: bytes, root: int = 0) -> bytes:
        return data

    def barrier(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class _StepClock(Callback):
    """Records the ends of steps, and ends the fit after enough of them."""

    _reads_logs_lazily = True

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps, self._start = steps, time.perf_counter()
        self.ends: list[float] = []
        self.processor_times: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.ends.append(time.perf_counter())
        self.processor_times.append(time.process_time())
        measured = len(self.ends) - WARM_UP_STEPS
        is_late = self.ends[-1] - self._start > MAX_SECONDS
        if measured >= (min(MIN_STEPS, self._steps) if is_late else self._steps):
            raise EnoughSteps


def _step_times(
    trainer: PlanTrainer, samples: Dataset, steps: int, worker: _MeasuredWorker
) -> tuple[float, float, float]:
    """The median times of a step until its exchange, with the time before it, and of its update; and the share of the
    time in which the process had a processor."""
    clock = _StepClock(steps)
    with suppress(EnoughSteps):
        settings = fit_settings(trainer.plan.training, epochs=1, steps_per_epoch=WARM_UP_STEPS + steps)
        history = trainer.fit(samples, samples.subset(slice(1)), settings, (clock,))
        if history.signal is not None:
            raise KeyboardInterrupt
    before = [reduced - end for end, reduced in zip(clock.ends, worker.reduce_times[1:], strict=False)]
    updates = [end - reduced for end, reduced in zip(clock.ends, worker.reduce_times, strict=False)]
    wall, processor = (times[-1] - times[WARM_UP_STEPS - 1] for times in (clock.ends, clock.processor_times))
    return median(before[WARM_UP_STEPS - 1 :]), median(updates[WARM_UP_STEPS:]), processor / wall


# -- exchanges ---------------------------------------------------------------------------------------------------------


def exchange_seconds(elements: int) -> tuple[float, float, float]:
    """The processor's time for a message sent and one received, for a byte sent or received, and the time to add an
    element: by exchanges over TCP between threads, for vectors of about this length."""
    elements = max(4 * MIN_ELEMENTS, min(elements, MAX_ELEMENTS))
    add_seconds = _add_seconds(elements // RANKS)
    collectives = _connected()
    try:
        small, large = (_processor_seconds(collectives, length) for length in (MIN_ELEMENTS, elements))
    finally:
        for collective in collectives:
            collective.close()
    few, many = (Traffic.of(RANKS, RANKS, length) for length in (MIN_ELEMENTS, elements))
    added = (many.added_elements - few.added_elements) * add_seconds
    byte_seconds = max(0.0, large - small - added) / (2 * (many.sent_bytes - few.sent_bytes))
    return small / few.messages, byte_seconds, add_seconds


def _connected() -> list[TcpCollective]:
    listeners = [Listener("127.0.0.1") for _ in range(RANKS)]
    addresses, token = [listener.address for listener in listeners], secrets.token_bytes(32)

    def connect(rank: int) -> TcpCollective:
        return listeners[rank].connect(addresses, rank, RANKS, token, CONNECT_SECONDS, use_shared_memory=False)

    with ThreadPoolExecutor(RANKS) as executor:
        return list(executor.map(connect, range(RANKS)))


def _processor_seconds(collectives: Sequence[TcpCollective], elements: int) -> float:
    """The processor's time of a rank for an exchange: ranks share processors here, which they do not elsewhere."""

    def run(collective: TcpCollective, count: int) -> None:
        vector = np.zeros(elements, np.float32)
        for _ in range(count):
            collective.all_reduce([vector])

    with ThreadPoolExecutor(RANKS) as executor:
        list(executor.map(lambda collective: run(collective, WARM_UP_EXCHANGES), collectives))
        start = time.process_time()
        list(executor.map(lambda collective: run(collective, EXCHANGES), collectives))
        return (time.process_time() - start) / EXCHANGES / RANKS


def _add_seconds(elements: int) -> float:
    """The median time to add an element of a rank's slice, of vectors that come from elsewhere."""
    vectors = np.zeros((RANKS, elements), np.float32)
    parts = {(shard, shard + 1): vector for shard, vector in enumerate(vectors)}
    out, times = np.empty(elements, np.float32), []
    for _ in range(EXCHANGES):
        start = time.perf_counter()
        tree_sum(parts, RANKS, out)
        times.append(time.perf_counter() - start)
    return median(times) / (RANKS - 1) / elements
