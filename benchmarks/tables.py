"""A table, for the terminal and for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Table:
    """Rows of text under a title; `notes` stand below."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """A GitHub table. Separators are attached to the cell on their left, so that `wc -w` counts cells only."""
        rule = "---".join("|" * (len(self.columns) + 1))
        lines = ["|" + "| ".join(line) + "|" for line in (self.columns, *self.rows)]
        return "\n\n".join(["\n".join([lines[0], rule, *lines[1:]]), *self.notes])

    def show(self) -> None:
        from rich.console import Console
        from rich.table import Table as Rich
        from rich.text import Text

        shown = Rich(title=Text(self.title), title_justify="left")
        for number, column in enumerate(self.columns):
            shown.add_column(Text(column), justify="right" if number else "left")
        for row in self.rows:
            shown.add_row(*map(Text, row))
        console = Console()
        if not console.is_terminal:
            console.width = 200
        console.print(shown)
        for note in self.notes:
            console.print(Text(note))


def number(value: float | None) -> str:
    """Three digits that matter."""
    if value is None:
        return "-"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def spread(values: Sequence[float]) -> str:
    """The median, and between what it lies."""
    return f"{number(median(values))} ({number(min(values))}-{number(max(values))})" if values else "-"
