"""Runs the epochs of a fit: batches, losses and metrics, validation and early stopping."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from ..core.reserved_names import validation_name
from .dataset import Dataset
from .early_stopping import EarlyStoppingMonitor
from .engine import Engine
from .flush_denormals import denormals_flushed
from .history import FitProgress, History, MetricSums
from .prefetch import BatchSlot, PrefetchBuffer
from .random import sample_order
from .signals import StopOnSignal
from .variables import SET_COUNT

Batch = dict[str, np.ndarray] | BatchSlot


class _BatchGroup(NamedTuple):
    """Consecutive batches that are prepared together."""

    batch_offset: int
    """The number of batches before them that this fit runs in the epoch."""
    first_slot: int
    rows: slice
    sample_counts: list[int]
    """The number of samples of each batch."""


@dataclass
class Fit:
    """A run over some epochs. `progress` has everything that a resumed run needs."""

    engine: Engine
    dataset: Dataset
    validation: Dataset | None
    batch_size: int
    epochs: int
    shuffle: bool
    early_stopping: EarlyStoppingMonitor
    progress: FitProgress
    callbacks: tuple[object, ...]
    stop_requested: bool = False
    """Set by a callback to end the epoch and the fit after the current step."""

    @cached_property
    def _prefetch_buffers(self) -> tuple[PrefetchBuffer, PrefetchBuffer] | None:
        return self.engine.prefetch_buffers(self.dataset, self.batch_size)

    def run(self) -> History:
        """Trains until the last epoch, early stopping or a signal. Raises Diverged."""
        progress, history = self.progress, self.progress.history
        with StopOnSignal() as stop_signal:
            while progress.epoch < self.epochs and not progress.finished and not self._must_stop(stop_signal):
                self._run_epoch(stop_signal)
            history.signal = stop_signal.signal
            if self.early_stopping.best_epoch >= 0:
                history.best_epoch = self.early_stopping.best_epoch
            history.stopped_early = progress.finished
            self._notify("on_end", history)  # before the best weights are restored, so that a checkpoint can be resumed
        history.signal = stop_signal.signal
        if self.early_stopping.best_weights is not None and stop_signal.signal is None:
            self.engine.write(self.early_stopping.best_weights)
        return history

    def _must_stop(self, stop_signal: StopOnSignal) -> bool:
        return self.stop_requested or stop_signal.signal is not None

    def _run_epoch(self, stop_signal: StopOnSignal) -> None:
        progress = self.progress
        steps = -(-len(self.dataset) // self.batch_size)
        self._notify("on_epoch_begin", progress.epoch, self.epochs, steps)
        with closing(self._prefetched_groups()) as groups:  # closing waits for the worker
            for batches, sample_counts in groups:
                self._run_steps(batches, sample_counts, stop_signal)
                if self._must_stop(stop_signal):
                    break
        if stop_signal.signal is None:
            self._finish_epoch(stop_signal)

    def _run_steps(self, batches: Iterable[Batch], sample_counts: list[int], stop_signal: StopOnSignal) -> None:
        """Runs the steps of a group of batches, until one fails or a stop is requested.

        Their results are added up at the end, or after every step if a callback listens to steps, and when a display of
        progress asks for them.
        """
        progress = self.progress
        step_listeners = [callback.on_step for callback in self.callbacks if hasattr(callback, "on_step")]
        displays = [callback.show_step for callback in self.callbacks if hasattr(callback, "show_step")]
        is_observed = bool(step_listeners or displays)
        results: list[Mapping[str, np.ndarray]] = []

        def figures_so_far() -> dict[str, float]:
            self._add_results(results, sample_counts)
            return progress.metric_sums.results()

        # Denormals are flushed for the whole group, unless callbacks run in between.
        flushes_denormals = self.engine.execution.flushes_denormals and not step_listeners
        try:
            with denormals_flushed(flushes_denormals):
                for result in self.engine.run_steps(batches):
                    results.append(result)
                    if is_observed:
                        figures = figures_so_far() if step_listeners else {}
                        for listener in step_listeners:
                            listener(progress.batch, figures)
                        for show_step in displays:
                            show_step(progress.batch + len(results), figures_so_far)
                    if self._must_stop(stop_signal):
                        break
        finally:
            self._add_results(results, sample_counts)

    def _add_results(self, results: list[Mapping[str, np.ndarray]], sample_counts: list[int]) -> None:
        """Adds results to the metric sums, and removes them and their sample counts from the lists."""
        self.engine.check_losses(results)
        self.progress.metric_sums.add_all(results, sample_counts[: len(results)])
        self.progress.batch += len(results)
        del sample_counts[: len(results)]
        results.clear()

    def _prefetched_groups(self) -> Generator[tuple[Iterable[Batch], list[int]], None, None]:
        """The epoch's remaining batches in groups with the number of samples of each batch.

        A group is prepared on the worker thread while the steps of the previous group run.
        """
        progress, engine = self.progress, self.engine
        count = len(self.dataset)
        order = sample_order(engine.plan.seed, progress.epoch_offset + progress.epoch, count) if self.shuffle else None
        first_step, groups = engine.steps, self._batch_groups(progress.batch)

        def prepare(number: int) -> Iterable[Batch]:
            group = groups[number]
            rows = group.rows if order is None else order[group.rows]
            step = first_step + group.batch_offset
            if self._prefetch_buffers is not None and group.sample_counts[0] == self.batch_size:
                return self._prefetch_buffers[number % 2].fill(rows, step, group.first_slot)
            return [engine.feeds(self.dataset, rows, step)]

        if not groups:
            return
        future: Future[Iterable[Batch]] = engine.worker.submit(partial(prepare, 0))
        try:
            for number, group in enumerate(groups, 1):
                batches = future.result()
                if number < len(groups):
                    future = engine.worker.submit(partial(prepare, number))
                yield batches, group.sample_counts
        finally:
            future.exception()  # waits: nothing is written to buffers after the fit
            del future  # an exception that it raised holds this frame

    def _batch_groups(self, first_batch: int) -> list[_BatchGroup]:
        """The epoch's batches from `first_batch` on, in groups of the size of a prefetch buffer."""
        count, size = len(self.dataset), self.batch_size
        slot_count = len(self._prefetch_buffers[0].slots) if self._prefetch_buffers is not None else 1
        full_batches, remainder = divmod(count, size)
        groups = []
        # A slot is bound to one set of variables: the first batch takes a slot of the set that it will read.
        start, slot = first_batch, self.engine.current_set if slot_count % SET_COUNT == 0 else 0
        while start < full_batches:
            end = min(start + slot_count - slot, full_batches)
            rows = slice(start * size, end * size)
            groups.append(_BatchGroup(start - first_batch, slot, rows, [size] * (end - start)))
            start, slot = end, 0
        if remainder and first_batch <= full_batches:
            groups.append(_BatchGroup(full_batches - first_batch, 0, slice(full_batches * size, count), [remainder]))
        return groups

    def _finish_epoch(self, stop_signal: StopOnSignal) -> None:
        """Records the epoch's figures; if a signal interrupts the validation, the epoch stays open."""
        progress, engine = self.progress, self.engine
        figures = progress.metric_sums.results()
        if self.validation is not None:
            measured = engine.measure(self.validation, self.batch_size, lambda: stop_signal.signal is not None)
            if stop_signal.signal is not None:
                return
            figures |= {validation_name(name): figure for name, figure in measured.results().items()}
        progress.history.add(progress.epoch, figures)
        progress.finished = self.early_stopping.should_stop_after(progress.epoch, figures, engine.weights)
        progress.early_stopping_state = self.early_stopping.state_dict()
        progress.best_weights = self.early_stopping.best_weights
        progress.epoch, progress.batch, progress.metric_sums = progress.epoch + 1, 0, MetricSums(engine.plan)
        self._notify("on_epoch_end", progress.epoch - 1, figures)

    def _notify(self, event: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            listener = getattr(callback, event, None)
            if listener is not None:
                listener(*arguments)
