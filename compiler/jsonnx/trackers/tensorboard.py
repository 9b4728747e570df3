"""Event files for TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..core.files.files import make_folders, refuse_special_files
from ..core.system.optional_packages import require_package
from .tracker import RunTracker, TrackedRun

FOLDER = "tensorboard"
FILE_PREFIX = "events"


class TensorboardTracker(RunTracker):
    """Writes scalars with the step as TensorBoard's step.

    The writer is the synchronous one of tensorboardX: the errors of its SummaryWriter end a thread silently.
    """

    def __init__(self) -> None:
        self._writer_class = require_package("tensorboardX.event_file_writer", "tensorboard", PURPOSE).EventsWriter
        self._events = require_package("tensorboardX.proto.event_pb2", "tensorboard", PURPOSE)
        self._summaries = require_package("tensorboardX.proto.summary_pb2", "tensorboard", PURPOSE)
        self._text = require_package("tensorboardX.summary", "tensorboard", PURPOSE).text
        self._writer: Any = None

    def start(self, run: TrackedRun) -> None:
        folder = run.folder / FOLDER
        refuse_special_files([folder])
        make_folders(folder)
        if not run.is_resumed:
            for path in folder.glob(f"{FILE_PREFIX}.out.tfevents.*"):  # of a run that --force replaces
                path.unlink()
        suffix = f".{len(list(folder.iterdir()))}"  # another file, even in the same second
        self._writer = self._writer_class(str(folder / FILE_PREFIX), suffix)
        if run.is_resumed:  # discards the metrics of later steps, which are trained again
            session = self._events.SessionLog(status=self._events.SessionLog.START)
            self._write(run.step + 1, session_log=session)
        rows = [f"| {name} | {value} |" for name, value in {**run.tags, **run.parameters}.items()]
        table = "\n".join(["| name | value |", "| --- | --- |", *rows])
        self._write(run.step, summary=self._text("run", table))
        self._writer.flush()

    def figures(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        scalars = [self._summaries.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step, summary=self._summaries.Summary(value=scalars))
        self._writer.flush()

    def end(self, state: str) -> None:
        self._writer.close()

    def _write(self, step: int, **content: Any) -> None:
        self._writer.write_event(self._events.Event(wall_time=time.time(), step=step, **content))


PURPOSE = "the tracker tensorboard"
