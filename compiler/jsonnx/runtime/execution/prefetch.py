"""Buffers for the batches of several steps, filled at once on another thread.

A small step takes less time than preparing its batch, handing it from one thread to another and binding it. A buffer
therefore holds consecutive batches in slots: one copy fills them all, and each slot is bound once.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ...core.reserved_names import LEARNING_RATE
from ..providers.random import step_randoms, symbol_sizes
from .device_runner import DeviceRun, DeviceRunner
from .pinned_memory import pin
from .runner import Runner
from .variables import SET_COUNT
from .virtual_shards import VirtualShardStep

if TYPE_CHECKING:
    from ...data.samples.dataset import Dataset
    from ..training_plan import TrainingPlan
    from .step_runners import BindableRunner, StepRunner

SLOT_COUNTS = range(48, 97, SET_COUNT)
"""Slots of a buffer. With more, the bindings no longer fit into the cache of a core."""
DEVICE_SLOTS = 2 * SET_COUNT
"""Slots of a buffer for a device, each with tensors of its own there and with its own captured launches."""
MIN_SLOT_USES = 16
"""Uses of a slot per epoch, beyond the least number of slots: binding a slot takes as long as a step."""
MAX_BUFFER_BYTES = 1 << 22
"""Bytes of a buffer, unless a single batch is larger. Much smaller buffers make threads wait for each other more
often."""


class BatchSlot:
    """The arrays of one step.

    `feeds` and `results` are bound and overwritten from step to step; `extra_feeds` are bound again at each step.
    `run(extra_feeds)` runs the step.
    """

    def __init__(self, runner: BindableRunner, feeds: dict[str, np.ndarray], results: Mapping[str, np.ndarray]) -> None:
        self.runner, self.feeds, self.results = runner, feeds, results
        self.extra_feeds: dict[str, np.ndarray] = {}
        self.run = runner.bind(feeds, results)
        self.defers_results = isinstance(self.run, DeviceRun)
        """Whether the results are read from a device when they are used."""
        if isinstance(self.run, DeviceRun):
            self.results = self.run.results

    def copy_ahead(self) -> None:
        """Copies the batch to the device, unless that must wait for the steps that run."""
        if isinstance(self.run, DeviceRun) and isinstance(self.runner, DeviceRunner) and self.runner.copies_ahead:
            self.run.copy_ahead(self.extra_feeds)


class PrefetchBuffer:
    """Consecutive slots for full batches of a dataset."""

    def __init__(
        self, plan: TrainingPlan, runner: BindableRunner, dataset: Dataset, batch_size: int, constant_rate: np.ndarray
    ) -> None:
        self._plan, self._runner, self.dataset, self._batch_size = plan, runner, dataset, batch_size
        self._sample_types = dataset.sample_types()
        self._randoms = runner.randoms if isinstance(runner, Runner) else plan.train.randoms
        count = self._slot_count(dataset)
        self._arrays = {
            name: np.empty((count * batch_size, *shape), dtype) for name, (shape, dtype) in self._sample_types.items()
        }
        if isinstance(runner, DeviceRunner) and runner.copies_ahead:
            pin(self._arrays.values())
        outputs = {name: plan.train.outputs[name] for name in plan.fetched_names}
        results = {name: np.empty((count, *value.shape), value.dtype) for name, value in outputs.items()}

        def slot(index: int) -> BatchSlot:
            rows = slice(index * batch_size, (index + 1) * batch_size)
            feeds = {name: array[rows] for name, array in self._arrays.items()}
            return BatchSlot(
                runner,
                feeds | {LEARNING_RATE: constant_rate},
                {name: array[index, ...] for name, array in results.items()},
            )

        self.slots = [slot(index) for index in range(count)]

    def _slot_count(self, dataset: Dataset) -> int:
        """The number of slots for a dataset, a multiple of `SET_COUNT` if possible: then each slot always meets the
        same set of variables, and is bound once."""
        sample_bytes = sum(prod(shape) * dtype.itemsize for shape, dtype in self._sample_types.values())
        batch_bytes = max(1, self._batch_size * sample_bytes)
        steps = len(dataset) // self._batch_size
        reused_slots = steps // MIN_SLOT_USES // SLOT_COUNTS.step * SLOT_COUNTS.step
        max_slots = max(SLOT_COUNTS[0], min(SLOT_COUNTS[-1], reused_slots))
        if isinstance(self._runner, DeviceRunner):
            max_slots = DEVICE_SLOTS
        if self._plan.train.randoms:
            max_slots = 1  # random numbers take long to draw, and much memory
        count = max(1, min(max_slots, MAX_BUFFER_BYTES // batch_bytes, steps + SET_COUNT - 1))
        return count - count % SET_COUNT if count > SET_COUNT else count

    def is_compatible(self, runner: BindableRunner, dataset: Dataset, batch_size: int) -> bool:
        """Whether the slots also fit another dataset."""
        has_same_types = (runner, dataset.sample_types(), batch_size) == (
            self._runner,
            self._sample_types,
            self._batch_size,
        )
        return has_same_types and self._slot_count(dataset) <= len(self.slots)

    def fill(self, rows: np.ndarray | slice, step: int, first_slot: int) -> list[BatchSlot]:
        """Fills slots from `first_slot` on with batches of these samples, for the steps from `step` on."""
        size = self._batch_size
        sample_count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        end_slot = first_slot + sample_count // size
        buffers = {name: array[first_slot * size : end_slot * size] for name, array in self._arrays.items()}
        self.dataset.copy_into(buffers, rows)
        slots = self.slots[first_slot:end_slot]
        for index, slot in enumerate(slots if self._plan.train.randoms else ()):
            sizes = symbol_sizes(self._plan.inputs, slot.feeds)
            slot.extra_feeds = {}  # frees the last random numbers before others are drawn
            slot.extra_feeds = step_randoms(self._randoms, self._plan.seed, step + index, sizes)
        for slot in slots:
            slot.copy_ahead()
        return slots


class PrefetchBuffers:
    """Two buffers, one filled while the steps of the other run, kept from fit to fit as long as they are compatible."""

    def __init__(self, plan: TrainingPlan, constant_rate: np.ndarray) -> None:
        self._plan, self._constant_rate = plan, constant_rate
        self._pair: tuple[PrefetchBuffer, PrefetchBuffer] | None = None

    def for_fit(
        self, runner: StepRunner, dataset: Dataset, batch_size: int
    ) -> tuple[PrefetchBuffer, PrefetchBuffer] | None:
        """The buffers for a fit; None if a batch has more than what is kept for samples, is incomplete or cannot stay
        bound, or if samples or results have no fixed size because of sequences or a metric that keeps samples."""
        if self._plan.open_teacher is not None and not dataset.teacher_outputs:  # it runs before each step
            return None
        keeps_samples = any(metric.keeps_samples for metric in self._plan.metrics.values())
        is_complete = len(dataset) >= batch_size and runner.keeps_bindings
        if self._plan.augmented_inputs or keeps_samples or not is_complete or dataset.has_sequences:
            return None
        if isinstance(runner, VirtualShardStep):
            return None
        pair = self._pair
        if pair is None or not all(buffer.is_compatible(runner, dataset, batch_size) for buffer in pair):
            arguments = self._plan, runner, dataset, batch_size, self._constant_rate
            first, second = PrefetchBuffer(*arguments), PrefetchBuffer(*arguments)
            pair = first, second
        self._pair = pair if len(pair[0].slots) > 1 else None  # a single slot may be large
        for buffer in pair:
            buffer.dataset = dataset
        return pair

    def release(self) -> None:
        """Drops the buffers, which hold their runner."""
        self._pair = None
