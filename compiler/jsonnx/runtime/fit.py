"""Epochs: batches in their order, figures, validation, early stopping."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from .dataset import Samples
from .engine import Engine
from .flush_denormals import flushed
from .history import History, Interruption, Progress, Totals, Watch
from .prefetch import Lane, Slot
from .random import sample_order
from .variables import SETS

Batch = dict[str, np.ndarray] | Slot


class _Group(NamedTuple):
    """Batches that are made ready together: how many are before them, the first one's slot, their samples, and how many
    each has."""

    before: int
    slot: int
    rows: slice
    counts: list[int]


@dataclass
class Fit:
    """One run over some epochs. All that must outlive an interruption is in `progress`."""

    engine: Engine
    samples: Samples
    validation: Samples | None
    batch_size: int
    epochs: int
    shuffle: bool
    watch: Watch
    progress: Progress
    callbacks: tuple[object, ...]
    stop: bool = False
    """Set from outside to close the epoch after the step at hand and end."""

    @cached_property
    def _lanes(self) -> tuple[Lane, Lane] | None:
        return self.engine.lanes(self.samples, self.batch_size)

    def run(self) -> History:
        """Train to the end, or until a signal asks to stop. Raises Diverged."""
        progress, history = self.progress, self.progress.history
        with Interruption() as asked:
            while progress.epoch < self.epochs and not progress.finished and asked.signal is None and not self.stop:
                self._epoch(asked)
            history.signal = asked.signal
            if self.watch.best_epoch >= 0:
                history.best_epoch = self.watch.best_epoch
            history.stopped_early = progress.finished
            self._tell("on_end", history)  # before the weights are the best ones: a checkpoint made now can go on
        history.signal = asked.signal
        if self.watch.weights is not None and asked.signal is None:
            self.engine.write(self.watch.weights)
        return history

    def _epoch(self, asked: Interruption) -> None:
        progress = self.progress
        steps = -(-len(self.samples) // self.batch_size)
        self._tell("on_epoch_begin", progress.epoch, self.epochs, steps)
        with closing(self._prepared()) as groups:  # which waits for what is being made ready
            for ready, counts in groups:
                self._steps(ready, counts, asked)
                if asked.signal is not None or self.stop:
                    break
        if asked.signal is None:
            self._close(asked)

    def _steps(self, ready: Iterable[Batch], counts: list[int], asked: Interruption) -> None:
        """The steps of batches of so many samples that were made ready together, until one of them fails or somebody
        asks to stop.

        Their figures are added up at the end, unless somebody wants to hear them after every step.
        """
        progress = self.progress
        heard = [c.on_step for c in self.callbacks if hasattr(c, "on_step")]
        made: list[dict[str, np.ndarray]] = []
        try:
            with flushed(self.engine.flushes and not heard):  # once, if nobody else is called in between
                for results in self.engine.steps_of(ready):
                    made.append(results)
                    if heard:
                        self._add(made, counts)
                        figures = progress.totals.figures()
                        for tell in heard:
                            tell(progress.batch, figures)
                    if asked.signal is not None or self.stop:
                        break
        finally:
            self._add(made, counts)

    def _add(self, made: list[dict[str, np.ndarray]], counts: list[int]) -> None:
        """Adds what was made to the figures, and forgets it and for how many samples it stands."""
        self.progress.totals.add_all(made, counts[: len(made)])
        self.progress.batch += len(made)
        del counts[: len(made)]
        made.clear()

    def _prepared(self) -> Generator[tuple[Iterable[Batch], list[int]], None, None]:
        """The epoch's remaining batches in groups, each made ready while the steps of the one before run, and how many
        samples each has."""
        progress, engine = self.progress, self.engine
        count = len(self.samples)
        order = sample_order(engine.plan.seed, progress.offset + progress.epoch, count) if self.shuffle else None
        first, groups = engine.steps, self._groups(progress.batch)

        def prepare(number: int) -> Iterable[Batch]:
            group = groups[number]
            taken = group.rows if order is None else order[group.rows]
            if self._lanes is not None and group.counts[0] == self.batch_size:
                return self._lanes[number % 2].fill(taken, first + group.before, group.slot)
            return [engine.feeds(self.samples, taken, first + group.before)]

        if not groups:
            return
        task = engine.helper.begin(partial(prepare, 0))
        try:
            for number, group in enumerate(groups, 1):
                ready = task.result()
                if number < len(groups):
                    task = engine.helper.begin(partial(prepare, number))
                yield ready, group.counts
        finally:
            task.take_exception()  # nothing goes on behind the fit

    def _groups(self, first: int) -> list[_Group]:
        """What is made ready together of the batches from this one on."""
        count, size = len(self.samples), self.batch_size
        room = len(self._lanes[0].slots) if self._lanes is not None else 1
        full, rest = divmod(count, size)
        found = []
        start, slot = first, self.engine.current_set if room % SETS == 0 else 0
        while start < full:
            end = min(start + room - slot, full)
            found.append(_Group(start - first, slot, slice(start * size, end * size), [size] * (end - start)))
            start, slot = end, 0
        if rest and first <= full:
            found.append(_Group(full - first, 0, slice(full * size, count), [rest]))
        return found

    def _close(self, asked: Interruption) -> None:
        """The epoch's figures, unless a signal cuts the validation short: then the epoch stays open."""
        progress, engine = self.progress, self.engine
        figures = progress.totals.figures()
        if self.validation is not None:
            measured = engine.measure(self.validation, self.batch_size, lambda: asked.signal is not None)
            if asked.signal is not None:
                return
            figures |= {f"val_{name}": figure for name, figure in measured.figures().items()}
        progress.history.add(progress.epoch, figures)
        progress.finished = self.watch.after(progress.epoch, figures, engine.weights)
        progress.watch, progress.best = self.watch.state(), self.watch.weights
        progress.epoch, progress.batch, progress.totals = progress.epoch + 1, 0, Totals(engine.plan)
        self._tell("on_epoch_end", progress.epoch - 1, figures)

    def _tell(self, event: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            listener = getattr(callback, event, None)
            if listener is not None:
                listener(*arguments)
