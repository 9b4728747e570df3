"""Records the sessions that are requested from onnxruntime instead of creating them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import onnx
import onnxruntime

CONFIG_ENTRIES = (
    "session.set_denormal_as_zero",
    "session.force_spinning_stop",
    "session.use_env_allocators",
    "session.intra_op.allow_spinning",
)
"""Configuration entries of a session that are recorded."""


class SessionRun(BaseException):
    """Raised where a recorded session is run. Not an `Exception`, so that no handler of errors catches it."""


class RecordedSession:
    """The parts of a session's interface that are known before it runs."""

    def __init__(self, model: bytes, options: Any) -> None:
        self.model, self.options = model, options_text(options)
        self._graph = onnx.load_from_string(model).graph

    def get_inputs(self) -> list[Any]:
        weights = {weight.name for weight in self._graph.initializer}
        return [value for value in self._graph.input if value.name not in weights]

    def get_outputs(self) -> list[Any]:
        return list(self._graph.output)

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]

    def io_binding(self) -> Any:
        return mock.MagicMock()

    def run(self, *_: Any) -> Any:
        raise SessionRun

    run_with_iobinding = run


def options_text(options: Any) -> str:
    """Returns the options of a session, one per line."""
    names = [name for name in dir(options) if not name.startswith("_") and not callable(getattr(options, name))]
    lines = [f"{name}: {getattr(options, name)}" for name in names]
    for key in CONFIG_ENTRIES:
        try:
            lines.append(f"{key}: {options.get_session_config_entry(key)}")
        except RuntimeError:  # the entry is not set
            continue
    return "\n".join(lines)


@contextmanager
def record_sessions() -> Iterator[list[RecordedSession]]:
    """Collects the sessions that are requested inside the context, in order."""
    sessions: list[RecordedSession] = []

    def create(model: bytes, options: Any = None, **_: Any) -> RecordedSession:
        sessions.append(RecordedSession(model, options))
        return sessions[-1]

    with mock.patch.object(onnxruntime, "InferenceSession", create):
        yield sessions
