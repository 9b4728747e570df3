"""Training steps by virtual shards: the batch is split into a fixed number of shards, whatever computes them.

Threads of a worker compute gradients of shards, each in a session with one thread; a collective adds them over all
workers by a fixed tree. So the sum has the same bits for any number of threads and workers, and each worker updates its
own copy of the weights by it. Gradients of lazily updated tables are sparse: their indices and rows are added by the
same tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from ...collective.shard_tree import ShardSums
from ...collective.sparse_sums import SparseGradient, SparseSums, sparse_sum
from ...core.reserved_names import (
    BATCH_SAMPLES,
    SHARD_FRACTION,
    gradient_indices_name,
    gradient_rows_name,
    shard_result_name,
    sparse_gradient_weight,
)
from ..providers.aligned_arrays import AlignedArrays, with_alignment
from ..providers.flush_denormals import denormals_flushed
from ..sharding.flat_layout import FlatLayout
from ..sharding.rank_evaluation import MeasuredBatch, gathered
from ..sharding.shard_group import ShardGroup
from .data_parallel import batch_axis
from .worker_thread import WorkerThread

if TYPE_CHECKING:
    from ...ir import Graph
    from ..training_plan import ShardedGraphs
    from .runner import RunFunction, Runner

Arrays = Mapping[str, np.ndarray]


class VirtualShardStep:
    """Runs a training step by virtual shards, with the interface of a `Runner`."""

    keeps_bindings = False

    def __init__(
        self,
        group: ShardGroup,
        graphs: ShardedGraphs,
        shard_runners: Sequence[Runner],
        updater: Runner,
        fetched_names: Iterable[str],
    ) -> None:
        """Each of `shard_runners` has a thread of its own; `updater` runs the graph that takes the sum of all
        shards."""
        shard = graphs.shard
        self._group, self._layout = group, FlatLayout(shard.outputs)
        self._axes = {name: batch_axis(value.type) for name, value in {**shard.inputs, **shard.randoms}.items()}
        self._rounded = self._layout.gradient_elements if group.compresses else 0
        self._row_widths = _row_widths(shard)
        self._reset_sums()
        self._threads = [_ShardThread(runner, self._layout) for runner in shard_runners]
        self._workers = [WorkerThread() for _ in shard_runners[1:]]
        self._total = AlignedArrays().zeros((self._layout.elements,), np.dtype(np.float32))
        self._lock = Lock()
        self._updater = updater
        self._fetched_names = [name for name in fetched_names if name not in self._layout.row_names]

    def _reset_sums(self) -> None:
        group = self._group
        self._sums = ShardSums(group.first, group.end, group.shard_count, self._rounded)
        self._sparse_sums = SparseSums(group.collective, group.shard_count, self._row_widths, group.compresses)
        self._rows: list[MeasuredBatch] = []
        """The rows of samples that metrics keep, of each shard of this rank."""

    @cached_property
    def _update(self) -> tuple[RunFunction, dict[str, np.ndarray]]:
        """The bound update, and the results that it writes."""
        views = self._layout.views(self._total)
        feeds = {shard_result_name(0, name): view for name, view in views.items()}
        feeds = {name: feeds[name] for name in self._updater.fed_names if name in feeds}
        results = {name: np.empty_like(views[name]) for name in self._fetched_names}
        return self._updater.bind(feeds, results), results

    def __call__(self, feeds: Arrays) -> dict[str, np.ndarray]:
        """The losses and metric sums of the whole batch, of which `feeds` has this rank's rows. Updates become the
        variables' current values."""
        group, layout = self._group, self._layout
        try:
            self._run_threads(feeds, iter(range(group.first, group.end)))
        except BaseException:  # also Ctrl-C: some shards may be added
            self._reset_sums()
            raise
        parts = self._sums.take() if group.first < group.end else []
        if parts:
            layout.stops(parts[0])[:] += group.requested_stops
        with denormals_flushed():  # in all sums, or bits would depend on what else the thread does
            total = group.collective.all_reduce(parts, self._rounded)
            np.copyto(self._total, total)
            weight = layout.divide_by_weight(self._total)
            sparse_means = {table: gradient.divided(weight) for table, gradient in self._sparse_sums.total().items()}
        group.agreed_stops = layout.stops(self._total).copy()
        run, results = self._update
        further = {name: feeds[name] for name in self._updater.fed_names if name in feeds}
        for table, gradient in sparse_means.items():
            further[shard_result_name(0, gradient_indices_name(table))] = gradient.indices
            further[shard_result_name(0, gradient_rows_name(table))] = gradient.rows
        run(further)
        return {name: array.copy() for name, array in results.items()} | self._gathered_rows()

    def _sparse_gradients(self, results: Arrays) -> dict[str, SparseGradient]:
        """The sparse gradients among the results of a shard, by weight: none if it has no samples."""
        gradients = {
            weight: SparseGradient(results[gradient_indices_name(weight)], results[gradient_rows_name(weight)])
            for weight in self._sparse_sums.widths
            if results
        }
        with denormals_flushed():
            return {weight: sparse_sum([gradient], self._group.compresses) for weight, gradient in gradients.items()}

    def _gathered_rows(self) -> dict[str, np.ndarray]:
        """The rows of samples that metrics keep, of all shards in their order."""
        if not self._layout.row_names:
            return {}
        own, self._rows = sorted(self._rows), []
        shards = gathered(self._group.collective, own)
        return {name: np.concatenate([shard.results[name] for shard in shards]) for name in self._layout.row_names}

    def _run_threads(self, feeds: Arrays, pending: Iterable[int]) -> None:
        """Computes the shards that are pending, on all threads."""

        def run(thread: _ShardThread) -> None:
            while True:
                with self._lock:
                    shard = next(pending, None)  # type: ignore[call-overload]
                    if shard is None:
                        return
                    vector = self._sums.buffer(self._layout.elements)
                results = thread.run(self._slice(feeds, shard), vector)
                gradients = self._sparse_gradients(results)
                rows = {name: results[name] for name in self._layout.row_names if name in results}
                with self._lock:
                    with denormals_flushed():
                        self._sums.add(shard, vector)
                        self._sparse_sums.add(shard, gradients)
                    if rows:
                        self._rows.append(MeasuredBatch(shard, len(next(iter(rows.values()))), rows))

        futures: list[Future[None]] = []
        try:
            for worker, thread in zip(self._workers, self._threads[1:], strict=True):
                futures.append(worker.submit(lambda thread=thread: run(thread)))  # type: ignore[misc]
            run(self._threads[0])
        finally:  # all threads end before their memory is used again
            errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise errors[0]

    def _slice(self, feeds: Arrays, shard: int) -> dict[str, np.ndarray]:
        """A shard's part of this rank's feeds, aligned alike on all ranks, whose first rows differ."""
        samples = int(feeds[BATCH_SAMPLES])
        rows = self._group.own_shard_rows(shard, samples)
        sliced = {SHARD_FRACTION: np.array((rows.stop - rows.start) / samples, np.float32)}
        for name, axis in self._axes.items():
            if name in feeds:
                array = feeds[name]
                sliced[name] = array if axis is None else with_alignment(array[(slice(None),) * axis + (rows,)])
        return sliced


