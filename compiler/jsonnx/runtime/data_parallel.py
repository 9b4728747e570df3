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

from ..core.types import BATCH, TensorType
from ..lowering.cost import macs_of, parameters_of
from ..training.reserved_names import SHARE
from .session import element_type
from .worker_thread import Helper

if TYPE_CHECKING:
    from .training_plan import Plan, SharedStep
    from .variables import Runner

FEWEST = 8
"""Samples that are worth a share."""
FEWEST_CONVOLVED = 16
"""The same where they are convolved: fewer do not fill a block of a convolution's weights' gradient. A U-Net with 8
takes 1.1 of the time near each other, 0.94 far apart."""
WORK = 50_000_000
"""Multiply-adds of a batch, forwards, from which on a step takes so long (2 ms) that to wake a thread and to add up are
small beside it."""
REUSE = 200
"""How often a batch meets a weight, over the square of the shares: from there on, to have that many gradients of it and
to add them up takes less time than is gained. Found with two shares; the square is what gradients, of which each share
makes all, are to its share of the work."""

Arrays = Mapping[str, np.ndarray]
Run = Callable[[Arrays], None]


class Shares:
    """Runs a shared step, as a `Runner` does a whole one: every share by a runner of its own, all at once, then
    `rest`."""

    stays = True
    """Arrays that were bound once are read where they lie."""

    def __init__(self, step: SharedStep, shares: Sequence[Runner], rest: Runner, fetched: Iterable[str]) -> None:
        graph = step.share
        axes = {name: batch_axis(value.type) for name, value in {**graph.inputs, **graph.randoms}.items()}
        self._parts = [Part(number, len(shares), share.fed, axes) for number, share in enumerate(shares)]
        self._shares, self._rest = shares, rest
        self._made = [_places(graph.outputs) for _ in shares]
        self._others = [Helper() for _ in shares[1:]]
        self._results = _places({name: step.rest.outputs[name] for name in fetched})
        self._run = self.bound({}, self._results)

    def __call__(self, feeds: Arrays) -> dict[str, np.ndarray]:
        """The fetched outputs. Updates become the variables' current values."""
        self._run(feeds)
        return {name: array.copy() for name, array in self._results.items()}

    def bound(self, feeds: Arrays, results: Arrays) -> Run:
        """What runs with these arrays, which stay where they are, and with those that it is called with besides."""
        helpers, fed = self._others, self._rest.fed  # and not `self`: it holds such a run
        made = list(zip(self._shares, self._parts, self._made, strict=True))
        first, *others = [_one(share, part, feeds, places) for share, part, places in made]
        sums = {f"+{part.number}/{name}": array for _, part, places in made for name, array in places.items()}
        rest = self._rest.bound(sums | _of(feeds, fed), results)

        def run(further: Arrays) -> None:
            tasks = [helper.begin(partial(other, further)) for helper, other in zip(helpers, others, strict=True)]
            try:
                first(further)
            finally:
                failed = next(filter(None, [task.take_exception() for task in tasks]), None)
            try:
                if failed is not None:
                    raise failed
            finally:
                del failed  # it knows this frame, and so all that is here
            rest(_of(further, fed))

        return run


def _one(share: Runner, part: Part, feeds: Arrays, places: Arrays) -> Run:
    """A share of a step. One of no samples gives zeros."""
    fixed = part.of(feeds)
    bound = share.bound(fixed, places)

    def run(further: Arrays) -> None:
        own = part.of(further)
        if fixed.get(SHARE, own.get(SHARE)):
            bound(own)
            return
        for array in places.values():
            array.fill(0)

    return run


@dataclass(frozen=True)
class Part:
    """What one of `count` shares is fed of a batch."""

    number: int
    count: int
    fed: Sequence[str]
    axes: Mapping[str, int | None]
    """Along which samples lie, of each array that may be fed."""

    def of(self, feeds: Arrays) -> dict[str, np.ndarray]:
        """Its part of these; the first shares of few samples have one."""
        part = {}
        for name, array in _of(feeds, self.fed).items():
            axis = self.axes[name]
            if axis is not None:
                samples = array.shape[axis]
                start, end = (-(-samples * number // self.count) for number in (self.number, self.number + 1))
                array = np.ascontiguousarray(array[(slice(None),) * axis + (slice(start, end),)])
                part[SHARE] = np.array((end - start) / samples, np.float32)
            part[name] = array
        return part


def shared_out(plan: Plan, threads: int) -> SharedStep | None:
    """The step in shares, one for each thread, where that is worth it; None elsewhere."""
    batch = plan.training.batch_size
    fewest = FEWEST_CONVOLVED if any(node.op == "Conv" for node in plan.predict.nodes) else FEWEST
    if plan.shared is None or threads < 2 or batch < fewest * threads or plan.training.remat is not None:
        return None
    work = batch * (macs_of(plan.predict) or 0)
    if work < max(WORK, REUSE * threads**2 * parameters_of(plan.predict)):
        return None
    step = plan.shared(threads)
    return step if all(value.type.is_fixed() for value in step.share.outputs.values()) else None


def batch_axis(type: TensorType) -> int | None:
    """The axis along which samples lie; None where there is none."""
    return type.shape.index(BATCH) if BATCH in type.shape else None


def _of(feeds: Arrays, names: Iterable[str]) -> dict[str, np.ndarray]:
    return {name: feeds[name] for name in names if name in feeds}


def _places(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.empty(value.shape, element_type(value.dtype)) for name, value in values.items()}
