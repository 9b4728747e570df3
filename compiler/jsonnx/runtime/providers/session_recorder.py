"""Sessions that record when each of their nodes runs, as onnxruntime's profiler measures it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ...core.providers.execution_provider import ExecutionProvider
from .signals import StopOnSignal

if TYPE_CHECKING:
    import onnx
    import onnxruntime

MIN_EXTERNAL_BYTES = "1024"
"""Minimum size of a tensor, in bytes, that an optimized model keeps in a file beside it."""

Event = dict[str, Any]


@dataclass(frozen=True)
class SessionRecord:
    """The records of a session: the model that it was created from, the model after onnxruntime's optimizations, and
    the events of the profiler."""

    model: onnx.ModelProto
    optimized_model: onnx.ModelProto | None
    """None if the provider cannot write it."""
    events: list[Event]
    """Events in the Trace Event Format, which Chrome and Perfetto show; times in microseconds."""


class SessionRecorder:
    """Records the sessions that are created with it, into files of a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._sessions: list[tuple[bytes, str, onnxruntime.InferenceSession]] = []

    def configure(self, options: onnxruntime.SessionOptions, provider: ExecutionProvider) -> str:
        """Sets the options of a session that is about to be created. Returns the path of its optimized model."""
        prefix = os.path.join(self._folder, str(len(self._sessions)))
        options.enable_profiling = True
        options.profile_file_prefix = prefix
        if provider.keeps_nodes:
            options.optimized_model_filepath = f"{prefix}.onnx"
            weights = f"{len(self._sessions)}.weights"
            options.add_session_config_entry("session.optimized_model_external_initializers_file_name", weights)
            options.add_session_config_entry(
                "session.optimized_model_external_initializers_min_size_in_bytes", MIN_EXTERNAL_BYTES
            )
        return f"{prefix}.onnx"

    def add(self, model: bytes, optimized_file: str, session: onnxruntime.InferenceSession) -> None:
        """Keeps a session that was created from the bytes of a model."""
        self._sessions.append((model, optimized_file, session))

    def end(self) -> list[SessionRecord]:
        """Ends the recording, and returns what was recorded, in the order in which the sessions were created."""
        import onnx

        records = []
        for model, optimized_file, session in self._sessions:
            events = [*_read_events(session.end_profiling())]
            optimized = None
            if os.path.exists(optimized_file):
                optimized = onnx.load(optimized_file, load_external_data=False)
            records.append(SessionRecord(onnx.load_from_string(model), optimized, events))
        self._sessions.clear()
        return records


@contextmanager
def session_recorder() -> Iterator[SessionRecorder]:
    """A recorder, whose files are removed at the end. A signal meanwhile raises KeyboardInterrupt then."""
    with StopOnSignal() as stop, TemporaryDirectory(prefix="jsonnx-profile-") as folder:
        yield SessionRecorder(folder)
    if stop.signal is not None:
        raise KeyboardInterrupt


def _read_events(file: str) -> Iterator[Event]:
    """The events in a file of the profiler, of which each has a line."""
    with open(file, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                event = json.loads(line.strip().rstrip(","))
            except ValueError:  # the brackets around the list
                continue
            if isinstance(event, dict):
                yield event