def _row_widths(shard: Graph) -> dict[str, int]:
    """The lengths of the rows of sparse gradients, by weight."""
    parts = {name: weight for name in shard.outputs if (weight := sparse_gradient_weight(name))}
    return {
        weight: shard.outputs[name].type.static_size(1)
        for name, weight in parts.items()
        if name == gradient_rows_name(weight)
    }


class _ShardThread:
    """Computes shards one after the other, with a session of its own."""

    def __init__(self, runner: Runner, layout: FlatLayout) -> None:
        self._runner, self._layout = runner, layout
        self._bound: dict[int, tuple[np.ndarray, RunFunction]] = {}
        """By address: the vectors to which results were written, and the functions that do it."""

    def run(self, feeds: Arrays, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Writes the results of a shard to a vector: zeros if it has no samples. Returns those that have no place
        there: sparse gradients and rows of samples."""
        if not feeds[SHARD_FRACTION]:
            vector.fill(0)
            return {}
        feeds = {name: feeds[name] for name in self._runner.fed_names}
        if not self._runner.keeps_bindings:  # strings among the inputs
            vector.fill(0)
            results = self._runner(feeds)
            for name, view in self._layout.views(vector).items():
                view[...] = results.pop(name)
            return results
        address = vector.ctypes.data
        if address not in self._bound:
            vector.fill(0)  # what is between the results
            self._bound[address] = vector, self._runner.bind({}, self._layout.views(vector))
        self._layout.stops(vector).fill(0)
        self._bound[address][1](feeds)
        return self._runner.unbound_results
