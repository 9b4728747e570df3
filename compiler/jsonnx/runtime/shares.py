"""A step whose batch is shared out: every thread goes through the network with samples of its own.

onnxruntime shares out each operator: all threads meet before the next one, what one thread alone does keeps the others
waiting, and what one has in its cache another reads next. With a share of the batch a thread meets the others once in a
step, when their gradients are added up. The weights are the same for all.

On two processors a step took 0.9 to 0.98 of the time for recurrent networks and sequences, and as long as before, by a
few hundredths more or less, for large convolutions. But where the machine's owner had the two processors far from each
other, with no cache in common, for minutes at a time, small networks of convolutions took 0.6 of the time, and
recurrent ones half: there whole operators take up to twice as long as elsewhere, and shares do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import numpy as np

from ..passes.cost import macs_of, parameters_of
from ..training.names import SHARE
from ..types import BATCH, TensorType
from .session import element_type

if TYPE_CHECKING:
    from .plan import Plan, SharedStep
    from .variables import Runner

FEWEST = 8
"""Samples that are worth a share. Of 8, half of a block of the weights' gradients is filled up, and it still gains."""
WORK = 50_000_000
"""Multiply-adds of a batch, forwards, from which on a step takes so long (2 ms) that to wake a thread and to add up are
small beside it."""
REUSE = 200
"""How often a batch meets a weight, over the square of the shares: from there on, to have that many gradients of it and
to add them up takes less time than is gained. A Dense layer in a batch of 1,024 is beyond, just so."""

Arrays = Mapping[str, np.ndarray]
Run = Callable[[Arrays], None]


class Shares:
    """Runs a shared step, as a `Runner` does a whole one: every share by a runner of its own, all at once, then
    `rest`."""

    stays = True
    """Arrays that were bound once are read where they lie."""

    def __init__(self, step: SharedStep, shares: Sequence[Runner], rest: Runner, fetched: Iterable[str]) -> None:
        graph = step.share
        self._shares, self._rest = shares, rest
        self._axes = {name: batch_axis(value.type) for name, value in {**graph.inputs, **graph.randoms}.items()}
        self._made = [_places(graph.outputs) for _ in shares]
        self._results = _places({name: step.rest.outputs[name] for name in fetched})
        self._others = ThreadPoolExecutor(len(shares) - 1, "share")
        self._run: Run | None = None

    def __call__(self, feeds: Arrays) -> dict[str, np.ndarray]:
        """The fetched outputs. Updates become the variables' current values."""
        self._run = self._run or self.bound({}, self._results)
        self._run(feeds)
        return {name: array.copy() for name, array in self._results.items()}

    def bound(self, feeds: Arrays, results: Arrays) -> Run:
        """What runs with these arrays, which stay where they are, and with those that it is called with besides."""
        numbers = range(len(self._shares))
        runs = [share.bound(self._part(feeds, n), self._made[n]) for n, share in enumerate(self._shares)]
        sums = {f"{name}/{n}": array for n in numbers for name, array in self._made[n].items()}
        rest = self._rest.bound(sums | _of(feeds, self._rest), results)

        def run(further: Arrays) -> None:
            others = [self._others.submit(runs[n], self._part(further, n)) for n in numbers[1:]]
            try:
                runs[0](self._part(further, 0))
            finally:
                wait(others)  # they write where those of the next step do
            for other in others:
                other.result()
            rest(_of(further, self._rest))

        return run

    def _part(self, feeds: Arrays, number: int) -> dict[str, np.ndarray]:
        """What a share is fed of these; a share of no samples gets one, which does not count."""
        part, count = {}, len(self._shares)
        for name, array in _of(feeds, self._shares[number]).items():
            axis = self._axes[name]
            if axis is None:
                part[name] = array
                continue
            samples = array.shape[axis]
            start, end = samples * number // count, samples * (number + 1) // count
            part[name] = array[(slice(None),) * axis + (slice(start, end) if start < end else slice(1),)]
            part[SHARE] = np.array((end - start) / samples, np.float32)
        return {name: np.ascontiguousarray(array) if array.ndim else array for name, array in part.items()}


def shared_out(plan: Plan, threads: int) -> SharedStep | None:
    """The step in shares, one for each thread, where that is worth it; None elsewhere."""
    batch = plan.training.batch_size
    if plan.shared is None or threads < 2 or batch < FEWEST * threads or plan.training.remat is not None:
        return None
    work = batch * (macs_of(plan.predict) or 0)
    if work < max(WORK, REUSE * threads**2 * parameters_of(plan.predict)):
        return None
    step = plan.shared(threads)
    return step if all(value.type.is_fixed() for value in step.share.outputs.values()) else None


def batch_axis(type: TensorType) -> int | None:
    """The axis along which samples lie; None where there is none."""
    return type.shape.index(BATCH) if BATCH in type.shape else None


def _of(feeds: Arrays, runner: Runner) -> dict[str, np.ndarray]:
    return {name: feeds[name] for name in runner.fed if name in feeds}


def _places(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.empty(value.shape, element_type(value.dtype)) for name, value in values.items()}
