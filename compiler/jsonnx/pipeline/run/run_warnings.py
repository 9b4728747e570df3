"""The function that a run calls with its warnings."""

from __future__ import annotations

from collections.abc import Callable

from ...core.diagnostics import Diagnostic

Warn = Callable[[list[Diagnostic]], None]
"""Called with warnings."""


def no_warning(diagnostics: list[Diagnostic]) -> None:
    """Ignores warnings."""
