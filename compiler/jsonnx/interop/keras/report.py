"""Faults found in what was made of a Keras file, told at their places in that file."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable, Iterable
from typing import Any

from ...core.diagnostics import Diagnostic, JsonPath, Report


class KerasReport(Report):
    """A report that knows how many errors there are."""

    error_count = 0

    def add(self, code: str, path: JsonPath, message: str, **options: Any) -> None:
        self.error_count += options.get("severity", "error") == "error"
        super().add(code, path, message, **options)

    def add_spec_diagnostics(
        self, diagnostics: Iterable[Diagnostic], keras_path: Callable[[JsonPath], JsonPath]
    ) -> None:
        """Adds what was found in a document of ours; `keras_path` says where its parts come from."""
        for fault in diagnostics:
            notes = [(keras_path(parse_path(note.path)), note.message) for note in fault.notes]
            path = keras_path(parse_path(fault.path))
            self.add(fault.code, path, fault.message, help=fault.help, notes=notes, severity=fault.severity)


def parse_path(path: str) -> JsonPath:
    """`$.layers[2]['a b']` as `('layers', 2, 'a b')`: what `path_text` wrote."""
    found = re.findall(r"\.(\w+)|\[(\d+)\]|\[('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\]", path[1:])
    return tuple(name or (int(index) if index else literal_eval(quoted)) for name, index, quoted in found)
