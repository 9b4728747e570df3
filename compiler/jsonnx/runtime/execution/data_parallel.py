"""Data-parallel training steps: every thread runs forward and backward passes for a shard of the batch.

onnxruntime splits each operator: all threads synchronise before the next one, an operator that runs on one thread
delays the others, and a thread reads values from another one's cache. If each thread computes a shard of the batch,
threads synchronise once per step, to add up gradients. The weights are shared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.numpy_types import numpy_dtype
from ...core.reserved_names import SHARD_FRACTION, shard_result_name
from ...core.types import BATCH, TensorType
from ...ir.cost import count_macs, count_parameters
from .worker_thread import WorkerThread

if TYPE_CHECKING:
    from ..training_plan import ShardedGraphs, TrainingPlan
    from .runner import RunFunction, Runner

MIN_SHARD_SAMPLES = 8
MIN_CONV_SHARD_SAMPLES = 16
"""Minimum samples per thread with convolutions: fewer do not fill a block of the weight gradient's NCHWc kernel."""
MIN_BATCH_MACS = 50_000_000
"""Multiply-adds in the forward pass of a batch: in smaller steps, waking a thread and adding gradients take too large a
part of the time."""
MIN_WEIGHT_REUSE = 200
"""Multiply-adds per weight in the forward pass of a batch, over the square of the number of shards. Every shard
computes gradients of all weights, so their cost relative to a shard's work grows with that square. Measured with two
shards."""

Arrays = Mapping[str, np.ndarray]


class ShardedStep:
    """Runs a data-parallel step with the interface of a `Runner`: a runner per shard, all at once, then the
    combiner."""

    keeps_bindings = True
    """Every run reads bound arrays in place."""

    def __init__(
        self, graphs: ShardedGraphs, shard_runners: Sequence[Runner], combiner: Runner, fetched_names: Iterable[str]
    ) -> None:
        shard = graphs.shard
        axes = {name: batch_axis(value.type) for name, value in {**shard.inputs, **shard.randoms}.items()}
        self._shards = [
            Shard(index, len(shard_runners), runner.fed_names, axes) for index, runner in enumerate(shard_runners)
        ]
        self._shard_runners, self._combiner = shard_runners, combiner
        self._shard_outputs = [_allocate_outputs(shard.outputs) for _ in shard_runners]
        self._workers = [WorkerThread() for _ in shard_runners[1:]]
        self._results = _allocate_outputs({name: graphs.combiner.outputs[name] for name in fetched_names})
        self._run = self.bind({}, self._results)

    def __call__(self, feeds: Arrays) -> dict[str, np.ndarray]:
        """The fetched outputs. Updates become the variables' current values."""
        self._run(feeds)
        return {name: array.copy() for name, array in self._results.items()}

    def bind(self, feeds: Arrays, results: Arrays) -> RunFunction:
        """A function that reads `feeds` in place, writes the fetched outputs to `results`, and may be called
        with further feeds."""
        workers, combiner_feeds = self._workers, self._combiner.fed_names  # the function must not hold `self`: a cycle
        parts = list(zip(self._shard_runners, self._shards, self._shard_outputs, strict=True))
        run_first, *run_others = [_bind_shard(runner, shard, feeds, outputs) for runner, shard, outputs in parts]
        shard_results = {
            shard_result_name(shard.index, name): array
            for _, shard, outputs in parts
            for name, array in outputs.items()
        }
        combine = self._combiner.bind(shard_results | _select(feeds, combiner_feeds), results)

        def run(further_feeds: Arrays) -> None:
            futures: list[Future[None]] = []
            error = None
            try:
                try:
                    for worker, run_other in zip(workers, run_others, strict=True):
                        futures.append(worker.submit(partial(run_other, further_feeds)))
                    run_first(further_feeds)
                finally:  # all shards end before their outputs are used again
                    error = next(filter(None, [future.exception() for future in futures]), None)
                if error is not None:
                    raise error
            finally:
                del futures, error  # the error holds this frame
            combine(_select(further_feeds, combiner_feeds))

        return run


def _bind_shard(runner: Runner, shard: Shard, feeds: Arrays, outputs: Arrays) -> RunFunction:
    """A function that runs a shard of a step. Without samples, the outputs are zeros."""
    fixed_feeds = shard.slice_feeds(feeds)
    run_bound = runner.bind(fixed_feeds, outputs)

    def run(further_feeds: Arrays) -> None:
        shard_feeds = shard.slice_feeds(further_feeds)
        if fixed_feeds.get(SHARD_FRACTION, shard_feeds.get(SHARD_FRACTION)):
            run_bound(shard_feeds)
            return
        for array in outputs.values():
            array.fill(0)

    return run


@dataclass(frozen=True)
class Shard:
    """One of `count` shards of a batch."""

    index: int
    count: int
    fed_names: Sequence[str]
    batch_axes: Mapping[str, int | None]
    """The axis of the samples, by feed; None for arrays that all shards get whole."""

    def slice_feeds(self, feeds: Arrays) -> dict[str, np.ndarray]:
        """The shard's part of the feeds. If there are fewer samples than shards, the last shards get none."""
        shard_feeds = {}
        for name, array in _select(feeds, self.fed_names).items():
            axis = self.batch_axes[name]
            if axis is not None:
                samples = array.shape[axis]
                start, end = (-(-samples * number // self.count) for number in (self.index, self.index + 1))
                array = np.ascontiguousarray(array[(slice(None),) * axis + (slice(start, end),)])
                shard_feeds[SHARD_FRACTION] = np.array((end - start) / samples, np.float32)
            shard_feeds[name] = array
        return shard_feeds


def plan_shards(plan: TrainingPlan, threads: int, sparse_weights: Collection[str] = ()) -> ShardedGraphs | None:
    """The graphs of a data-parallel step: those of the virtual shards of a distributed training, in which gradients of
    some weights may be sparse, else with a shard per thread, or None if it would not be faster."""
    if plan.training.distributed is not None:
        return plan.make_shards(plan.training.distributed.shards, sparse_weights) if plan.make_shards else None
    batch = plan.training.batch_size
    has_convolutions = any(node.op == "Conv" for node in plan.predict.nodes)
    min_samples = MIN_CONV_SHARD_SAMPLES if has_convolutions else MIN_SHARD_SAMPLES
    if plan.make_shards is None or threads < 2 or batch < min_samples * threads or plan.training.remat is not None:
        return None
    min_macs = max(MIN_BATCH_MACS, MIN_WEIGHT_REUSE * threads**2 * count_parameters(plan.predict))
    if batch * (count_macs(plan.predict) or 0) < min_macs:
        return None
    graphs = plan.make_shards(threads)
    return graphs if all(value.type.is_static() for value in graphs.shard.outputs.values()) else None


def batch_axis(type: TensorType) -> int | None:
    """The axis of the samples; None if the tensor has none."""
    return type.shape.index(BATCH) if BATCH in type.shape else None


def _select(feeds: Arrays, names: Iterable[str]) -> dict[str, np.ndarray]:
    return {name: feeds[name] for name in names if name in feeds}


def _allocate_outputs(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.empty(value.shape, numpy_dtype(value.dtype)) for name, value in values.items()}
