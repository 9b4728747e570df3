"""The charts of a search as SVG: the metric of each finished trial by its number, and by each parameter."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from math import log10
from typing import NamedTuple

from ...core.components import Json
from ...core.invisible_characters import escape_html
from ...core.metric_values import is_number
from ...hyperparameter_search.space import ChoiceDomain, Domain, RangeDomain, Space
from ...hyperparameter_search.trials import Trial

WIDTH, HEIGHT, LEFT, BOTTOM = 340, 220, 68, 44
"""Of a chart, and of its margins for labels, in pixels."""
NUMBER_TICKS = 3
MIN_DIGITS, MAX_DIGITS = 3, 17
"""Significant digits of the label of a number."""
MIN_PLAIN_NUMBER, MAX_PLAIN_NUMBER = 1_000, 1_000_000
"""Whole numbers between these are labelled with marks of thousands."""
MAX_CHOICE_TICKS = 5
MAX_LABEL_CHARACTERS = 8
"""Of the label of a choice."""


class Axis(NamedTuple):
    """The position of each trial's value from 0 to 1 (None if it has none), and labels."""

    positions: Sequence[float | None]
    ticks: Sequence[tuple[float, str]]


def sweep_charts(trials: Sequence[Trial], space: Space, metric: str) -> str:
    """The charts of trials that have finished, the best of which is first; empty without any."""
    if not trials:
        return ""
    domains = {dimension.name: dimension.domain for dimension in space.dimensions}
    y = _axis([trial.value for trial in trials])
    axes = {"trial": _axis([trial.number for trial in trials])}
    for name in space.names:
        axes[name] = _axis([trial.values.get(name) for trial in trials], domains[name])
    titles = [f"trial {trial.number}: {metric} {trial.value:.4g}" for trial in trials]
    return "\n".join(_scatter_chart(name, metric, x, y, titles) for name, x in axes.items())


def _axis(values: Sequence[Json], domain: Domain | None = None) -> Axis:
    """An axis of the values of a range, or of those without a domain, by size or by logarithm; of others, such as those
    of a choice, with equal distances: numbers by size, all else in the order of its first use."""
    known = [value for value in values if value is not None]
    if not known:
        return Axis([None] * len(values), [])
    has_numbers = all(map(is_number, known))
    is_log = isinstance(domain, RangeDomain) and domain.is_log
    if has_numbers and not isinstance(domain, ChoiceDomain) and not (is_log and any(value <= 0 for value in known)):
        return _number_axis(values, is_log)
    texts = [json.dumps(value, sort_keys=True) for value in (sorted(known) if has_numbers else known)]
    places = {text: (index + 0.5) / len({*texts}) for index, text in enumerate(dict.fromkeys(texts))}
    ticks = [(place, _short(text.strip('"'))) for text, place in places.items()]
    positions = [None if value is None else places[json.dumps(value, sort_keys=True)] for value in values]
    return Axis(positions, ticks[:: 1 + (len(ticks) - 1) // MAX_CHOICE_TICKS])


def _number_axis(values: Sequence[Json], is_log: bool) -> Axis:
    scaled = [None if value is None else log10(value) if is_log else float(value) for value in values]
    known = [value for value in scaled if value is not None]
    low, width = min(known), max(known) - min(known)
    if not width:
        (label,) = _labels([10**low if is_log else low])
        return Axis([None if value is None else 0.5 for value in scaled], [(0.5, label)])
    numbers = [low + width * index / (NUMBER_TICKS - 1) for index in range(NUMBER_TICKS)]
    if not is_log and all(value is None or isinstance(value, int) for value in values):
        numbers = [*dict.fromkeys(float(round(number)) for number in numbers)]
    labels = _labels([10**number if is_log else number for number in numbers])
    ticks = [((number - low) / width, label) for number, label in zip(numbers, labels, strict=True)]
    return Axis([None if value is None else (value - low) / width for value in scaled], ticks)


def _labels(numbers: Sequence[float]) -> list[str]:
    """Short texts of numbers, with as many digits as tell them apart."""
    for digits in range(MIN_DIGITS, MAX_DIGITS):
        labels = [_number_text(number, digits) for number in numbers]
        if len({*labels}) == len(numbers):
            break
    return labels


def _number_text(number: float, digits: int) -> str:
    """A number with some significant digits: `14,600`, `0.014`, `1.46e-12`."""
    rounded = float(f"{number:.{digits - 1}e}")
    if MIN_PLAIN_NUMBER <= abs(rounded) < MAX_PLAIN_NUMBER and rounded == round(rounded):
        return f"{rounded:,.0f}"
    return re.sub(r"e([+-])0*", lambda match: "e-" if match[1] == "-" else "e", f"{number:.{digits}g}")


def _scatter_chart(name: str, metric: str, x: Axis, y: Axis, titles: Sequence[str]) -> str:
    parts = [
        f'<path class="axis" d="M{LEFT},{_y(1):.1f} V{_y(0):.1f} H{WIDTH}"/>',
        *(_text(LEFT - 6, _y(position) + 4, label, "end") for position, label in y.ticks),
        *(_text(_x(position), HEIGHT - BOTTOM + 16, label) for position, label in x.ticks),
        _text((LEFT + WIDTH) / 2, HEIGHT - 6, name.rpartition(".")[2]),
    ]
    for index, (across, up, title) in [*enumerate(zip(x.positions, y.positions, titles, strict=True))][::-1]:
        if across is not None and up is not None:
            kind = ' class="best"' if index == 0 else ""  # drawn last, above the others
            center = f'cx="{_x(across):.1f}" cy="{_y(up):.1f}"'
            parts.append(f'<circle{kind} {center} r="4"><title>{escape_html(title)}</title></circle>')
    label = escape_html(f"{metric} by {name}")
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">\n' + "\n".join(parts) + "\n</svg>"


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape_html(text)}</text>'


def _short(text: str) -> str:
    return text if len(text) <= MAX_LABEL_CHARACTERS else text[: MAX_LABEL_CHARACTERS - 3] + "..."


def _x(position: float) -> float:
    return LEFT + 24 + position * (WIDTH - LEFT - 48)


def _y(position: float) -> float:
    """The height of a position from 0, at the bottom, to 1."""
    return HEIGHT - BOTTOM - 8 - position * (HEIGHT - BOTTOM - 24)
