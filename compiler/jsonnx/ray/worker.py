"""The training function of a worker."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray.train
from ray.exceptions import RayError

from ..collective.protocol import Collective, CollectiveError
from ..core.diagnostics import CompileError, Diagnostic, Note, UsageError
from ..core.training_options import TrainingOptions
from ..data.samples.data_errors import FeedError
from ..frontend.json.json_reader import from_value, read_text
from ..pipeline.check.check import CheckedSpec, check_source
from ..pipeline.check.sweep_plan import without_sweep
from ..pipeline.run.lock_file import LockedRun
from ..pipeline.run.run_outcome import Outcome
from ..pipeline.run.training_ranks import follow
from ..pipeline.run.training_run import is_resumed, train
from ..pipeline.run_folder.run_folder import RunFolder
from ..pipeline.run_folder.run_lock import is_locked
from ..runtime.providers.signals import request_stop
from ..sections.sweep_section import SWEEP_KEY
from .monitor import Event, EventKind, Stage
from .node_checks import SHARED_FILES_HELP, bind_cpus
from .rendezvous import connect, rendezvous
from .worker_callbacks import MetricReports, ProgressEvents

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LOCK_SECONDS = 60.0
"""How long a worker that is started again waits for the end of the one before it, which holds the RUN folder's lock."""
MAX_SECONDS_OF_RESULTS = 60.0
"""How long the first worker may write results after another one has met an error, as of a loss that is not finite."""
SECONDS_BETWEEN_CHECKS = 1.0


@dataclass(frozen=True)
class SpecText:
    """A checked spec as a worker gets it: its text, and what has changed it."""

    text: str | None
    value: Any
    """The value of a spec without a text."""
    file: str | None
    scale: str | None
    changes: tuple[str, ...]
    has_sweep: bool
    """Whether the section `sweep` of the text belongs to the spec: it does not in a trial of the search."""

    @staticmethod
    def of(checked: CheckedSpec, options: TrainingOptions) -> SpecText:
        source, document = checked.source, checked.source.value
        text, has_sweep = source.text or None, isinstance(document, dict) and SWEEP_KEY in document
        value = None if text else source.written_value
        return SpecText(text, value, source.file, options.scale, options.changes, has_sweep)

    def checked(self) -> CheckedSpec:
        source = from_value(self.value) if self.text is None else read_text(self.text, self.file)
        if not self.has_sweep:
            source = without_sweep(source)
        checked = check_source(source, changes=self.changes, scale=self.scale)
        checked.require()
        return checked


@dataclass(frozen=True)
class TrainingJob:
    """What all workers train."""

    monitor: Any
    working_folder: str
    """The folder that relative paths refer to."""
    folder: str
    """The RUN folder, by its absolute path."""
    spec: SpecText
    options: TrainingOptions
    shards: int
    cpus_per_worker: int
    lock: LockedRun | None


class Preempted(Exception):
    """The node of a worker is about to be taken away, and the training has been saved: Ray starts it elsewhere."""


RETRIED_ERRORS = (Preempted, CollectiveError, ConnectionError, TimeoutError, RayError)
"""Errors after which Ray starts all workers again."""


def train_worker(config: dict[str, TrainingJob]) -> None:
    """Trains as one of the workers; Ray calls it in each."""
    _Worker(config["job"]).run()


