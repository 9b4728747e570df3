"""Charts of the gallery as SVG files that are read on light and on dark pages.

Their background is transparent. Each color has a tone for light and one for dark pages, which a browser chooses by the
color scheme of the page that shows the image.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 400, 240
LEFT, RIGHT, TOP, BOTTOM = 48, 118, 30, 36
"""Space around the plot: for the tick labels, the labels of the lines, the title and the labels of the x axis."""

COLORS: dict[str, tuple[str, str]] = {
    "text": ("#646c75", "#9aa4af"),
    "grid": ("#d8dee4", "#343c46"),
    "blue": ("#0a62c4", "#58a6ff"),
    "orange": ("#a8530a", "#e3893a"),
    "green": ("#1a7535", "#3fb950"),
}
"""Tones of each color for light and for dark pages."""

LABEL_PIXELS, CHARACTER_PIXELS = 14, 6.5


def style() -> str:
    def rules(index: int) -> str:
        return "".join(f".{name}{{--c:{tones[index]}}}" for name, tones in COLORS.items())

    return (
        "<style>text{font:12px system-ui,sans-serif;fill:var(--c)}.title{font-weight:600}"
        "path{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round}.grid{stroke-width:1}"
        f"circle,rect{{fill:var(--c)}}{rules(0)}@media(prefers-color-scheme:dark){{{rules(1)}}}</style>"
    )


def svg(elements: Iterable[str], width: int = WIDTH, height: int = HEIGHT) -> str:
    body = "\n".join(elements)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        f"{style()}\n{body}\n</svg>\n"
    )


def text(x: float, y: float, content: str, color: str = "text", anchor: str = "start", kind: str = "") -> str:
    names = f"{color} {kind}".strip()
    return f'<text class="{names}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def path(points: Sequence[tuple[float, float]], color: str) -> str:
    return f'<path class="{color}" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>'


def circle(x: float, y: float, color: str, radius: float = 4) -> str:
    return f'<circle class="{color}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def number(value: float) -> str:
    """A number with at most three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}".rstrip("0").rstrip(".")


@dataclass
class Axes:
    """A plot with ranges of values, and its elements."""

    title: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    right: int = RIGHT
    elements: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        ticks = nice_ticks(*self.y_range)
        self.y_range = (min(self.y_range[0], ticks[0]), max(self.y_range[1], ticks[-1]))
        self.elements.append(text(4, 16, self.title, kind="title"))
        for tick in ticks:
            self.elements.append(path([(LEFT, self.y(tick)), (WIDTH - self.right, self.y(tick))], "grid"))
            self.elements.append(text(LEFT - 6, self.y(tick) + 4, number(tick), anchor="end"))

    def x(self, value: float) -> float:
        low, high = self.x_range
        return LEFT + (value - low) / ((high - low) or 1) * (WIDTH - LEFT - self.right)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return HEIGHT - BOTTOM - (value - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM)

    def label_x(self, labels: Mapping[float, str], axis: str) -> None:
        for value, label in labels.items():
            half = len(label) * CHARACTER_PIXELS / 2
            x = min(max(self.x(value), half), WIDTH - half)
            self.elements.append(text(x, HEIGHT - BOTTOM + 16, label, anchor="middle"))
        middle = (LEFT + WIDTH - self.right) / 2
        self.elements.append(text(middle, HEIGHT - 4, axis, anchor="middle"))


