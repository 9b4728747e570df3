"""Batches of several steps, made ready at once in places that stay the same.

A small step takes less time than to make its batch, to hand it from one thread to another and to tell onnxruntime where
it lies. So a lane has room for some steps in a row: its places are filled with one copy, and are bound once.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ..core.reserved_names import LEARNING_RATE
from .data_parallel import ShardedStep
from .random import step_randoms, symbol_sizes
from .training_plan import TrainingPlan
from .variables import SET_COUNT, Runner

if TYPE_CHECKING:
    from .dataset import Dataset

SLOT_COUNTS = range(48, 97, SET_COUNT)
"""How many steps a lane may have. With 192 one of 20 us took 21.5: what is bound no longer fits into a cache."""
MIN_SLOT_USES = 16
"""How often a slot is used in an epoch, where there are more than the fewest: binding one takes as long as a step."""
MAX_BUFFER_BYTES = 1 << 22
"""Bytes of a lane, where one batch is not larger. With a sixteenth of it, where batches of 0.4 MB were made ready one
by one, a fit of 784-512-10 took a tenth longer on two processors: each waits for a thread to be woken."""


class BatchSlot:
    """The places of one step: `feeds` and `results` are arrays that are overwritten, `extra_feeds` what else it is fed."""

    def __init__(
        self, runner: Runner | ShardedStep, feeds: dict[str, np.ndarray], results: dict[str, np.ndarray]
    ) -> None:
        self.runner, self.feeds, self.results = runner, feeds, results
        self.extra_feeds: dict[str, np.ndarray] = {}
        self.run = runner.bind(feeds, results)
        """`run(further)` runs the step."""


class PrefetchBuffer:
    """Slots for full batches of some samples, one behind the other."""

    def __init__(self, plan: TrainingPlan, runner: Runner | ShardedStep, samples: Dataset, batch_size: int) -> None:
        self._plan, self._runner, self.dataset, self._batch_size = plan, runner, samples, batch_size
        self._sample_types = sizes = samples.sample_types()
        count = self._slot_count(samples)
        self._rates = np.full(count, plan.rate(0), np.float32)
        self._arrays = {name: np.empty((count * batch_size, *shape), dtype) for name, (shape, dtype) in sizes.items()}
        outputs = {name: plan.train.outputs[name] for name in plan.fetched_names}
        made = {name: np.empty((count, *value.shape), value.dtype) for name, value in outputs.items()}

        def slot(index: int) -> BatchSlot:
            rows = slice(index * batch_size, (index + 1) * batch_size)
            feeds = {name: places[rows] for name, places in self._arrays.items()}
            return BatchSlot(
                runner, feeds | {LEARNING_RATE: self._rates[index, ...]}, {n: a[index, ...] for n, a in made.items()}
            )

        self.slots = [slot(index) for index in range(count)]

    def _slot_count(self, samples: Dataset) -> int:
        """How many steps are worth a slot: a multiple of the sets of variables where there is room, so that each slot
        may always meet the same one, and is bound once."""
        batch = self._batch_size * sum(prod(shape) * dtype.itemsize for shape, dtype in self._sample_types.values())
        steps = len(samples) // self._batch_size
        most = max(SLOT_COUNTS[0], min(SLOT_COUNTS[-1], steps // MIN_SLOT_USES // SLOT_COUNTS.step * SLOT_COUNTS.step))
        if self._plan.train.randoms:
            most = 1  # what is drawn for a step takes long, and much room
        count = max(1, min(most, MAX_BUFFER_BYTES // max(1, batch), steps + SET_COUNT - 1))
        return count - count % SET_COUNT if count > SET_COUNT else count

    def is_compatible(self, runner: Runner | ShardedStep, samples: Dataset, batch_size: int) -> bool:
        """Whether the slots serve for other samples, too."""
        alike = (runner, samples.sample_types(), batch_size) == (self._runner, self._sample_types, self._batch_size)
        return alike and self._slot_count(samples) <= len(self.slots)

    def fill(self, rows: np.ndarray | slice, step: int, first: int) -> list[BatchSlot]:
        """Batches of these samples, for the steps from `step` on, in the slots from number `first` on."""
        size = self._batch_size
        end = first + (rows.stop - rows.start if isinstance(rows, slice) else len(rows)) // size
        self.dataset.copy_into({name: a[first * size : end * size] for name, a in self._arrays.items()}, rows)
        slots = self.slots[first:end]
        if self._plan.learning_rate is not None:
            self._rates[first:end] = [self._plan.rate(step + index) for index in range(len(slots))]
        for index, slot in enumerate(slots if self._plan.train.randoms else ()):
            sizes = symbol_sizes(self._plan.inputs, slot.feeds)
            slot.extra_feeds = step_randoms(self._plan.train.randoms, self._plan.seed, step + index, sizes)
        return slots
