"""Progress of training: a bar in a terminal or a notebook, plain lines in a log file.

Displays are callbacks of a fit that read the logs of a step only when something is drawn: to add up the results so far
takes longer than a small step.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, Literal, TextIO, TypeVar

from ...core.callback import Callback, Logs
from ...core.invisible_characters import escape_invisible
from ...core.metric_values import MetricValue, numbers_only
from ...core.reserved_names import LEARNING_RATE
from ..text.terminal import can_rewrite_lines, in_notebook, line_width, shows_color

Metrics = Mapping[str, MetricValue]
Verbosity = Literal["auto", 0, 1, 2]
VERBOSITIES = ("auto", 0, 1, 2)
"""As in Keras. 0: nothing; 1: a bar, or where there can be none, a line an epoch; 2: a line an epoch; "auto": a bar, or
where there can be none, nothing."""

MAX_LISTED_CLASSES = 20
MAX_FIXED_NUMBER = 1e6
"""Absolute values below are written without an exponent."""
SECONDS_BETWEEN_DRAWINGS = 0.1
BAR_WIDTH = 24
"""Columns of the bar, in a terminal that is wide enough."""


@contextmanager
def progress_display(verbosity: Verbosity = 1) -> Iterator[Display]:
    """A display of progress until the end of the `with` block."""
    display = _display(verbosity)
    try:
        yield display
    finally:
        with suppress(OSError, ValueError):
            display.close()


def _display(verbosity: Verbosity) -> Display:
    if verbosity in ("auto", 1) and in_notebook():
        return NotebookLine()
    if verbosity in ("auto", 1) and can_rewrite_lines(sys.stderr):
        return ProgressBar()
    return EpochLines() if verbosity in (1, 2) else Display()


Method = TypeVar("Method", bound=Callable[..., None])


def until_failure(method: Method) -> Method:
    """A method of a display that does nothing once one has failed: a closed terminal must not end the training."""

    @wraps(method)
    def guarded(self: Any, *arguments: Any) -> None:
        try:
            if not self.has_failed:
                method(self, *arguments)
        except (OSError, ValueError):  # the terminal or pipe is closed, or the disk is full
            self.has_failed = True

    return guarded  # type: ignore[return-value]


class Display(Callback):
    """Shows nothing."""

    _reads_logs_lazily = True
    has_failed = False
    shown_names: Collection[str] = ()
    """The names of the metrics of the last epoch when it was shown."""

    def close(self) -> None:
        """Ends what is drawn."""


def metric_texts(metrics: Metrics) -> list[str]:
    """The metrics, without metrics that have a number for each class."""
    numbers = numbers_only(metrics)
    shown = ((escape_invisible(name), value) for name, value in numbers.items())
    return [
        f"{name} {value:.4g}" if name == LEARNING_RATE else f"{name} {_number_text(value)}" for name, value in shown
    ]


def _number_text(value: float) -> str:
    digits = 4 if abs(value) < 1000 else 1
    return f"{value:.{digits}f}" if abs(value) < MAX_FIXED_NUMBER else f"{value:.4g}"


def metrics_text(metrics: Metrics) -> str:
    return "  ".join(metric_texts(metrics))


def class_weight_lines(
    weights: Mapping[str, Mapping[int, float]], labels: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """A line for each output: `class weights of species: setosa 0.5  virginica 1.25`."""
    for output, by_class in weights.items():
        names = labels.get(output, ())
        shown = [
            f"{escape_invisible(names[number]) if number < len(names) else number} {weight:.4g}"
            for number, weight in list(by_class.items())[:MAX_LISTED_CLASSES]
        ]
        hidden = len(by_class) - len(shown)
        yield f"class weights of {escape_invisible(output)}: {'  '.join(shown)}" + (
            f"  and {hidden:,} more" if hidden else ""
        )


def schedule_line(steps: Mapping[str, int], planned: Mapping[str, int], *, has_ended: bool) -> str:
    """The numbers of steps of a schedule, and those that a new training of this length would have: `schedule:
    decay_steps 300`."""
    text = "  ".join(f"{name} {number:,}" for name, number in steps.items())
    if steps == planned:
        return f"schedule: {text}"
    others = "  ".join(f"{name} {number:,}" for name, number in planned.items() if number != steps.get(name))
    state = "which has ended, so the learning rate stays the last one" if has_ended else "kept from the start"
    return f"schedule: {text}, {state}; a new training with these epochs would have {others}"


class AddedMetricsLine(Callback):
    """Prints the metrics that callbacks have added to those of the epoch, below the line of a display."""

    _reads_logs_lazily = True
    has_failed = False

    def __init__(self, display: Display) -> None:
        super().__init__()
        self._display = display

    @until_failure
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        added = {name: metric for name, metric in (logs or {}).items() if name not in self._display.shown_names}
        if isinstance(self._display, _EpochDisplay) and added:
            print(f"epoch {epoch + 1}/{self.params['epochs']}  {metrics_text(added)}", file=self._display.stream)


class _EpochDisplay(Display):
    """A display of epochs, which begins with the class weights and the schedule that a fit has learned from its
    data."""

    stream: TextIO
    start_time = 0.0

    @until_failure
    def _on_preparation(self, text: str) -> None:
        print(text, file=self.stream, flush=True)

    @until_failure
    def on_train_begin(self, logs: Logs | None = None) -> None:
        for line in class_weight_lines(self.params.get("class_weights", {}), self.trainer.plan.labels):
            print(line, file=self.stream, flush=True)
        if "schedule_steps" in self.params:
            steps, planned = self.params["schedule_steps"], self.params["planned_schedule_steps"]
            line = schedule_line(steps, planned, has_ended=self.params["schedule_has_ended"])
            print(line, file=self.stream, flush=True)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.start_time = time.monotonic()


class EpochLines(_EpochDisplay):
    """One line an epoch: `epoch 3/10  2.1 s  loss 0.1234  accuracy 0.9612`."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = sys.stderr

    @until_failure
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        seconds = time.monotonic() - self.start_time
        self.shown_names = {*(logs or {})}
        text = f"epoch {epoch + 1}/{self.params['epochs']}  {seconds:.1f} s  {metrics_text(logs or {})}"
        print(text, file=self.stream, flush=True)


