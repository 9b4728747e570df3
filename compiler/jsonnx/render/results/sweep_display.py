"""A search while it goes on: a live table in a terminal, a line for each trial elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from ...core.invisible_characters import escape_invisible
from ...frontend.schema.phrases import short_repr
from ...hyperparameter_search.trials import (
    FAILED,
    FINISHED,
    INVALID,
    PRUNED,
    SweepView,
    Trial,
    best_trial,
    counts_by_state,
    ranked_trials,
)
from ..text.terminal import can_rewrite_lines
from .progress import SECONDS_BETWEEN_DRAWINGS, Verbosity, rewriting_console, until_failure

MAX_BEST_ROWS = 5
"""Maximum number of rows of the best trials so far, below the running ones."""


@contextmanager
def sweep_display(verbosity: Verbosity = 1) -> Iterator[NoSweepDisplay]:
    """A display until the end of the `with` block: a table, a line for each trial, or nothing."""
    display = NoSweepDisplay()
    if verbosity in ("auto", 1) and can_rewrite_lines(sys.stderr):
        display = LiveTable()
    elif verbosity in (1, 2):
        display = TrialLines()
    try:
        yield display
    finally:
        with suppress(OSError, ValueError):
            display.close()


class NoSweepDisplay:
    """Shows nothing."""

    has_failed = False

    def show(self, view: SweepView) -> None:
        """Called several times a second."""

    def show_ended(self, trial: Trial, view: SweepView) -> None:
        """Called when a trial has ended."""

    def close(self) -> None:
        """Called at the end of the search."""


class TrialLines(NoSweepDisplay):
    """A line for each trial that has ended: `trial 3/50  finished  val_accuracy 0.9714  12.3 s  width = 32`."""

    @until_failure
    def show_ended(self, trial: Trial, view: SweepView) -> None:
        parts = [f"trial {trial.number}/{view.limit}", outcome_text(trial, view.metric)]
        if trial.runs:
            parts.append(f"{trial.seconds:.1f} s")
        if trial is best_trial(view.trials, view.is_maximized):
            parts.append("best so far")
        print("  ".join([*parts, assignment_text(trial.values)]), file=sys.stderr, flush=True)


def outcome_text(trial: Trial, metric: str) -> str:
    """How a trial has ended, in words."""
    if trial.state == FINISHED:
        return f"finished  {escape_invisible(metric)} {metric_text(trial.value)}"
    if trial.state == PRUNED:
        last = trial.curve[-1] if trial.curve else None
        return f"pruned after epoch {trial.pruned_at}  {escape_invisible(metric)} {metric_text(last)}"
    if trial.state in (FAILED, INVALID):
        return f"{trial.state}: {escape_invisible(trial.reasons[0] if trial.reasons else '')}"
    return f"repeats trial {trial.duplicate_of}" if trial.duplicate_of is not None else trial.state


def metric_text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if 0.01 <= abs(value) < 1000 or value == 0 else f"{value:.4g}"


def assignment_text(values: Mapping[str, Any]) -> str:
    """The values of a trial, with the last parts of dotted names: `width = 32, learning_rate = 0.001`."""
    return escape_invisible(
        ", ".join(f"{name.rpartition('.')[2]} = {short_repr(value)}" for name, value in values.items())
    )


class LiveTable(NoSweepDisplay):
    """A table on standard error: the trials that run, the best so far, and how many have ended."""

    def __init__(self) -> None:
        self._live: Any = None
        self._next_drawing = 0.0
        self._start_time = time.monotonic()

    @until_failure
    def show(self, view: SweepView) -> None:
        now = time.monotonic()
        if now >= self._next_drawing:
            self._next_drawing = now + SECONDS_BETWEEN_DRAWINGS
            self._draw(view)

    @until_failure
    def show_ended(self, trial: Trial, view: SweepView) -> None:
        self._draw(view)

    def _draw(self, view: SweepView) -> None:
        from rich.live import Live

        if self._live is None:
            self._live = Live(console=rewriting_console(), auto_refresh=False)
            self._live.start()
        self._live.update(self._table(view), refresh=True)

    def _table(self, view: SweepView) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("trial", "state", view.metric, "epoch"):
            table.add_column(Text(escape_invisible(name)), no_wrap=True)
        table.add_column("values", no_wrap=True, overflow="ellipsis")
        for item in view.running:
            last = item.curve[-1] if item.curve else None
            epoch = f"{len(item.curve)}/{item.epochs}"
            table.add_row(*self._row(item.trial, f"{item.seconds:.0f} s", last, epoch))
        for trial in ranked_trials(view.trials, view.is_maximized)[:MAX_BEST_ROWS]:
            epochs = trial.runs[0].epoch if trial.runs else None
            table.add_row(*self._row(trial, "finished", trial.value, str(epochs or "")))
        return Group(Text(self._heading(view), no_wrap=True), table)

    def _row(self, trial: Trial, state: str, value: float | None, epoch: str) -> list[Any]:
        from rich.text import Text

        cells = [str(trial.number), state, metric_text(value), epoch, assignment_text(trial.values)]
        return [Text(cell) for cell in cells]

    def _heading(self, view: SweepView) -> str:
        counts = counts_by_state([trial for trial in view.trials if trial.has_ended])
        ended = sum(counts.values())
        minutes, seconds = divmod(int(time.monotonic() - self._start_time), 60)
        states = "  ".join(f"{state} {count}" for state, count in counts.items())
        return f"{ended}/{view.limit} trials  {minutes // 60}:{minutes % 60:02}:{seconds:02}  {states}"

    def close(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()