class _Worker:
    def __init__(self, job: TrainingJob) -> None:
        context = ray.train.get_context()
        self.job, self.monitor = job, job.monitor
        self.rank, self.size = context.get_world_rank(), context.get_world_size()
        self.node: str = ray.util.get_node_ip_address()
        self.is_preempted = False
        bind_cpus(context.get_local_rank(), job.cpus_per_worker, context.get_local_world_size())
        with suppress(OSError):  # then all paths are absolute, or the checks of the node have told what is missing
            os.chdir(job.working_folder)

    def run(self) -> None:
        """Trains. An error that another attempt would meet again goes to the monitor."""
        outcome, has_error = None, False
        with self._watching():
            collective = connect(self.rank, self.job.shards)
            try:
                outcome = self._train(collective)
            except RETRIED_ERRORS:
                raise
            except Exception as error:
                has_error = True
                # Before the collective is closed, by which the others notice.
                ray.get(self.monitor.fail.remote(self.rank, self._with_node(error)))
                raise
            finally:
                collective.close()
                if self.rank == 0:
                    ray.get(self.monitor.leave.remote(outcome))
                elif has_error:  # Ray ends all workers once it sees the error, and the first one may still write files
                    ray.get(self.monitor.wait_for_first.remote(MAX_SECONDS_OF_RESULTS))
        if outcome is not None and self.is_preempted and outcome.history.interrupted:
            raise Preempted("its node is taken away")

    def _train(self, collective: Collective) -> Outcome | None:
        job = self.job
        checked, options = job.spec.checked(), self._options(rendezvous().attempt.stage)
        reports = MetricReports(collective, Path(job.folder).name)
        if self.rank > 0:
            follow(checked, options, collective, [reports])
            return None
        return train(
            checked,
            Path(job.folder),
            options,
            lock=job.lock,
            callbacks=[reports, ProgressEvents(self.monitor)],
            warn=self._warn,
            on_weights_resolved=lambda report: self._tell("weights", report),
            on_resumed=lambda lines: self._tell("resumed", lines),
            on_placement=lambda placement: self._tell("placement", placement),
            collective=collective,
        )

    def _options(self, stage: Stage) -> TrainingOptions:
        """The options of this attempt: workers that are started again continue the run, or start it over if it has not
        begun."""
        job, folder = self.job, Path(self.job.folder)
        options = replace(job.options, output=job.folder, threads=job.options.threads or job.cpus_per_worker)
        if self.rank == 0 and rendezvous().attempt.number > 1:
            _wait_for_lock(folder)
        if stage == "begun":
            if self.rank == 0 and not RunFolder(folder).has_run:
                message = f"node {self.node} does not see the RUN folder {job.folder!r}, in which the training began"
                raise UsageError("ray-node", message, SHARED_FILES_HELP)
            return replace(options, resume=True, force=False)
        if stage == "free":
            return replace(options, force=True)
        if self.rank == 0:
            is_resumed(RunFolder(folder), options)
            ray.get(self.monitor.reach.remote("free"))
        return options

    def _warn(self, diagnostics: Any) -> None:
        if diagnostics:
            self._tell("warning", list(diagnostics))

    def _tell(self, kind: EventKind, content: Any) -> None:
        self.monitor.put.remote(Event(kind, content))

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Ends the training when the process that has started it asks for that, or when a node is about to be taken
        away. The workers agree on it after a step, so that one of them suffices."""
        ended = threading.Event()
        thread = threading.Thread(target=self._watch, args=(ended,), name="jsonnx-ray-watch", daemon=True)
        if self.rank == 0:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            request_stop(None)

    def _watch(self, ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                number = ray.get(self.monitor.stop_signal.remote(SECONDS_BETWEEN_CHECKS))
            except RayError:  # the process that has started the training is gone, or has ended it at once
                os._exit(1)
            if number is None and is_preempted():
                self.is_preempted, number = True, signal.SIGTERM
            if number is not None and not ended.is_set():
                request_stop(number)
                return

    def _with_node(self, error: Exception) -> Exception:
        """The error, with a note that names the node if there are several."""
        note = Note(f"found by worker {self.rank} on node {self.node}")
        if len({host for host, _ in rendezvous().addresses}) > 1:
            if isinstance(error, (CompileError, FeedError)):
                error.diagnostics = [_with_note(item, note) for item in error.diagnostics]
            elif isinstance(error, UsageError):
                error.diagnostic = _with_note(error.diagnostic, note)
        return error


def _with_note(item: Diagnostic, note: Note) -> Diagnostic:
    return replace(item, notes=(*item.notes, note))


def _wait_for_lock(folder: Path) -> None:
    deadline = time.monotonic() + MAX_LOCK_SECONDS
    while is_locked(folder) and time.monotonic() < deadline:
        time.sleep(0.2)


def is_preempted() -> bool:
    """Whether the node of a worker is about to be taken away, as Ray has told this one.

    `ray.train.get_preemption_info` has all workers wait for each other, which is too slow for every step.
    """
    with suppress(ImportError, AttributeError):
        from ray.train.v2._internal.execution.context import get_train_context

        return get_train_context().preemption_context.preemption_info is not None
    return False
