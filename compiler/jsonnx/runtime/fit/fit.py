"""Runs the epochs of a fit: batches, losses and metrics, validation and early stopping."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from ...core.callback import Callback, Logs, methods_for, overrides
from ...core.diagnostics import UsageError
from ...core.reserved_names import LEARNING_RATE, validation_name
from ...data.samples.batch_stream import NO_BATCHES, BatchStream
from ...data.samples.dataset import Dataset
from ...data.samples.sequences import bucketed_order
from ..execution.engine import Engine
from ..execution.history import FitProgress, History, MetricSums, added_metric
from ..execution.prefetch import BatchSlot, PrefetchBuffer
from ..execution.variables import SET_COUNT
from ..fit_arguments import FitSettings
from ..providers.flush_denormals import denormals_flushed
from ..providers.signals import StopOnSignal
from ..sharding.shard_group import ShardGroup
from .early_stopping import EarlyStoppingMonitor
from .freeze_ranges import freeze_ranges
from .plateau import PlateauMonitor

Batch = dict[str, np.ndarray] | BatchSlot


class _BatchGroup(NamedTuple):
    """Consecutive batches that are prepared together, of one pass over the samples."""

    data_pass: int
    """The passes over the samples before this one."""
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
    dataset: Dataset | BatchStream
    validation: Dataset | BatchStream | None
    settings: FitSettings
    early_stopping: EarlyStoppingMonitor
    progress: FitProgress
    callbacks: tuple[Callback, ...]
    plateau: PlateauMonitor | None = None
    deadline: float | None = None
    """The time of the monotonic clock when the fit is interrupted."""
    resumed_rate: float | None = None
    """The learning rate of the checkpoint that is resumed, unless a schedule gives it."""
    timed_out: bool = False
    stop_requested: bool = False
    """Set by a callback to end the epoch and the fit after the current step."""

    def __post_init__(self) -> None:
        self._logs = self.progress.history.last()
        """The logs of the last epoch."""

    @cached_property
    def _prefetch_buffers(self) -> tuple[PrefetchBuffer, PrefetchBuffer] | None:
        if isinstance(self.dataset, BatchStream):
            return None
        return self.engine.prefetch_buffers(self.dataset, self.settings.batch_size)

    @cached_property
    def _step_hooks(self) -> tuple[list[Callable[..., None]], list[Callable[..., None]], bool]:
        """The methods called before and after a step, and whether all their callbacks read logs lazily."""
        hooks = ("on_train_batch_begin", "on_train_batch_end")
        begin, end = (methods_for(self.callbacks, hook) for hook in hooks)
        callbacks = [callback for callback in self.callbacks if any(overrides(callback, hook) for hook in hooks)]
        return begin, end, all(callback._reads_logs_lazily for callback in callbacks)

    def run(self) -> History:
        """Trains until the last epoch, early stopping or a signal. Raises Diverged."""
        try:
            return self._run()
        except BaseException as error:
            for callback in self.callbacks:
                callback.fit_failed(error)
            raise

    def _run(self) -> History:
        progress, history = self.progress, self.progress.history
        with StopOnSignal() as stop_signal:
            self._call("on_train_begin", {})
            if not progress.batch:
                self._restore_callbacks()
            while progress.epoch < self.settings.epochs and not progress.finished and not self._must_stop(stop_signal):
                self._run_epoch(stop_signal)
            history.signal, history.timed_out = self._signal(stop_signal), self.timed_out
            if self.early_stopping.best_epoch >= 0:
                history.best_epoch = self.early_stopping.best_epoch
            history.stopped_early = progress.finished
            if not history.interrupted and self.settings.epochs:
                self.engine.use_average_weights()
                if self.early_stopping.best_weights is not None:
                    self.engine.write(self.early_stopping.best_weights)
            self._call("on_train_end", self._logs)  # as in Keras, a callback may set the last weights
        history.signal = self._signal(stop_signal)
        return history

    def _restore_callbacks(self) -> None:
        """Restores what callbacks have changed at events that the resumed fit had had before; once."""
        if self.resumed_rate is not None:
            self.engine.set_learning_rate(self.resumed_rate)
            self.resumed_rate = None
        self.progress.callbacks.restore()

    def _must_stop(self, stop_signal: StopOnSignal) -> bool:
        if self._ranks is not None:
            return bool(self._ranks.agreed_stops[0]) or self._is_interrupted(stop_signal)
        return self.stop_requested or self._is_interrupted(stop_signal)

    def _is_interrupted(self, stop_signal: StopOnSignal) -> bool:
        """Whether the fit must end at once, in the middle of an epoch, to be resumed there."""
        is_late = self.deadline is not None and time.monotonic() >= self.deadline
        if self._ranks is None:
            self.timed_out = self.timed_out or is_late
            return self.timed_out or stop_signal.signal is not None
        self._ranks.requested_stops[:] = self.stop_requested, is_late, stop_signal.signal is not None
        self.timed_out = bool(self._ranks.agreed_stops[1])
        return self.timed_out or bool(self._ranks.agreed_stops[2])

    @cached_property
    def _ranks(self) -> ShardGroup | None:
        """The workers that must stop after the same step; None if there is one."""
        group = self.engine.group
        return group if group is not None and group.collective.size > 1 else None

    def _signal(self, stop_signal: StopOnSignal) -> int | None:
        """The number of the signal that ended the fit; that of another rank counts as a request to terminate."""
        if self._ranks is not None and self._ranks.agreed_stops[2]:
            return stop_signal.signal or signal.SIGTERM
        return stop_signal.signal

    def _run_epoch(self, stop_signal: StopOnSignal) -> None:
        progress = self.progress
        freeze_ranges(self.engine, progress.epoch, self.settings.epochs)
        self._call("on_epoch_begin", progress.epoch, {})
        self._restore_callbacks()
        dataset = self.dataset
        if isinstance(dataset, BatchStream):
            prepared = self._streamed_batches(dataset)
        else:
            prepared = self._prefetched_groups(dataset)
        with closing(prepared) as groups:  # closing waits for the worker
            for batches, sample_counts in groups:
                self._run_steps(batches, sample_counts, stop_signal)
                if self._must_stop(stop_signal):
                    break
        if not self._is_interrupted(stop_signal):
            self._finish_epoch(stop_signal)

    def _run_steps(self, batches: Iterable[Batch], sample_counts: list[int], stop_signal: StopOnSignal) -> None:
        """Runs the steps of a group of batches, until one fails or a stop is requested.

        Their results are added up at the end, or after every step if a callback has a hook for steps, unless all such
        callbacks read logs lazily.
        """
        begin_hooks, end_hooks, is_lazy = self._step_hooks
        results: list[Mapping[str, np.ndarray]] = []

        def logs_so_far() -> Logs:
            self._add_results(results, sample_counts)
            return self.progress.metric_sums.results()

        lazy_logs = _LazyLogs(logs_so_far) if is_lazy else None
        # Denormals are flushed for the whole group, unless callbacks that compute run in between.
        flushes_denormals = self.engine.execution.flushes_denormals and is_lazy
        if begin_hooks:
            batches = self._announced(batches, begin_hooks)
        try:
            with denormals_flushed(flushes_denormals):
                for number, result in enumerate(self.engine.run_steps(batches), self.progress.batch):
                    results.append(result)
                    if end_hooks:
                        logs = logs_so_far() if lazy_logs is None else lazy_logs
                        self._call_saving("on_train_batch_end", end_hooks, number, logs)
                    if self._must_stop(stop_signal):
                        break
        finally:
            self._add_results(results, sample_counts)

    def _announced(self, batches: Iterable[Batch], hooks: list[Callable[..., None]]) -> Iterator[Batch]:
        """The batches of the next steps; before each, hooks are called with its number in the epoch."""
        for number, batch in enumerate(batches, self.progress.batch):
            for hook in hooks:
                hook(number, {})
            yield batch

    def _add_results(self, results: list[Mapping[str, np.ndarray]], sample_counts: list[int]) -> None:
        """Adds results to the metric sums, and removes them and their sample counts from the lists."""
        self.engine.check_losses(results)
        self.progress.metric_sums.add_all(results, sample_counts[: len(results)])
        self.progress.batch += len(results)
        del sample_counts[: len(results)]
        results.clear()

    def _streamed_batches(self, stream: BatchStream) -> Generator[tuple[Iterable[Batch], list[int]], None, None]:
        """The epoch's remaining batches of a stream, one by one with its number of samples.

        A batch is read, validated and converted on the worker thread while the step of the batch before runs.
        """
        progress, engine, limit = self.progress, self.engine, self.settings.steps_per_epoch
        batches = stream.epoch(progress.epoch, progress.batch, limit)

        def prepare(step: int) -> tuple[Iterable[Batch], list[int]] | None:
            samples = next(batches, None)
            return None if samples is None else ([engine.feeds(samples, slice(None), step)], [len(samples)])

        number, first_step = 0, engine.steps
        remaining = None if limit is None else limit - progress.batch
        future = engine.worker.submit(partial(prepare, first_step))
        try:
            while (prepared := future.result()) is not None:
                number += 1
                if number != remaining:
                    future = engine.worker.submit(partial(prepare, first_step + number))
                yield prepared
                if number == remaining:
                    return
            if not number and not progress.batch:
                raise UsageError("empty-data", NO_BATCHES)
        finally:
            future.exception()
            del future

    def _prefetched_groups(self, dataset: Dataset) -> Generator[tuple[Iterable[Batch], list[int]], None, None]:
        """The epoch's remaining batches in groups with the number of samples of each batch.

        A group is prepared on the worker thread while the steps of the previous group run.
        """
        progress, engine = self.progress, self.engine
        first_step, groups = engine.steps, self._batch_groups(dataset)

        @lru_cache(maxsize=1)
        def order(data_pass: int) -> np.ndarray:
            seed, epoch = engine.plan.seed, progress.epoch_offset + data_pass
            order, lengths = dataset.order(seed, epoch), dataset.lengths
            if lengths is None or not engine.plan.buckets_by_length:
                return order
            return bucketed_order(order, lengths, self.settings.batch_size, seed, epoch)

        def prepare(number: int) -> Iterable[Batch]:
            group = groups[number]
            rows = order(group.data_pass)[group.rows] if self.settings.shuffle else group.rows
            step = first_step + group.batch_offset
            if self._prefetch_buffers is not None and group.sample_counts[0] == self.settings.batch_size:
                return self._prefetch_buffers[number % 2].fill(rows, step, group.first_slot)
            return [engine.feeds(dataset, rows, step)]

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

    def _data_passes(self, per_pass: int) -> Iterator[tuple[int, int, int]]:
        """The parts of passes over the samples that the epoch's remaining batches are: pass, first batch, end."""
        progress = self.progress
        per_epoch = self.settings.steps_per_epoch or per_pass
        first, end = (progress.epoch * per_epoch + batch for batch in (progress.batch, per_epoch))
        while first < end:
            data_pass, batch = divmod(first, per_pass)
            count = min(per_pass - batch, end - first)
            yield data_pass, batch, batch + count
            first += count

    def _batch_groups(self, dataset: Dataset) -> list[_BatchGroup]:
        """The epoch's remaining batches in groups of the size of a prefetch buffer."""
        size, groups, offset = self.settings.batch_size, list[_BatchGroup](), 0
        full_batches, remainder = divmod(len(dataset), size)
        slot_count = len(self._prefetch_buffers[0].slots) if self._prefetch_buffers is not None else 1
        for data_pass, first_batch, end_batch in self._data_passes(dataset.batch_count(size)):
            # A slot is bound to one set of variables: the first batch takes a slot of the set that it will read.
            slot = (self.engine.current_set + offset) % SET_COUNT if slot_count % SET_COUNT == 0 else 0
            start, end_full = first_batch, min(end_batch, full_batches)
            while start < end_full:
                end = min(start + slot_count - slot, end_full)
                rows = slice(start * size, end * size)
                groups.append(_BatchGroup(data_pass, offset, slot, rows, [size] * (end - start)))
                offset, start, slot = offset + end - start, end, 0
            if end_batch > full_batches:
                rows = slice(full_batches * size, len(dataset))
                groups.append(_BatchGroup(data_pass, offset, 0, rows, [remainder]))
                offset += 1
        return groups

    def _finish_epoch(self, stop_signal: StopOnSignal) -> None:
        """Records the epoch's metrics; if the validation is interrupted, the epoch stays open."""
        progress, engine = self.progress, self.engine
        logs = progress.metric_sums.results()
        if self.validation is not None and self.settings.validates_after(progress.epoch):
            progress.callbacks.begin_test()
            self._call("on_test_begin", {})
            measured = self._validated(self.validation, stop_signal)
            if self._is_interrupted(stop_signal):
                progress.callbacks.undo_test()
                return
            self._call("on_test_end", measured.results())
            logs |= {validation_name(name): metric for name, metric in measured.results().items()}
        logs.setdefault(LEARNING_RATE, engine.last_learning_rate())
        progress.history.add(progress.epoch, logs)
        progress.finished = self.early_stopping.should_stop_after(progress.epoch, logs, engine.current_weights)
        progress.early_stopping_state = self.early_stopping.state_dict()
        progress.best_weights = self.early_stopping.best_weights
        if self.plateau is not None:
            engine.set_learning_rate(self.plateau.rate_after(logs, engine.learning_rate()))
            progress.plateau_state = self.plateau.state_dict()
        progress.epoch, progress.batch, progress.metric_sums = progress.epoch + 1, 0, MetricSums(engine.plan)
        self._logs = logs
        hooks = [self._recording(hook) for hook in methods_for(self.callbacks, "on_epoch_end")]
        self._call_saving("on_epoch_end", hooks, progress.epoch - 1, logs)
        if self._ranks is not None:
            self._is_interrupted(stop_signal)  # a callback may have asked to stop
            self._ranks.agree_on_stops()

    def _validated(self, validation: Dataset | BatchStream, stop_signal: StopOnSignal) -> MetricSums:
        """The losses and metric sums on the validation data, or on those before an interruption."""
        engine, batch_size = self.engine, self.settings.batch_size
        if engine.group is not None:
            return engine.measure_by_ranks(validation, batch_size, lambda: self._is_interrupted(stop_signal))
        return engine.measure(
            validation,
            batch_size,
            lambda: self._is_interrupted(stop_signal),
            methods_for(self.callbacks, "on_test_batch_begin"),
            methods_for(self.callbacks, "on_test_batch_end"),
        )

    def _recording(self, hook: Callable[..., None]) -> Callable[..., None]:
        """A hook of the end of an epoch, after which the metrics that it has added to the logs are recorded."""

        def call(epoch: int, logs: dict[str, Any]) -> None:
            known = {*logs}
            hook(epoch, logs)
            if len(logs) > len(known):
                added = {name: added_metric(name, value) for name, value in logs.items() if name not in known}
                logs.update(added)
                self.progress.history.add_metrics(added)

        return call

    def _call(self, event: str, *arguments: Any) -> None:
        for hook in methods_for(self.callbacks, event):
            hook(*arguments)

    def _call_saving(self, event: str, hooks: list[Callable[..., None]], *arguments: Any) -> None:
        """Calls the hooks of an event in which callbacks may save a checkpoint."""
        states = self.progress.callbacks
        for number, hook in enumerate(hooks, 1):
            if states.has_callbacks:
                states.calling(event, arguments, number)
            hook(*arguments)
        if states.has_callbacks:
            states.calling(event, arguments, 0)


class _LazyLogs(Mapping[str, float]):
    """Losses and metrics of the steps so far, computed whenever they are read."""

    def __init__(self, compute: Callable[[], Logs]) -> None:
        self._compute = compute

    def __getitem__(self, name: str) -> float:
        return self._compute()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._compute())

    def __len__(self) -> int:
        return len(self._compute())
