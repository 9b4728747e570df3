"""Tables as HTML, which notebooks show for an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .invisible_characters import escape_html


def html_table(caption: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose texts are escaped; cells after the first of a row are aligned to the right."""
    head = "".join(f"<th>{escape_html(title)}</th>" for title in titles)
    lines = [
        "".join(
            f'<td style="text-align:{"right" if index else "left"}">{escape_html(cell)}</td>'
            for index, cell in enumerate(row)
        )
        for row in rows
    ]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f"<table><caption>{escape_html(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def metric_rows(history: Mapping[str, Sequence[object]]) -> list[list[str]]:
    """Of each metric by epoch that is a number: the first and the last value, the least and the greatest one."""
    rows = []
    for name, values in history.items():
        numbers = [value for value in values if isinstance(value, (int, float))]
        if numbers and not any(isinstance(value, list) for value in values):
            shown = (numbers[0], numbers[-1], min(numbers), max(numbers))
            rows.append([name, *(f"{number:.6g}" for number in shown)])
    return rows


METRIC_TITLES = ("", "first", "last", "least", "greatest")
"""The titles of `metric_rows`."""