class EpochDrawing(_EpochDisplay):
    """Draws the state of an epoch again and again; a subclass draws."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = sys.stderr
        self.epoch = self.step = 0
        self.next_drawing = 0.0

    @property
    def steps(self) -> int | None:
        """The steps of the epoch; None if it ends with the data."""
        return self.params["steps"]

    @until_failure
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        super().on_epoch_begin(epoch)
        self.epoch, self.step = epoch, 0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        now = time.monotonic()
        if now >= self.next_drawing:
            self.next_drawing = now + SECONDS_BETWEEN_DRAWINGS
            self._draw_step(batch + 1, logs or {})

    @until_failure
    def _draw_step(self, step: int, metrics: Metrics) -> None:
        self.step = step
        self.draw({**metrics, LEARNING_RATE: self.trainer.last_learning_rate})

    @until_failure
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.step, self.shown_names = self.steps or self.step, {*(logs or {})}
        self.draw(logs or {})
        self.close()

    def draw(self, metrics: Metrics) -> None:
        raise NotImplementedError

    @property
    def epoch_text(self) -> str:
        return f"epoch {self.epoch + 1}/{self.params['epochs']}"

    @property
    def counter_text(self) -> str:
        return str(self.step) if self.steps is None else f"{self.step:>{len(str(self.steps))}}/{self.steps}"

    @property
    def time_text(self) -> str:
        """Hours, minutes and seconds since the epoch began."""
        minutes, seconds = divmod(int(time.monotonic() - self.start_time), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


class NotebookLine(EpochDrawing):
    """A line on standard output for each epoch, rewritten while it runs. Notebooks show standard error like errors."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = sys.stdout
        self.drawn_width = 0

    def draw(self, metrics: Metrics) -> None:
        line = f"{self.epoch_text}  {self.counter_text}  {self.time_text}  {metrics_text(metrics)}"
        print(f"\r{line:{self.drawn_width}}", end="", flush=True)
        self.drawn_width = len(line)

    def close(self) -> None:
        if self.drawn_width:
            self.drawn_width = 0
            print(flush=True)


