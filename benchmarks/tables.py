"""A table for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Table:
    """Rows of text under a title, followed by `notes`."""

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

        rich_table = Rich(title=Text(self.title), title_justify="left")
        for number, column in enumerate(self.columns):
            rich_table.add_column(Text(column), justify="right" if number else "left")
        for row in self.rows:
            rich_table.add_row(*map(Text, row))
        console = Console()
        if not console.is_terminal:
            console.width = 200
        console.print(rich_table)
        for note in self.notes:
            console.print(Text(note))


def number(value: float | None) -> str:
    """Formats a number with three significant digits."""
    if value is None:
        return "-"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def spread(values: Sequence[float]) -> str:
    """Formats the median with minimum and maximum."""
    return f"{number(median(values))} ({number(min(values))}-{number(max(values))})" if values else "-"
