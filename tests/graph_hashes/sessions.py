"""Sessions of onnxruntime that are recorded, and neither made nor run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import onnx
import onnxruntime

ENTRIES = (
    "session.set_denormal_as_zero",
    "session.force_spinning_stop",
    "session.use_env_allocators",
    "session.intra_op.allow_spinning",
)
"""Configuration that is recorded of a session."""


class Stopped(BaseException):
    """Raised instead of running a recorded session. Not an `Exception`, so that no handler takes it for a failure."""


class RecordedSession:
    """The model and the options of a session that is recorded instead of run."""

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
        raise Stopped

    run_with_iobinding = run


def options_text(options: Any) -> str:
    """The options of a session, one a line."""
    names = [name for name in dir(options) if not name.startswith("_") and not callable(getattr(options, name))]
    lines = [f"{name}: {getattr(options, name)}" for name in names]
    for key in ENTRIES:
        try:
            lines.append(f"{key}: {options.get_session_config_entry(key)}")
        except RuntimeError:  # it is not set
            continue
    return "\n".join(lines)


@contextmanager
def recorded() -> Iterator[list[RecordedSession]]:
    """The sessions that are asked for meanwhile, in order."""
    found: list[RecordedSession] = []

    def make(model: bytes, options: Any = None, **_: Any) -> RecordedSession:
        found.append(RecordedSession(model, options))
        return found[-1]

    with mock.patch.object(onnxruntime, "InferenceSession", make):
        yield found
