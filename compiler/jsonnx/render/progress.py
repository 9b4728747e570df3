"""Progress of training on standard error: a bar in a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def progress_display(quiet: bool = False) -> Iterator[Any]:
    """A display of progress until the end of the `with` block: a bar in a terminal, else one line an epoch."""
    bar = ProgressBar()
    display = SafeDisplay(NoDisplay() if quiet else bar if sys.stderr.isatty() else EpochLines())
    try:
        yield display
    finally:
        with suppress(OSError, ValueError):
            bar.on_end(None)


class SafeDisplay:
    """Forwards events to a display until it fails: a closed terminal must not end the training."""

    def __init__(self, display: Any) -> None:
        self.display = display

    def __getattr__(self, event: str) -> Callable[..., None]:
        getattr(self.display, event)  # AttributeError: the display does not handle this event

        def forward(*arguments: Any) -> None:
            try:
                if self.display is not None:
                    getattr(self.display, event)(*arguments)
            except (OSError, ValueError):  # the terminal or pipe is closed, or the disk is full
                self.display = None

        return forward


def metrics_text(logs: Mapping[str, float]) -> str:
    return "  ".join(
        f"{name} {value:.4f}" if abs(value) < 1000 else f"{name} {value:.4g}" for name, value in logs.items()
    )


class NoDisplay:
    """Shows nothing."""

    def on_end(self, history: Any) -> None:
        pass


class EpochLines:
    """One line an epoch: `epoch 3/10  2.1 s  loss 0.1234  accuracy 0.9612`."""

    def on_epoch_begin(self, epoch: int, epochs: int, steps: int) -> None:
        self.epochs, self.start_time = epochs, time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        seconds = time.monotonic() - self.start_time
        print(f"epoch {epoch + 1}/{self.epochs}  {seconds:.1f} s  {metrics_text(logs)}", file=sys.stderr, flush=True)


class ProgressBar:
    """A bar for each epoch; the bars of finished epochs stay visible."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.last_refresh = 0.0

    def on_epoch_begin(self, epoch: int, epochs: int, steps: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}"),
            console=_console(),
            auto_refresh=False,
        )
        self.bar.start()
        self.task = self.bar.add_task("", total=steps, epoch=f"{epoch + 1}/{epochs}", figures="")

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        now = time.monotonic()
        if now - self.last_refresh > 0.1:  # drawing takes longer than a small step
            self.last_refresh = now
            self.bar.update(self.task, completed=step, figures=metrics_text(logs), refresh=True)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        task = self.bar.tasks[0]
        self.bar.update(self.task, completed=task.total, figures=metrics_text(logs), refresh=True)
        self.on_end(None)

    def on_end(self, history: Any) -> None:
        bar, self.bar = self.bar, None
        if bar is not None:
            bar.stop()


def _console() -> Any:
    """A console that never hides the cursor: a killed process would leave it hidden."""
    from rich.console import Console

    class ConsoleWithCursor(Console):
        def show_cursor(self, show: bool = True) -> bool:
            return False

    return ConsoleWithCursor(stderr=True)
