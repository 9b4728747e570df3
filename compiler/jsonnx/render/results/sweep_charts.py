"""The charts of a search as SVG: its progress, and parallel coordinates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from math import log10
from typing import NamedTuple

from ...core.components import Json
from ...hyperparameter_search.trials import FINISHED, Trial
from .sweep_display import figure_text

WIDTH, HEIGHT, MARGIN = 1060, 300, 60
"""Of a chart, in pixels."""
MIN_AXIS_DISTANCE = 110
MAX_LABEL_CHARACTERS = 18
COLORS = ((122, 92, 176), (66, 112, 178), (33, 145, 140), (74, 166, 80), (222, 150, 24))
"""Five colors in the order of viridis, from bad to good, that are visible on white and on black."""


class ParallelAxis(NamedTuple):
    """An axis: its name, the position of each trial's value from 0 to 1 (None if it has none), and labels."""

    name: str
    positions: list[float | None]
    ticks: list[tuple[float, str]]

    @staticmethod
    def of(name: str, values: Sequence[Json], is_log: bool = False) -> ParallelAxis:
        """The axis of these values: of numbers by size or by logarithm, of others in the order of their first use."""
        given = [value for value in values if value is not None]
        distinct = list(dict.fromkeys(json.dumps(value, sort_keys=True) for value in given))
        is_numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in given)
        if not is_numeric or len(distinct) < 2:
            place = {text: (index + 0.5) / len(distinct) for index, text in enumerate(distinct)}
            positions = [None if value is None else place[json.dumps(value, sort_keys=True)] for value in values]
            return ParallelAxis(name, positions, [(position, _short(text)) for text, position in place.items()])
        numbers = [float(value) for value in given]
        scale = _Scale(min(numbers), max(numbers), is_log and min(numbers) > 0)
        positions = [None if value is None else scale.position(float(value)) for value in values]
        return ParallelAxis(name, positions, scale.ticks())


class _Scale(NamedTuple):
    """A linear or a logarithmic scale."""

    low: float
    high: float
    is_log: bool

    def position(self, value: float) -> float:
        if self.high <= self.low:
            return 0.5
        if self.is_log:
            return (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def at(self, position: float) -> float:
        if self.is_log:
            return float(10 ** (log10(self.low) + position * (log10(self.high) - log10(self.low))))
        return self.low + position * (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        return [(position, f"{self.at(position):.3g}") for position in (0.0, 0.25, 0.5, 0.75, 1.0)]


def _short(text: str) -> str:
    text = text.strip('"')
    return text if len(text) <= MAX_LABEL_CHARACTERS else text[: MAX_LABEL_CHARACTERS - 3] + "..."


def _color(share: float) -> str:
    """The color of a share from 0, bad, to 1, good."""
    place = min(max(share, 0.0), 1.0) * (len(COLORS) - 1)
    index = min(int(place), len(COLORS) - 2)
    mixed = [round(a + (b - a) * (place - index)) for a, b in zip(COLORS[index], COLORS[index + 1], strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _svg(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(label)}">\n{body}\n</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="axis" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def parallel_coordinates(
    axes: Sequence[ParallelAxis], values: Sequence[float], titles: Sequence[str], is_maximized: bool, best: int | None
) -> str:
    """A line for each trial through its values on parallel axes. Better trials are brighter and drawn last."""
    distance = max(MIN_AXIS_DISTANCE, (WIDTH - 2 * MARGIN) / max(1, len(axes) - 1))
    width = round(2 * MARGIN + distance * (len(axes) - 1))
    x_of = [MARGIN + distance * index for index in range(len(axes))]
    parts = []
    scale = _Scale(min(values), max(values), False)
    goodness = [scale.position(value if is_maximized else min(values) + max(values) - value) for value in values]
    for index in sorted(range(len(values)), key=lambda index: (index == best, goodness[index])):
        places = [(x, axis.positions[index]) for x, axis in zip(x_of, axes, strict=True)]
        points = " ".join(f"{x:.1f},{_y(place):.1f}" for x, place in places if place is not None)
        kind = "trial best" if index == best else "trial"
        parts.append(
            f'<polyline class="{kind}" stroke="{_color(goodness[index])}" points="{points}">'
            f"<title>{escape(titles[index])}</title></polyline>"
        )
    for x, axis in zip(x_of, axes, strict=True):  # over the lines of the trials
        parts += [_line(x, _y(0), x, _y(1)), _text(x, 24, _short(axis.name.rpartition(".")[2]))]
        parts += [_text(x - 6, _y(position) + 4, label, "end") for position, label in axis.ticks]
    return _svg(width, HEIGHT, "Parallel coordinates of the trials", parts)


def _y(position: float) -> float:
    """The height of a position from 0, at the bottom, to 1."""
    return HEIGHT - 24 - position * (HEIGHT - 72)


def progress_chart(trials: Sequence[Trial], is_maximized: bool, metric: str) -> str:
    """The value of each finished trial by its number, and the best so far. Empty if no trial has finished."""
    finished = [(trial.number, trial.value) for trial in trials if trial.state == FINISHED and trial.value is not None]
    if not finished:
        return ""
    values = [value for _, value in finished]
    scale = _Scale(min(values), max(values), False)
    last = max(trial.number for trial in trials)

    def x_of(number: int) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * ((number - 1) / max(1, last - 1))

    parts = [_line(MARGIN, _y(0), WIDTH - MARGIN, _y(0)), _text(WIDTH / 2, HEIGHT - 6, "trial")]
    parts += [_text(MARGIN - 8, _y(position) + 4, label, "end") for position, label in scale.ticks()]
    best, points = finished[0][1], []
    for number, value in finished:
        improved = max(best, value) if is_maximized else min(best, value)
        points += [(x_of(number), best), (x_of(number), improved)]
        best = improved
    points.append((x_of(last), best))
    path = " ".join(f"{x:.1f},{_y(scale.position(value)):.1f}" for x, value in points)
    parts.append(f'<polyline class="trial" stroke="var(--accent)" points="{path}"/>')
    for number, value in finished:
        title = escape(f"trial {number}: {metric} {figure_text(value)}")
        parts.append(
            f'<circle cx="{x_of(number):.1f}" cy="{_y(scale.position(value)):.1f}" r="3.5" fill="var(--accent)">'
            f"<title>{title}</title></circle>"
        )
    return _svg(WIDTH, HEIGHT, f"{metric} by trial", parts)
