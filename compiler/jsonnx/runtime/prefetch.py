"""Batches of several steps, made ready at once in places that stay the same.

A small step takes less time than to make its batch, to hand it from one thread to another and to tell onnxruntime where
it lies. So a lane has room for some steps in a row: its places are filled with one copy, and are bound once.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ..training.reserved_names import RATE
from .data_parallel import Shares
from .random import batch_sizes, step_randoms
from .training_plan import Plan
from .variables import SETS, Runner

if TYPE_CHECKING:
    from .dataset import Samples

STEPS = range(48, 97, SETS)
"""How many steps a lane may have. With 192 one of 20 us took 21.5: what is bound no longer fits into a cache."""
USES = 16
"""How often a slot is used in an epoch, where there are more than the fewest: binding one takes as long as a step."""
ROOM = 1 << 22
"""Bytes of a lane, where one batch is not larger. With a sixteenth of it, where batches of 0.4 MB were made ready one
by one, a fit of 784-512-10 took a tenth longer on two processors: each waits for a thread to be woken."""


class Slot:
    """The places of one step: `feeds` and `results` are arrays that are overwritten, `further` what else it is fed."""

    def __init__(self, runner: Runner | Shares, feeds: dict[str, np.ndarray], results: dict[str, np.ndarray]) -> None:
        self.runner, self.feeds, self.results = runner, feeds, results
        self.further: dict[str, np.ndarray] = {}
        self.run = runner.bound(feeds, results)
        """`run(further)` runs the step."""


class Lane:
    """Slots for full batches of some samples, one behind the other."""

    def __init__(self, plan: Plan, runner: Runner | Shares, samples: Samples, batch_size: int) -> None:
        self._plan, self._runner, self.samples, self._batch_size = plan, runner, samples, batch_size
        self._sizes = sizes = samples.sizes()
        count = self._count(samples)
        self._rates = np.full(count, plan.rate(0), np.float32)
        self._rows = {name: np.empty((count * batch_size, *shape), dtype) for name, (shape, dtype) in sizes.items()}
        outputs = {name: plan.train.outputs[name] for name in plan.fetched}
        made = {name: np.empty((count, *value.shape), value.dtype) for name, value in outputs.items()}

        def slot(index: int) -> Slot:
            rows = slice(index * batch_size, (index + 1) * batch_size)
            feeds = {name: places[rows] for name, places in self._rows.items()}
            return Slot(runner, feeds | {RATE: self._rates[index, ...]}, {n: a[index, ...] for n, a in made.items()})

        self.slots = [slot(index) for index in range(count)]

    def _count(self, samples: Samples) -> int:
        """How many steps are worth a slot: a multiple of the sets of variables where there is room, so that each slot
        may always meet the same one, and is bound once."""
        batch = self._batch_size * sum(prod(shape) * dtype.itemsize for shape, dtype in self._sizes.values())
        steps = len(samples) // self._batch_size
        most = max(STEPS[0], min(STEPS[-1], steps // USES // STEPS.step * STEPS.step))
        if self._plan.train.randoms:
            most = 1  # what is drawn for a step takes long, and much room
        count = max(1, min(most, ROOM // max(1, batch), steps + SETS - 1))
        return count - count % SETS if count > SETS else count

    def suits(self, runner: Runner | Shares, samples: Samples, batch_size: int) -> bool:
        """Whether the slots serve for other samples, too."""
        alike = (runner, samples.sizes(), batch_size) == (self._runner, self._sizes, self._batch_size)
        return alike and self._count(samples) <= len(self.slots)

    def fill(self, rows: np.ndarray | slice, step: int, first: int) -> list[Slot]:
        """Batches of these samples, for the steps from `step` on, in the slots from number `first` on."""
        size = self._batch_size
        end = first + (rows.stop - rows.start if isinstance(rows, slice) else len(rows)) // size
        self.samples.take_into({name: a[first * size : end * size] for name, a in self._rows.items()}, rows)
        slots = self.slots[first:end]
        if self._plan.learning_rate is not None:
            self._rates[first:end] = [self._plan.rate(step + index) for index in range(len(slots))]
        for index, slot in enumerate(slots if self._plan.train.randoms else ()):
            sizes = batch_sizes(self._plan.inputs, slot.feeds)
            slot.further = step_randoms(self._plan.train.randoms, self._plan.seed, step + index, sizes)
        return slots