def nice_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers that reach from at most `low` to at least `high`."""
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / 3))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def spread(positions: Sequence[float]) -> list[float]:
    """The heights of labels, moved apart where they would overlap."""
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    placed = list(positions)
    for before, after in itertools.pairwise(order):
        placed[after] = max(placed[after], placed[before] + LABEL_PIXELS)
    excess = max(0.0, max(placed) - (HEIGHT - BOTTOM)) if placed else 0.0
    return [place - excess for place in placed]


def training_chart(title: str, epochs: Mapping[str, Sequence[float]], test: float | None) -> str:
    """A figure by epoch, a line for each part of the data, labelled with its last value; a dot for the test data."""
    values = [value for line in epochs.values() for value in line] + ([test] if test is not None else [])
    count = max(map(len, epochs.values()))
    axes = Axes(title, (1, count), (min(values), max(values)))
    colors = dict(zip(epochs, ("blue", "orange"), strict=False))
    for name, line in epochs.items():
        points = [(axes.x(index + 1), axes.y(value)) for index, value in enumerate(line)]
        axes.elements.append(path(points, colors[name]))
    ends = [(name, line[-1], colors[name]) for name, line in epochs.items()]
    if test is not None:
        axes.elements.append(circle(axes.x(count), axes.y(test), "green"))
        ends.append(("test", test, "green"))
    for (name, value, color), y in zip(ends, spread([axes.y(value) for _, value, _ in ends]), strict=True):
        axes.elements.append(text(axes.x(count) + 9, y + 4, f"{name} {number(value)}", color))
    axes.label_x({1: "1", count: str(count)}, "epoch")
    return svg(axes.elements)


def scatter_chart(
    title: str, x_axis: str, groups: Mapping[str, Sequence[tuple[float, float]]], right: int = RIGHT
) -> str:
    """Points by group, each with a label beside its centre."""
    points = [point for group in groups.values() for point in group]
    xs, ys = zip(*points, strict=True)
    axes = Axes(title, (min(xs), max(xs)), (min(ys), max(ys)), right)
    labels = []
    for (name, group), color in zip(groups.items(), ("blue", "orange", "green"), strict=False):
        axes.elements += [circle(axes.x(x), axes.y(y), color, 2) for x, y in group]
        labels.append((name, axes.y(sum(y for _, y in group) / len(group)), color))
    heights = spread([y for _, y, _ in labels])
    if len(groups) > 1:
        for (name, _, color), y in zip(labels, heights, strict=True):
            axes.elements.append(text(WIDTH - right + 8, y + 4, name, color))
    axes.label_x({min(xs): number(min(xs)), max(xs): number(max(xs))}, x_axis)
    return svg(axes.elements)


def line_chart(title: str, x_axis: str, lines: Mapping[str, Sequence[float]], x_labels: Mapping[float, str]) -> str:
    """Series of values; one that has a name is labelled at its end."""
    values = [value for line in lines.values() for value in line]
    is_named = any(lines)
    axes = Axes(title, (0, max(map(len, lines.values())) - 1), (min(values), max(values)), RIGHT if is_named else 16)
    ends = spread([axes.y(line[-1]) for line in lines.values()])
    for (name, line), y, color in zip(lines.items(), ends, ("blue", "orange", "green"), strict=False):
        points = [(axes.x(index), axes.y(value)) for index, value in enumerate(line)]
        axes.elements += [path(points, color), text(axes.x(axes.x_range[1]) + 8, y + 4, name, color)]
    axes.label_x(x_labels, x_axis)
    return svg(axes.elements)


def bar_chart(title: str, x_axis: str, bars: Mapping[str, float], labelled: Sequence[str] | None = None) -> str:
    """A bar for each name; `labelled` are those with a label at the axis."""
    axes = Axes(title, (-0.5, len(bars) - 0.5), (0.0, max(bars.values())), 16)
    width = axes.x(0.8) - axes.x(0)
    for index, value in enumerate(bars.values()):
        x, y = axes.x(index) - width / 2, axes.y(value)
        height = axes.y(0) - y
        axes.elements.append(f'<rect class="blue" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>')
    names = list(bars)
    axes.label_x({index: name for index, name in enumerate(names) if name in (labelled or names)}, x_axis)
    return svg(axes.elements)


def text_cards(rows: Sequence[tuple[str, str, str]], characters: int = 52, max_lines: int = 4) -> str:
    """Texts, each below its label: (label, color, text)."""
    elements, y = [], 18
    for label, color, content in rows:
        elements.append(text(8, y, label, color, kind="title"))
        for line in wrapped(content, characters, max_lines):
            y += 17
            elements.append(text(8, y, line))
        y += 30
    return svg(elements, height=y - 12)


def wrapped(content: str, characters: int, max_lines: int) -> list[str]:
    lines = [""]
    for word in content.split():
        if len(lines[-1]) + len(word) + 1 > characters:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines if len(lines) <= max_lines else [*lines[: max_lines - 1], f"{lines[max_lines - 1]} ..."]
