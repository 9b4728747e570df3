"""Epochs: batches in their order, figures, validation, early stopping."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from ..core.reserved_names import validation_name
from .dataset import Dataset
from .engine import Engine
from .flush_denormals import denormals_flushed
from .history import EarlyStoppingMonitor, FitProgress, History, MetricSums, StopOnSignal
from .prefetch import BatchSlot, PrefetchBuffer
from .random import sample_order
from .variables import SET_COUNT

Batch = dict[str, np.ndarray] | BatchSlot


class _BatchGroup(NamedTuple):
    """Batches that are made ready together: how many are before them, the first one's slot, their samples, and how many
    each has."""

    batch_offset: int
    slot: int
    rows: slice
    counts: list[int]


@dataclass
class Fit:
    """One run over some epochs. All that must outlive an interruption is in `progress`."""

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
    """Set from outside to close the epoch after the step at hand and end."""

    @cached_property
    def _prefetch_buffers(self) -> tuple[PrefetchBuffer, PrefetchBuffer] | None:
        return self.engine.prefetch_buffers(self.dataset, self.batch_size)

    def run(self) -> History:
        """Train to the end, or until a signal asks to stop. Raises Diverged."""
        progress, history = self.progress, self.progress.history
        with StopOnSignal() as asked:
            while (
                progress.epoch < self.epochs
                and not progress.finished
                and asked.signal is None
                and not self.stop_requested
            ):
                self._run_epoch(asked)
            history.signal = asked.signal
            if self.early_stopping.best_epoch >= 0:
                history.best_epoch = self.early_stopping.best_epoch
            history.stopped_early = progress.finished
            self._notify("on_end", history)  # before the weights are the best ones: a checkpoint made now can go on
        history.signal = asked.signal
        if self.early_stopping.best_weights is not None and asked.signal is None:
            self.engine.write(self.early_stopping.best_weights)
        return history

    def _run_epoch(self, stop_signal: StopOnSignal) -> None:
        progress = self.progress
        steps = -(-len(self.dataset) // self.batch_size)
        self._notify("on_epoch_begin", progress.epoch, self.epochs, steps)
        with closing(self._prefetched_groups()) as groups:  # which waits for what is being made ready
            for ready, counts in groups:
                self._run_steps(ready, counts, stop_signal)
                if stop_signal.signal is not None or self.stop_requested:
                    break
        if stop_signal.signal is None:
            self._finish_epoch(stop_signal)

    def _run_steps(self, batches: Iterable[Batch], counts: list[int], stop_signal: StopOnSignal) -> None:
        """The steps of batches of so many samples that were made ready together, until one of them fails or somebody
        asks to stop.

        Their figures are added up at the end, unless somebody wants to hear them after every step.
        """
        progress = self.progress
        heard = [c.on_step for c in self.callbacks if hasattr(c, "on_step")]
        made: list[dict[str, np.ndarray]] = []
        try:
            with denormals_flushed(
                self.engine.flushes_denormals and not heard
            ):  # once, if nobody else is called in between
                for results in self.engine.run_steps(batches):
                    made.append(results)
                    if heard:
                        self._add_results(made, counts)
                        figures = progress.metric_sums.results()
                        for tell in heard:
                            tell(progress.batch, figures)
                    if stop_signal.signal is not None or self.stop_requested:
                        break
        finally:
            self._add_results(made, counts)

    def _add_results(self, results: list[dict[str, np.ndarray]], counts: list[int]) -> None:
        """Adds what was made to the figures, and forgets it and for how many samples it stands."""
        self.progress.metric_sums.add_all(results, counts[: len(results)])
        self.progress.batch += len(results)
        del counts[: len(results)]
        results.clear()

    def _prefetched_groups(self) -> Generator[tuple[Iterable[Batch], list[int]], None, None]:
        """The epoch's remaining batches in groups, each made ready while the steps of the one before run, and how many
        samples each has."""
        progress, engine = self.progress, self.engine
        count = len(self.dataset)
        order = sample_order(engine.plan.seed, progress.epoch_offset + progress.epoch, count) if self.shuffle else None
        first, groups = engine.steps, self._batch_groups(progress.batch)

        def prepare(number: int) -> Iterable[Batch]:
            group = groups[number]
            taken = group.rows if order is None else order[group.rows]
            if self._prefetch_buffers is not None and group.counts[0] == self.batch_size:
                return self._prefetch_buffers[number % 2].fill(taken, first + group.batch_offset, group.slot)
            return [engine.feeds(self.dataset, taken, first + group.batch_offset)]

        if not groups:
            return
        task = engine.worker.submit(partial(prepare, 0))
        try:
            for number, group in enumerate(groups, 1):
                ready = task.result()
                if number < len(groups):
                    task = engine.worker.submit(partial(prepare, number))
                yield ready, group.counts
        finally:
            task.take_exception()  # nothing goes on behind the fit

    def _batch_groups(self, first: int) -> list[_BatchGroup]:
        """What is made ready together of the batches from this one on."""
        count, size = len(self.dataset), self.batch_size
        room = len(self._prefetch_buffers[0].slots) if self._prefetch_buffers is not None else 1
        full, rest = divmod(count, size)
        found = []
        start, slot = first, self.engine.current_set if room % SET_COUNT == 0 else 0
        while start < full:
            end = min(start + room - slot, full)
            found.append(_BatchGroup(start - first, slot, slice(start * size, end * size), [size] * (end - start)))
            start, slot = end, 0
        if rest and first <= full:
            found.append(_BatchGroup(full - first, 0, slice(full * size, count), [rest]))
        return found

    def _finish_epoch(self, stop_signal: StopOnSignal) -> None:
        """The epoch's figures, unless a signal cuts the validation short: then the epoch stays open."""
        progress, engine = self.progress, self.engine
        figures = progress.metric_sums.results()
        if self.validation is not None:
            measured = engine.measure(self.validation, self.batch_size, lambda: stop_signal.signal is not None)
            if stop_signal.signal is not None:
                return
            figures |= {validation_name(name): figure for name, figure in measured.results().items()}
        progress.history.add(progress.epoch, figures)
        progress.finished = self.early_stopping.should_stop_after(progress.epoch, figures, engine.weights)
        progress.early_stopping_state, progress.best_weights = (
            self.early_stopping.state_dict(),
            self.early_stopping.best_weights,
        )
        progress.epoch, progress.batch, progress.metric_sums = progress.epoch + 1, 0, MetricSums(engine.plan)
        self._notify("on_epoch_end", progress.epoch - 1, figures)

    def _notify(self, event: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            listener = getattr(callback, event, None)
            if listener is not None:
                listener(*arguments)