class ProgressBar(EpochDrawing):
    """A bar on standard error for each epoch; the bars of finished epochs stay visible.

    Metrics that do not fit beside the bar are shown below it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live: Any = None

    @until_failure
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        from rich.live import Live

        super().on_epoch_begin(epoch)
        self.live = Live(console=rewriting_console(), auto_refresh=False)
        self.live.start()
        self.draw({})

    def draw(self, metrics: Metrics) -> None:
        # Not that of sys.stderr, which `live` replaces by an object that is no terminal.
        self.live.update(self._lines(metrics, self.live.console.width), refresh=True)

    def _lines(self, metrics: Metrics, width: int) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar as Bar
        from rich.table import Table
        from rich.text import Text

        counter = self.counter_text
        texts = metric_texts(metrics)
        other_width = len(f"{self.epoch_text}  {counter} {self.time_text}") + 1
        bar_width = max(0, min(BAR_WIDTH, width - other_width - 1))
        beside = "  ".join(texts)
        has_room = other_width + bar_width + 1 + len(beside) < width
        bar = Table.grid(padding=(0, 1, 0, 0))
        for column_width in (len(self.epoch_text), bar_width, len(counter), len(self.time_text)):
            bar.add_column(no_wrap=True, width=column_width)
        cells: list[Any] = [self.epoch_text, Bar(self.steps, self.step, bar_width), counter, self.time_text]
        bar.add_row(*cells, *([Text(beside, no_wrap=True)] if has_room else []))
        below = [] if has_room else filled_lines(texts, width - 3)
        return Group(bar, *(Text(f"  {line}") for line in below))

    def close(self) -> None:
        live, self.live = self.live, None
        if live is not None:
            live.stop()


class SampleCounter:
    """A line in a terminal that counts samples, if they take longer than a second; it is erased at the end."""

    def __init__(self) -> None:
        self.next_drawing = time.monotonic() + 1.0
        self.is_drawn = False

    def __enter__(self) -> SampleCounter:
        return self

    def show(self, done: int) -> None:
        now = time.monotonic()
        if now >= self.next_drawing and can_rewrite_lines(sys.stderr):
            self.next_drawing = now + SECONDS_BETWEEN_DRAWINGS
            self.is_drawn = True
            with suppress(OSError, ValueError):
                print(f"\r{done:,} samples", end="", file=sys.stderr, flush=True)

    def __exit__(self, *error: object) -> None:
        if self.is_drawn:
            with suppress(OSError, ValueError):
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def filled_lines(texts: Sequence[str], width: int) -> list[str]:
    """Lines of texts with two spaces between them, as many in a line as fit into the width."""
    lines: list[str] = []
    for text in texts:
        if lines and len(lines[-1]) + 2 + len(text) <= width:
            lines[-1] += f"  {text}"
        else:
            lines.append(text)
    return lines


def rewriting_console() -> Any:
    """A console that never hides the cursor: a killed process would leave it hidden."""
    from rich.console import Console

    class ConsoleWithCursor(Console):
        def show_cursor(self, show: bool = True) -> bool:
            return False

    color, width = shows_color(sys.stderr), line_width(sys.stderr)
    return ConsoleWithCursor(
        stderr=True,
        force_terminal=True,
        width=width,
        color_system="auto" if color else None,
        no_color=not color,
        highlight=False,
    )
