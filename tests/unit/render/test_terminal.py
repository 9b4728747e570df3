"""Colors, the width of lines, tables in a narrow terminal, and the display of progress."""

from __future__ import annotations

import io
import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from jsonnx.render.results.progress import (
    Display,
    EpochLines,
    NotebookLine,
    ProgressBar,
    filled_lines,
    metric_texts,
    progress_display,
)
from jsonnx.render.text.terminal import can_rewrite_lines, choose_color, line_width, shows_color
from jsonnx.render.text.text_table import TextTable
from support.commands import jsonnx


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    choose_color("auto")


@pytest.mark.parametrize(
    ("choice", "variables", "in_terminal", "in_file"),
    [
        ("auto", {}, True, False),
        ("auto", {"TERM": "xterm"}, True, False),
        ("auto", {"TERM": "dumb"}, False, False),
        ("auto", {"NO_COLOR": "1"}, False, False),
        ("auto", {"NO_COLOR": ""}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, True, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ("always", {"NO_COLOR": "1", "TERM": "dumb"}, True, True),
        ("never", {"FORCE_COLOR": "1"}, False, False),
    ],
)
def test_the_option_decides_before_the_environment(
    choice: Any, variables: dict[str, str], in_terminal: bool, in_file: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    choose_color(choice)
    try:
        assert (shows_color(Terminal()), shows_color(io.StringIO())) == (in_terminal, in_file)
    finally:
        choose_color("auto")


def test_only_a_terminal_has_a_width(monkeypatch: pytest.MonkeyPatch) -> None:
    assert line_width(io.StringIO()) is None
    assert line_width(Terminal()) == 80
    monkeypatch.setenv("COLUMNS", "130")
    assert line_width(Terminal()) == 130
    monkeypatch.setenv("TERM", "dumb")
    assert not can_rewrite_lines(Terminal())


@pytest.mark.parametrize("arguments", [("--color", "always", "diff"), ("diff", "--color", "always")])
def test_color_is_an_option_of_the_program_and_of_a_command(arguments: tuple[str, ...], tmp_path: Any) -> None:
    specs = []
    for units in (1, 2):
        specs.append(str(tmp_path / f"{units}.json"))
        with open(specs[-1], "w") as file:
            file.write(f'{{"inputs": {{"x": {{"shape": [2]}}}}, "layers": [{{"type": "Dense", "units": {units}}}]}}')
    assert "\x1b[" in jsonnx(*arguments, *specs, status=1).stdout
    assert "\x1b[" not in jsonnx("diff", *specs, status=1).stdout


def test_diagnostics_obey_force_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31merror" in jsonnx("validate", "-", stdin="{", status=1).stderr
    assert "\x1b[" not in jsonnx("validate", "--color", "never", "-", stdin="{", status=1).stderr


# -- tables ----------------------------------------------------------------------------------------------------------

TABLE = TextTable(
    ["layer", "output shape", "multiply-adds"],
    right=(2,),
    rows=[["conv2d", "(batch, 26, 26, 32)", "194,688"], ["  dense_of_the_block", "(batch, 10)", "16,000"]],
)
WIDE = TABLE.text()


def test_a_table_that_fits_is_not_wrapped() -> None:
    assert TABLE.text(width=max(map(len, WIDE.splitlines()))) == WIDE


def test_cells_are_wrapped_between_words() -> None:
    text = TABLE.text(width=50)
    assert max(map(len, text.splitlines())) <= 50
    assert {*text.split()} >= {"(batch,", "32)", "multiply-adds", "dense_of_the_block"}
    assert "(batch, 26," in text


def test_names_are_broken_at_underscores_if_words_do_not_fit() -> None:
    text = TABLE.text(width=36)
    assert max(map(len, text.splitlines())) <= 36
    assert "  dense_" in text
    assert "194,688" in text


def test_a_word_is_never_broken() -> None:
    words = {*re.split(r"[\s_]+", WIDE), "multiply-", "adds"} - {"multiply-adds"}
    assert {word for word in re.split(r"[\s_]+", TABLE.text(width=10)) if not word.startswith("--")} <= words


# -- progress --------------------------------------------------------------------------------------------------------

TRAINER = SimpleNamespace(last_learning_rate=0.0003, plan=SimpleNamespace(labels={}))
METRICS = {f"{name}_loss": 0.5 for name in ("arrival", "departure", "cancelled", "diverted", "delayed")}


@pytest.mark.parametrize("width", [40, 80, 130, 200])
def test_the_epoch_and_the_time_are_shown_whatever_the_metrics(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    with progress_display(1) as display:
        display.set_params({"epochs": 12, "steps": 400})
        display.set_model(TRAINER)
        display.on_epoch_begin(0)
        display.on_train_batch_end(6, METRICS)
        display.on_epoch_end(0, METRICS)
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()))
    assert max(map(len, lines)) <= width
    ends = [line for line in lines if "400/400" in line]
    assert ends
    assert all(re.match(r"epoch 1/12 .*400/400 0:00:0\d", line) for line in ends)
    last = "\n".join(lines[lines.index(ends[-1]) :])
    assert all(f"{name} 0.5000" in last for name in METRICS)


class Unread(dict[str, float]):
    """Logs that may not be read."""

    def __getattribute__(self, name: str) -> Any:
        raise ValueError(name)

    def __bool__(self) -> bool:
        raise ValueError("read")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.1235"), (999.5, "999.5000"), (13761.5168, "13761.5"), (-250000.0, "-250000.0"), (2.5e7, "2.5e+07")],
)
def test_large_metrics_are_read_at_a_glance(value: float, text: str) -> None:
    assert metric_texts({"mae": value}) == [f"mae {text}"]


def test_a_small_learning_rate_keeps_its_digits() -> None:
    assert metric_texts({"loss": 3e-5, "learning_rate": 3e-5}) == ["loss 0.0000", "learning_rate 3e-05"]


def test_metrics_are_computed_only_when_they_are_drawn() -> None:
    bar = ProgressBar()
    bar.next_drawing = float("inf")
    bar.on_train_batch_end(0, Unread())
    assert not bar.has_failed


def test_metrics_fill_lines() -> None:
    assert filled_lines(["loss 1", "accuracy 2", "mae 3"], 20) == ["loss 1  accuracy 2", "mae 3"]


class ClosedTerminal(Terminal):
    """Counts what is written to it, which fails."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        raise OSError("the terminal is closed")


@pytest.mark.parametrize("verbosity", [1, 2])
def test_a_closed_terminal_ends_the_display_and_not_the_training(
    verbosity: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = ClosedTerminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_display(verbosity) as display:
        display.set_params({"epochs": 2, "steps": 1})
        display.set_model(TRAINER)
        for epoch in range(2):
            display.on_epoch_begin(epoch)
            display.on_train_batch_end(0, METRICS)
            display.on_epoch_end(epoch, METRICS)
            assert display.has_failed
            assert terminal.writes == 1


@pytest.mark.parametrize(
    ("verbosity", "stream", "expected"),
    [
        ("auto", Terminal(), ProgressBar),
        ("auto", io.StringIO(), Display),
        (0, Terminal(), Display),
        (1, Terminal(), ProgressBar),
        (1, io.StringIO(), EpochLines),
        (2, Terminal(), EpochLines),
    ],
)
def test_the_display_depends_on_the_stream(
    verbosity: Any, stream: io.StringIO, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_display(verbosity) as display:
        assert type(display) is expected


def test_a_notebook_gets_a_line_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("jsonnx.render.results.progress.in_notebook", lambda: True)
    with progress_display("auto") as display:
        assert type(display) is NotebookLine
        display.set_params({"epochs": 2, "steps": 5})
        display.set_model(TRAINER)
        display.on_epoch_begin(0)
        display.on_train_batch_end(4, {"loss": 1.0})
    assert capsys.readouterr().out == "\repoch 1/2  5/5  0:00:00  loss 1.0000  learning_rate 0.0003\n"
