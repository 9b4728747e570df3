"""A step whose batch is shared out: every thread goes through the network with samples of its own.

onnxruntime shares out each operator: all threads meet before the next one, what one thread alone does keeps the others
waiting, and what one has in its cache another reads next. With a share of the batch a thread meets the others once in a
step, when their gradients are added up. The weights are the same for all.

On two processors near each other a step took 0.77 to 0.98 of the time for recurrent networks, and 0.92 to 1.04 for
those of convolutions. Far apart, which the owner of a shared machine decides and may change every few minutes (to write
512 KB that the other has read last took 220 us then, not 42), whole operators take up to twice as long, and shares as
long as ever: 0.5 to 0.66 of the time for small networks, 0.8 to 0.9 for large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.reserved_names import SHARD_FRACTION, shard_result_name
from ..core.types import BATCH, TensorType
from ..ir.cost import count_macs, count_parameters
from .session import numpy_dtype
from .worker_thread import WorkerThread

if TYPE_CHECKING:
    from .training_plan import ShardedGraphs, TrainingPlan
    from .variables import Runner

MIN_SHARD_SAMPLES = 8
"""Samples that are worth a share."""
MIN_CONV_SHARD_SAMPLES = 16
"""The same where they are convolved: fewer do not fill a block of a convolution's weights' gradient. A U-Net with 8
takes 1.1 of the time near each other, 0.94 far apart."""
MIN_BATCH_MACS = 50_000_000
"""Multiply-adds of a batch, forwards, from which on a step takes so long (2 ms) that to wake a thread and to add up are
small beside it."""
MIN_WEIGHT_REUSE = 200
"""How often a batch meets a weight, over the square of the shares: from there on, to have that many gradients of it and
to add them up takes less time than is gained. Found with two shares; the square is what gradients, of which each share
makes all, are to its share of the work."""

Arrays = Mapping[str, np.ndarray]
RunFn = Callable[[Arrays], None]


class ShardedStep:
    """Runs a shared step, as a `Runner` does a whole one: every share by a runner of its own, all at once, then
    `combiner`."""

    keeps_bindings = True
    """Arrays that were bound once are read where they lie."""

    def __init__(
        self, step: ShardedGraphs, shard_runners: Sequence[Runner], combiner: Runner, fetched_names: Iterable[str]
    ) -> None:
        graph = step.shard
        axes = {name: batch_axis(value.type) for name, value in {**graph.inputs, **graph.randoms}.items()}
        self._shards = [
            Shard(number, len(shard_runners), share.fed_names, axes) for number, share in enumerate(shard_runners)
        ]
        self._shard_runners, self._combiner = shard_runners, combiner
        self._shard_outputs = [_allocate_outputs(graph.outputs) for _ in shard_runners]
        self._workers = [WorkerThread() for _ in shard_runners[1:]]
        self._results = _allocate_outputs({name: step.combiner.outputs[name] for name in fetched_names})
        self._run = self.bind({}, self._results)

    def __call__(self, feeds: Arrays) -> dict[str, np.ndarray]:
        """The fetched outputs. Updates become the variables' current values."""
        self._run(feeds)
        return {name: array.copy() for name, array in self._results.items()}

    def bind(self, feeds: Arrays, results: Arrays) -> RunFn:
        """What runs with these arrays, which stay where they are, and with those that it is called with besides."""
        helpers, fed = self._workers, self._combiner.fed_names  # and not `self`: it holds such a run
        made = list(zip(self._shard_runners, self._shards, self._shard_outputs, strict=True))
        first, *others = [_bind_shard(share, part, feeds, places) for share, part, places in made]
        sums = {
            shard_result_name(part.index, name): array for _, part, places in made for name, array in places.items()
        }
        rest = self._combiner.bind(sums | _select(feeds, fed), results)

        def run(further: Arrays) -> None:
            tasks = [helper.submit(partial(other, further)) for helper, other in zip(helpers, others, strict=True)]
            try:
                first(further)
            finally:
                failed = next(filter(None, [task.take_exception() for task in tasks]), None)
            try:
                if failed is not None:
                    raise failed
            finally:
                del failed  # it knows this frame, and so all that is here
            rest(_select(further, fed))

        return run


def _bind_shard(share: Runner, part: Shard, feeds: Arrays, places: Arrays) -> RunFn:
    """A share of a step. One of no samples gives zeros."""
    fixed = part.slice_feeds(feeds)
    bound = share.bind(fixed, places)

    def run(further: Arrays) -> None:
        own = part.slice_feeds(further)
        if fixed.get(SHARD_FRACTION, own.get(SHARD_FRACTION)):
            bound(own)
            return
        for array in places.values():
            array.fill(0)

    return run


@dataclass(frozen=True)
class Shard:
    """What one of `count` shares is fed of a batch."""

    index: int
    count: int
    fed_names: Sequence[str]
    batch_axes: Mapping[str, int | None]
    """Along which samples lie, of each array that may be fed."""

    def slice_feeds(self, feeds: Arrays) -> dict[str, np.ndarray]:
        """Its part of these; the first shares of few samples have one."""
        part = {}
        for name, array in _select(feeds, self.fed_names).items():
            axis = self.batch_axes[name]
            if axis is not None:
                samples = array.shape[axis]
                start, end = (-(-samples * number // self.count) for number in (self.index, self.index + 1))
                array = np.ascontiguousarray(array[(slice(None),) * axis + (slice(start, end),)])
                part[SHARD_FRACTION] = np.array((end - start) / samples, np.float32)
            part[name] = array
        return part


def plan_shards(plan: TrainingPlan, threads: int) -> ShardedGraphs | None:
    """The step in shares, one for each thread, where that is worth it; None elsewhere."""
    batch = plan.training.batch_size
    fewest = MIN_CONV_SHARD_SAMPLES if any(node.op == "Conv" for node in plan.predict.nodes) else MIN_SHARD_SAMPLES
    if plan.make_shards is None or threads < 2 or batch < fewest * threads or plan.training.remat is not None:
        return None
    work = batch * (count_macs(plan.predict) or 0)
    if work < max(MIN_BATCH_MACS, MIN_WEIGHT_REUSE * threads**2 * count_parameters(plan.predict)):
        return None
    step = plan.make_shards(threads)
    return step if all(value.type.is_static() for value in step.shard.outputs.values()) else None


def batch_axis(type: TensorType) -> int | None:
    """The axis along which samples lie; None where there is none."""
    return type.shape.index(BATCH) if BATCH in type.shape else None


def _select(feeds: Arrays, names: Iterable[str]) -> dict[str, np.ndarray]:
    return {name: feeds[name] for name in names if name in feeds}


def _allocate_outputs(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.empty(value.shape, numpy_dtype(value.dtype)) for name, value in values.items()}
