"""Diagnostics about a Keras file, at their positions in that file."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable, Iterable
from typing import Any

from ....core.diagnostics import Diagnostic, JsonPath, Locator, Report


class KerasReport(Report):
    """A report that counts its errors."""

    def __init__(self, file: str | None = None, locator: Locator | None = None) -> None:
        super().__init__(file, locator)
        self.error_count = 0

    def add(self, code: str, path: JsonPath, message: str, **options: Any) -> None:
        self.error_count += options.get("severity", "error") == "error"
        super().add(code, path, message, **options)

    def add_spec_diagnostics(
        self, diagnostics: Iterable[Diagnostic], keras_path: Callable[[JsonPath], JsonPath]
    ) -> None:
        """Adds the diagnostics of a spec; `keras_path` maps paths in the spec to paths in the Keras file."""
        for diagnostic in diagnostics:
            notes = [(keras_path(parse_path(note.path)), note.message) for note in diagnostic.notes]
            path, help, severity = keras_path(parse_path(diagnostic.path)), diagnostic.help, diagnostic.severity
            self.add(diagnostic.code, path, diagnostic.message, help=help, notes=notes, severity=severity)


def parse_path(path: str) -> JsonPath:
    """Converts `$.layers[2]['a b']` to `('layers', 2, 'a b')`: the inverse of `path_text`."""
    steps = re.findall(r"\.(\w+)|\[(\d+)\]|\[('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\]", path[1:])
    return tuple(name or (int(index) if index else literal_eval(quoted)) for name, index, quoted in steps)
