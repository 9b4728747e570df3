"""Progress of training: a bar for a person, plain lines for a log file. To standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any


def progress() -> Any:
    """What shows progress: a bar where standard error is a terminal, else a line an epoch."""
    return Bar() if sys.stderr.isatty() else Lines()


def figures(logs: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" if abs(value) < 1000 else f"{name} {value:.4g}" for name, value in logs.items())


class Lines:
    """One line an epoch: `epoch 3/10  2.1 s  loss 0.1234  accuracy 0.9612`."""

    def on_epoch_begin(self, epoch: int, epochs: int, steps: int) -> None:
        self.epochs, self.started = epochs, time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        seconds = time.monotonic() - self.started
        print(f"epoch {epoch + 1}/{self.epochs}  {seconds:.1f} s  {figures(logs)}", file=sys.stderr, flush=True)


class Bar:
    """A bar that fills during an epoch and stays as its line."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.refreshed = 0.0

    def on_epoch_begin(self, epoch: int, epochs: int, steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True),
            auto_refresh=False,
        )
        self.bar.start()
        self.task = self.bar.add_task("", total=steps, epoch=f"{epoch + 1}/{epochs}", figures="")

    def on_step(self, step: int, logs: Mapping[str, float]) -> None:
        now = time.monotonic()
        if now - self.refreshed > 0.1:  # drawing costs more than a small step
            self.refreshed = now
            self.bar.update(self.task, completed=step + 1, figures=figures(logs), refresh=True)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        task = self.bar.tasks[0]
        self.bar.update(self.task, completed=task.total, figures=figures(logs), refresh=True)
        self.bar.stop()
        self.bar = None

    def on_end(self, history: Any) -> None:
        if self.bar is not None:
            self.bar.stop()
